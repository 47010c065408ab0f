// SPDX-License-Identifier: Apache-2.0
//! From a query to the leaves that may hold what is looked for.

use super::{MOST_LEVELS, Tree, WIDTH};
use crate::geometry::Scalar;
use crate::simd::{Simd, Vectorised};

/// What a search looks for.
pub trait Visitor<S: Simd> {
    /// Only points at a distance below this matter. May fall from visit to visit.
    fn bound(&self) -> S::Real;
    /// Whether no point at this distance or farther, with this number or a greater one, matters. Where many points are
    /// equally far this saves a look at those that come too late.
    #[inline(always)]
    fn excludes(&self, _distance: S::Real, _number: u32) -> bool {
        false
    }
    /// Takes a leaf: the coordinates of its points axis by axis, and their numbers.
    fn visit(&mut self, points: &[S::Real], ids: &[u32; WIDTH]);
}

impl<T: Scalar + Vectorised> Tree<'_, T> {
    /// Shows the visitor every leaf that may hold a point below its bound; nearby leaves first, so that the bound falls
    /// early. `D` is the dimension, or 0 where it is only known at run time; `L1` measures by absolute differences
    /// instead of their squares.
    #[inline(always)]
    pub fn search<S, V, const D: usize, const L1: bool>(&self, simd: S, query: &Query<'_, S, D>, visitor: &mut V)
    where
        S: Simd<Real = T>,
        V: Visitor<S>,
    {
        let mut finite = self.layout.leaves > 0;
        for axis in 0..query.dimension() {
            finite &= query.values[axis].is_finite();
        }
        if !finite {
            return;
        }
        let bottom = self.layout.levels - 1;
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
            if (level + 1 == bottom && node == home) || !self.matters(level, node, distances[level][child], visitor) {
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

    /// Appends the numbers of the points that may be at a distance below `bound`, by squares, from a point of a box: of
    /// those that are, and of few others. False if there were more than `most`: then not all are there. `D` is the dimension,
    /// or 0 where it is only known at run time.
    #[inline(always)]
    pub fn near<S: Simd<Real = T>, const D: usize>(
        &self,
        simd: S,
        [low, high]: [&[T]; 2],
        bound: T,
        most: usize,
        numbers: &mut Vec<u32>,
    ) -> bool {
        if self.layout.leaves == 0 {
            return true;
        }
        let (low, high) = (Query::<S, D>::new(simd, low), Query::<S, D>::new(simd, high));
        let sides = [&low, &high];
        let mut distances = [T::INFINITY; WIDTH];
        let mut nodes = [0_usize; MOST_LEVELS];
        let mut pending = [0_u32; MOST_LEVELS];
        let mut level = 0;
        loop {
            let boxes = self.node(level, nodes[level]);
            between_boxes::<S, D, false>(simd, sides, boxes.split_at(boxes.len() / 2), &mut distances);
            pending[level] = below(simd, &distances, bound);
            if level + 1 == self.layout.levels {
                while pending[level] != 0 {
                    let leaf = nodes[level] * WIDTH + pending[level].trailing_zeros() as usize;
                    pending[level] &= pending[level] - 1;
                    let points = self.points_of(leaf);
                    between_boxes::<S, D, false>(simd, sides, (points, points), &mut distances);
                    let mut bits = below(simd, &distances, bound);
                    if numbers.len() + bits.count_ones() as usize > most {
                        return false;
                    }
                    while bits != 0 {
                        numbers.push(self.numbers_of(leaf)[bits.trailing_zeros() as usize % WIDTH]);
                        bits &= bits - 1;
                    }
                }
            }
            while pending[level] == 0 {
                if level == 0 {
                    return true;
                }
                level -= 1;
            }
            let child = pending[level].trailing_zeros() as usize;
            pending[level] &= pending[level] - 1;
            nodes[level + 1] = nodes[level] * WIDTH + child;
            level += 1;
        }
    }

    /// The coordinates of the points of a leaf, axis by axis.
    #[inline(always)]
    fn points_of(&self, leaf: usize) -> &[T] {
        let size = WIDTH * self.layout.d;
        &self.points[leaf * size..][..size]
    }

    /// The numbers of the points of a leaf; `u32::MAX` where there is none.
    #[inline(always)]
    fn numbers_of(&self, leaf: usize) -> &[u32] {
        &self.ids[(self.layout.nodes + leaf) * WIDTH..][..WIDTH]
    }

    /// The boxes of a node.
    #[inline(always)]
    fn node(&self, level: usize, node: usize) -> &[T] {
        let size = 2 * WIDTH * self.layout.d;
        &self.boxes[(self.layout.first[level] + node) * size..][..size]
    }

    /// Whether a box of a level, which is at this distance, may hold a point that the visitor looks for.
    #[inline(always)]
    fn matters<S: Simd<Real = T>, V: Visitor<S>>(&self, level: usize, child: usize, distance: T, visitor: &V) -> bool {
        distance < visitor.bound() && !visitor.excludes(distance, self.ids[self.layout.first[level] * WIDTH + child])
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
            let leaf = node * WIDTH + child;
            if self.matters(self.layout.levels - 1, leaf, distances[child], visitor) {
                self.show(leaf, visitor);
            }
        }
    }

    #[inline(always)]
    fn show<S: Simd<Real = T>, V: Visitor<S>>(&self, leaf: usize, visitor: &mut V) {
        if let Some(ids) = self.numbers_of(leaf).first_chunk() {
            visitor.visit(self.points_of(leaf), ids);
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

    /// The distances to the boxes of a node, laid out as [`no_boxes`](super::no_boxes) says: no larger than to any point in them.
    #[inline(always)]
    pub fn to_boxes<const L1: bool>(&self, simd: S, boxes: &[S::Real], distances: &mut [S::Real; WIDTH]) {
        between_boxes::<S, D, L1>(simd, [self, self], boxes.split_at(boxes.len() / 2), distances);
    }
}

/// The distances of a box to `WIDTH` others, of which there are the least and the greatest coordinates axis by axis: no
/// larger than between any two points of them.
#[inline(always)]
fn between_boxes<S: Simd<Real: Scalar>, const D: usize, const L1: bool>(
    simd: S,
    [low, high]: [&Query<'_, S, D>; 2],
    (lows, highs): (&[S::Real], &[S::Real]),
    distances: &mut [S::Real; WIDTH],
) {
    let zero = simd.splat(S::Real::ZERO);
    for start in (0..WIDTH).step_by(S::LANES) {
        let mut sum = zero;
        for axis in 0..low.dimension() {
            let below = simd.sub(simd.load(&lows[axis * WIDTH + start..]), high.spread(simd, axis));
            let above = simd.sub(low.spread(simd, axis), simd.load(&highs[axis * WIDTH + start..]));
            let gap = simd.max(simd.max(below, above), zero);
            sum = accumulate::<S, L1>(simd, gap, sum);
        }
        simd.store(sum, &mut distances[start..]);
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
