// SPDX-License-Identifier: Apache-2.0
//! A bounding-volume tree over points, without pointers: the points in an order that keeps neighbours together, cut into
//! leaves of [`WIDTH`], and above them nodes of [`WIDTH`] boxes each, as many levels as it takes. Node i of a level has
//! the nodes i `WIDTH` .. (i + 1) `WIDTH` of the next below it. Vectors test the boxes of a node, or the points of a leaf, at once.
//!
//! A search visits every leaf that may hold a point below the visitor's bound, so what it finds does not depend on the
//! tree: the distance to a box is accumulated as the distance to a point is, with the same roundings, and rounding is
//! monotone, so the box is never farther than a point in it.
//!
//! The order and the boxes also serve operators that prune without a tree.

use crate::geometry::{Scalar, greater, lesser};
use crate::simd::{Simd, Vectorised};

/// Points of a leaf, and boxes of a node.
pub const WIDTH: usize = 16;
/// `WIDTH` to this power is more than `u32` can number.
const MOST_LEVELS: usize = 8;
/// Halves of at least this many points are built in parallel.
const PARALLEL: usize = 4096;

/// A tree over the points of one cloud.
#[derive(Debug, Clone, Default)]
pub struct PointTree<T> {
    d: usize,
    /// Coordinates, leaf by leaf, axis by axis. Missing points are infinitely far, as are those with a coordinate that
    /// is not finite: no distance to them is below infinity.
    points: Vec<T>,
    /// The number of each point in its cloud.
    ids: Vec<u32>,
    /// Boxes, from the root to the nodes above the leaves: least coordinates axis by axis, then the greatest. Missing
    /// boxes are infinitely far.
    levels: Vec<Vec<T>>,
}

/// What a search looks for.
pub trait Visitor<S: Simd> {
    /// Only points at a distance below this matter. May fall from visit to visit.
    fn bound(&self) -> S::Real;
    /// Takes a leaf: the coordinates of its points axis by axis, and their numbers.
    fn visit(&mut self, points: &[S::Real], ids: &[u32; WIDTH]);
}

impl<T: Scalar + Vectorised> PointTree<T> {
    /// Builds the tree over points of `d` coordinates, fewer than 2^32 - 1 of them. With more than one thread it is to be
    /// called inside a pool.
    pub fn new(points: &[T], d: usize, threads: usize) -> Self {
        let order = spatial_order(points, d, WIDTH, threads);
        let leaves = order.len().div_ceil(WIDTH);
        let mut tree = Self {
            d,
            points: vec![T::INFINITY; leaves * WIDTH * d],
            ids: vec![u32::MAX; leaves * WIDTH],
            levels: Vec::new(),
        };
        let mut boxes = no_boxes(leaves, d);
        for (leaf, members) in order.chunks(WIDTH).enumerate() {
            tree.ids[leaf * WIDTH..][..members.len()].copy_from_slice(members);
            let from = &mut tree.points[leaf * WIDTH * d..][..WIDTH * d];
            let into = &mut boxes[leaf / WIDTH * 2 * WIDTH * d..][..2 * WIDTH * d];
            for axis in 0..d {
                let (mut low, mut high) = (T::INFINITY, -T::INFINITY);
                for (lane, &member) in members.iter().enumerate() {
                    let value = points[member as usize * d + axis];
                    from[axis * WIDTH + lane] = value;
                    (low, high) = (lesser(value, low), greater(value, high));
                }
                into[axis * WIDTH + leaf % WIDTH] = low;
                into[(d + axis) * WIDTH + leaf % WIDTH] = high;
            }
        }
        while !boxes.is_empty() {
            let nodes = boxes.len() / (2 * WIDTH * d);
            let above = if nodes > 1 { parents(&boxes, nodes, d) } else { Vec::new() };
            tree.levels.push(boxes);
            boxes = above;
        }
        tree.levels.reverse();
        tree
    }

    /// Shows the visitor every leaf that may hold a point below its bound; nearby leaves first, so that the bound falls
    /// early. `D` is the dimension, or 0 where it is only known at run time; `L1` measures by absolute differences
    /// instead of their squares.
    #[inline(always)]
    pub fn search<S, V, const D: usize, const L1: bool>(&self, simd: S, query: &Query<'_, S, D>, visitor: &mut V)
    where
        S: Simd<Real = T>,
        V: Visitor<S>,
    {
        let mut finite = !self.levels.is_empty();
        for axis in 0..query.dimension() {
            finite &= query.values[axis].is_finite();
        }
        if !finite {
            return;
        }
        let bottom = self.levels.len() - 1;
        let mut distances = [[T::INFINITY; WIDTH]; MOST_LEVELS];
        // First the leaves below the node that greedy descent reaches.
        let mut home = 0;
        for level in 0..bottom {
            query.to_boxes::<L1>(simd, self.node(level, home), &mut distances[level]);
            home = home * WIDTH + nearest(simd, &distances[level]);
        }
        query.to_boxes::<L1>(simd, self.node(bottom, home), &mut distances[bottom]);
        let first = nearest(simd, &distances[bottom]);
        self.show(home * WIDTH + first, visitor);
        self.show_all(simd, home, &distances[bottom], 1 << first, visitor);
        if bottom == 0 {
            return;
        }
        // Then the others, depth first.
        let mut nodes = [0_usize; MOST_LEVELS];
        let mut pending = [0_u32; MOST_LEVELS];
        pending[0] = below(simd, &distances[0], visitor.bound());
        let mut level = 0;
        loop {
            if pending[level] == 0 {
                if level == 0 {
                    return;
                }
                level -= 1;
                continue;
            }
            let child = pending[level].trailing_zeros() as usize % WIDTH;
            pending[level] &= pending[level] - 1;
            let node = nodes[level] * WIDTH + child;
            if distances[level][child] >= visitor.bound() || (level + 1 == bottom && node == home) {
                continue;
            }
            query.to_boxes::<L1>(simd, self.node(level + 1, node), &mut distances[level + 1]);
            if level + 1 == bottom {
                self.show_all(simd, node, &distances[bottom], 0, visitor);
            } else {
                level += 1;
                nodes[level] = node;
                pending[level] = below(simd, &distances[level], visitor.bound());
            }
        }
    }

    /// The boxes of a node.
    #[inline(always)]
    fn node(&self, level: usize, node: usize) -> &[T] {
        let size = 2 * WIDTH * self.d;
        &self.levels[level][node * size..][..size]
    }

    /// Shows the leaves of a node of the lowest level that are below the bound, but those in `seen`.
    #[inline(always)]
    fn show_all<S: Simd<Real = T>, V: Visitor<S>>(
        &self,
        simd: S,
        node: usize,
        distances: &[T; WIDTH],
        seen: u32,
        visitor: &mut V,
    ) {
        let mut pending = below(simd, distances, visitor.bound()) & !seen;
        while pending != 0 {
            let child = pending.trailing_zeros() as usize % WIDTH;
            pending &= pending - 1;
            if distances[child] < visitor.bound() {
                self.show(node * WIDTH + child, visitor);
            }
        }
    }

    #[inline(always)]
    fn show<S: Simd<Real = T>, V: Visitor<S>>(&self, leaf: usize, visitor: &mut V) {
        let size = WIDTH * self.d;
        if let Some(ids) = self.ids[leaf * WIDTH..].first_chunk() {
            visitor.visit(&self.points[leaf * size..][..size], ids);
        }
    }
}

/// A query, its coordinates spread over vectors where their number is known.
#[derive(Debug)]
pub struct Query<'a, S: Simd, const D: usize> {
    values: &'a [S::Real],
    spread: [S::Vector; D],
}

impl<'a, S: Simd<Real: Scalar>, const D: usize> Query<'a, S, D> {
    /// A query of `D` coordinates, or of any number where `D` is 0.
    #[inline(always)]
    pub fn new(simd: S, values: &'a [S::Real]) -> Self {
        let mut spread = [simd.splat(S::Real::ZERO); D];
        for axis in 0..D {
            spread[axis] = simd.splat(values[axis]);
        }
        Self { values, spread }
    }

    /// The number of coordinates.
    #[inline(always)]
    pub fn dimension(&self) -> usize {
        if D == 0 { self.values.len() } else { D }
    }

    /// A coordinate in all lanes.
    #[inline(always)]
    pub fn spread(&self, simd: S, axis: usize) -> S::Vector {
        if D == 0 { simd.splat(self.values[axis]) } else { self.spread[axis] }
    }

    /// The distances to `GROUP` points (axis by axis), and which are below `bound`.
    #[inline(always)]
    pub fn below<const GROUP: usize, const L1: bool>(
        &self,
        simd: S,
        points: &[S::Real],
        bound: S::Real,
        distances: &mut [S::Real; GROUP],
    ) -> u64 {
        let bound = simd.splat(bound);
        let mut bits = 0_u64;
        for start in (0..GROUP).step_by(S::LANES) {
            let mut sum = simd.splat(S::Real::ZERO);
            for axis in 0..self.dimension() {
                let difference = simd.sub(self.spread(simd, axis), simd.load(&points[axis * GROUP + start..]));
                sum = accumulate::<S, L1>(simd, difference, sum);
            }
            simd.store(sum, &mut distances[start..]);
            bits |= u64::from(simd.less(sum, bound)) << start;
        }
        bits
    }

    /// The distances to the boxes of a node, laid out as [`no_boxes`] says: no larger than to any point in them.
    #[inline(always)]
    pub fn to_boxes<const L1: bool>(&self, simd: S, boxes: &[S::Real], distances: &mut [S::Real; WIDTH]) {
        let zero = simd.splat(S::Real::ZERO);
        for start in (0..WIDTH).step_by(S::LANES) {
            let mut sum = zero;
            for axis in 0..self.dimension() {
                let query = self.spread(simd, axis);
                let low = simd.load(&boxes[axis * WIDTH + start..]);
                let high = simd.load(&boxes[(self.dimension() + axis) * WIDTH + start..]);
                let gap = simd.max(simd.max(simd.sub(low, query), simd.sub(query, high)), zero);
                sum = accumulate::<S, L1>(simd, gap, sum);
            }
            simd.store(sum, &mut distances[start..]);
        }
    }
}

/// The distance so far with the difference along one more axis.
#[inline(always)]
pub fn accumulate<S: Simd, const L1: bool>(simd: S, difference: S::Vector, sum: S::Vector) -> S::Vector {
    if L1 { simd.add(simd.abs(difference), sum) } else { simd.mul_add(difference, difference, sum) }
}

/// Which of `WIDTH` distances are below `bound`.
#[inline(always)]
fn below<S: Simd>(simd: S, distances: &[S::Real; WIDTH], bound: S::Real) -> u32 {
    let bound = simd.splat(bound);
    // A loop, not a fold: a closure would not be compiled for the instruction set.
    let mut bits = 0;
    for start in (0..WIDTH).step_by(S::LANES) {
        bits |= simd.less(simd.load(&distances[start..]), bound) << start;
    }
    bits
}

/// The place of the least of `WIDTH` distances, the first where several are.
#[inline(always)]
fn nearest<S: Simd>(simd: S, distances: &[S::Real; WIDTH]) -> usize {
    let mut least = simd.load(distances);
    for start in (S::LANES..WIDTH).step_by(S::LANES) {
        least = simd.min(least, simd.load(&distances[start..]));
    }
    let least = simd.splat(simd.least(least));
    let mut farther = 0;
    for start in (0..WIDTH).step_by(S::LANES) {
        farther |= simd.less(least, simd.load(&distances[start..])) << start;
    }
    farther.trailing_ones() as usize % WIDTH
}

/// A point on the way to its leaf: whole numbers along up to `AXES` axes, and its number.
#[derive(Clone, Copy)]
struct Place<const AXES: usize> {
    cells: [u32; AXES],
    number: u32,
}

/// The numbers of the finite points of a cloud of fewer than 2^32 - 1, in an order that keeps neighbours together: every
/// `leaf` of them fill a small box. With more than one thread it is to be called inside a pool.
pub fn spatial_order<T: Scalar>(points: &[T], d: usize, leaf: usize, threads: usize) -> Vec<u32> {
    if d <= 3 { order_by::<T, 3>(points, d, leaf, threads) } else { order_by::<T, 7>(points, d, leaf, threads) }
}

/// [`spatial_order`] by the first `AXES` axes.
fn order_by<T: Scalar, const AXES: usize>(points: &[T], d: usize, leaf: usize, threads: usize) -> Vec<u32> {
    let axes = d.min(AXES);
    let finite = |point: &[T]| point.iter().all(|value| value.is_finite());
    let (mut low, mut high) = ([f64::INFINITY; AXES], [f64::NEG_INFINITY; AXES]);
    for point in points.chunks_exact(d).filter(|point| finite(point)) {
        for axis in 0..axes {
            let value = point[axis].to_f64();
            (low[axis], high[axis]) = (low[axis].min(value), high[axis].max(value));
        }
    }
    // One scale for all axes, so that the widest side is the widest.
    let extent = (0..axes).fold(0.0, |most: f64, axis| most.max(high[axis] - low[axis]));
    let scale = f64::from(u32::MAX) / extent;
    let mut places = Vec::with_capacity(points.len() / d);
    for (number, point) in points.chunks_exact(d).enumerate().filter(|(_, point)| finite(point)) {
        let mut cells = [0; AXES];
        for axis in 0..axes {
            cells[axis] = ((point[axis].to_f64() - low[axis]) * scale) as u32;
        }
        places.push(Place { cells, number: number as u32 });
    }
    halve(&mut places, leaf, threads);
    places.iter().map(|place| place.number).collect()
}

/// Halves and halves again across the widest side, down to leaves. The left half has a power of two leaves, so that
/// every node of every level is one of the halves.
fn halve<const AXES: usize>(places: &mut [Place<AXES>], leaf: usize, threads: usize) {
    let leaves = places.len().div_ceil(leaf);
    if leaves <= 1 {
        return;
    }
    let (mut low, mut high) = ([u32::MAX; AXES], [0; AXES]);
    for place in &*places {
        for axis in 0..AXES {
            low[axis] = low[axis].min(place.cells[axis]);
            high[axis] = high[axis].max(place.cells[axis]);
        }
    }
    let axis = (0..AXES).max_by_key(|&axis| high[axis] - low[axis]).unwrap_or(0);
    let middle = leaves.next_power_of_two() / 2 * leaf;
    places.select_nth_unstable_by_key(middle, |place| place.cells[axis]);
    let (left, right) = places.split_at_mut(middle);
    if threads > 1 && left.len() >= PARALLEL {
        rayon::join(|| halve(left, leaf, threads), || halve(right, leaf, threads));
    } else {
        halve(left, leaf, 1);
        halve(right, leaf, 1);
    }
}

/// Room for `children` boxes, infinitely far each: nodes of [`WIDTH`] of them, least coordinates axis by axis and then
/// the greatest.
pub fn no_boxes<T: Scalar>(children: usize, d: usize) -> Vec<T> {
    let mut boxes = vec![T::INFINITY; children.div_ceil(WIDTH) * 2 * WIDTH * d];
    for node in boxes.chunks_exact_mut(2 * WIDTH * d) {
        node[WIDTH * d..].fill(-T::INFINITY);
    }
    boxes
}

/// The boxes around the nodes of a level.
fn parents<T: Scalar>(boxes: &[T], nodes: usize, d: usize) -> Vec<T> {
    let mut above = no_boxes(nodes, d);
    for (node, boxes) in boxes.chunks_exact(2 * WIDTH * d).enumerate() {
        let into = &mut above[node / WIDTH * 2 * WIDTH * d..][..2 * WIDTH * d];
        for (row, values) in boxes.chunks_exact(WIDTH).enumerate() {
            let value = &mut into[row * WIDTH + node % WIDTH];
            *value = values.iter().fold(
                *value,
                |value, &other| {
                    if row < d { lesser(other, value) } else { greater(other, value) }
                },
            );
        }
    }
    above
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{self, Body};

    /// Collects the numbers of all points below a distance.
    struct Within<'a, S: Simd, const D: usize> {
        simd: S,
        query: &'a Query<'a, S, D>,
        bound: S::Real,
        found: Vec<u32>,
        leaves: usize,
    }

    impl<S: Simd<Real = f32>, const D: usize> Visitor<S> for Within<'_, S, D> {
        fn bound(&self) -> f32 {
            self.bound
        }
        fn visit(&mut self, points: &[f32], ids: &[u32; WIDTH]) {
            let mut distances = [0.0; WIDTH];
            let bits = self.query.below::<WIDTH, false>(self.simd, points, self.bound, &mut distances);
            self.found.extend((0..WIDTH).filter(|lane| bits >> lane & 1 == 1).map(|lane| ids[lane]));
            self.leaves += 1;
        }
    }

    struct Find<'a> {
        tree: &'a PointTree<f32>,
        query: [f32; 3],
        bound: f32,
    }

    impl Body<f32> for Find<'_> {
        type Output = (Vec<u32>, usize);

        #[inline(always)]
        fn run<S: Simd<Real = f32>>(self, simd: S) -> (Vec<u32>, usize) {
            let query = Query::<S, 3>::new(simd, &self.query);
            let mut within = Within { simd, query: &query, bound: self.bound, found: Vec::new(), leaves: 0 };
            self.tree.search::<S, _, 3, false>(simd, &query, &mut within);
            within.found.sort_unstable();
            (within.found, within.leaves)
        }
    }

    /// Points of a lattice of `side` places along each axis.
    fn lattice(side: usize) -> Vec<f32> {
        (0..side.pow(3)).flat_map(|i| [i % side, i / side % side, i / side / side].map(|x| x as f32)).collect()
    }

    #[test]
    fn every_point_below_the_bound_is_shown_once() {
        for side in [1, 2, 3, 7, 17, 26] {
            let points = lattice(side);
            let tree = PointTree::new(&points, 3, 1);
            for query in [[0.0; 3], [1.5, 2.0, 0.5], [-4.0, 30.0, 3.0]] {
                for bound in [1.0, 4.5, 30.0, f32::INFINITY] {
                    let (found, leaves) = simd::dispatch(Find { tree: &tree, query, bound });
                    let distance =
                        |point: &[f32]| (0..3).fold(0.0, |d, i| (query[i] - point[i]).mul_add(query[i] - point[i], d));
                    let expected: Vec<u32> = (0_u32..)
                        .zip(points.chunks(3))
                        .filter(|(_, point)| distance(point) < bound)
                        .map(|(i, _)| i)
                        .collect();
                    assert_eq!(found, expected, "{side} {query:?} {bound}");
                    assert!(leaves <= points.len() / 3 / WIDTH + 1);
                }
            }
        }
    }

    #[test]
    fn few_leaves_are_shown() {
        let tree = PointTree::new(&lattice(26), 3, 1);
        let (found, leaves) = simd::dispatch(Find { tree: &tree, query: [12.2, 13.1, 7.9], bound: 1.5 });
        assert!(
            found.len() > 3 && leaves < 40,
            "{} points in {leaves} leaves of {}",
            found.len(),
            26 * 26 * 26 / WIDTH
        );
    }

    #[test]
    fn threads_build_the_same_tree() {
        let points = lattice(26);
        let (one, two) = (PointTree::new(&points, 3, 1), PointTree::new(&points, 3, 2));
        assert_eq!((one.ids, one.points, one.levels), (two.ids, two.points, two.levels));
    }
}
