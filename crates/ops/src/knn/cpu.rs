// SPDX-License-Identifier: Apache-2.0
//! Brute force over vectors of points: a tile of the second cloud, transposed so that each axis is contiguous, stays in
//! the first-level cache while a block of queries walks over it.

use patina3d_core::simd::{self, Body, Simd, Vectorised};
use patina3d_core::{Result, Tensor, pool};

use super::{GradInputs, Gradients, Inputs, Norm, Outputs, Sizes};

/// Queries that share one walk over a tile, and the unit of parallel work.
const QUERIES: usize = 64;
/// Points are tested in groups of this many: one branch for the group, a multiple of every vector width.
const GROUP: usize = 64;
/// More groups than this are not exact in float32: such clouds go through a list.
const MOST_GROUPS: usize = 1 << 24;
/// Points whose distances bound the K-th before the search begins.
const SAMPLE: usize = 16 * GROUP;
/// Vectors that one walk over a tile keeps in registers when one neighbour is asked for; divides every group.
const TOGETHER: usize = 4;
/// Bytes of a tile.
const TILE_BYTES: usize = 24 * 1024;

/// What the loops need of f32 and f64 beyond vectors.
pub(super) trait Scalar: Vectorised {
    const ZERO: Self;
    const INFINITY: Self;
    /// A distance (never negative, so its bits ascend with it) above an index: compares as the pair does.
    type Key: Copy + Ord + Send;
    fn key(distance: Self, index: u32) -> Self::Key;
    fn distance(key: Self::Key) -> Self;
    fn index(key: Self::Key) -> u32;
    /// The next larger number.
    fn above(self) -> Self;
    /// Stands for no group.
    const NONE: Self;
    /// A number of a group as an element, and back; `NONE` gives `u32::MAX`.
    fn number(index: usize) -> Self;
    fn index_of(self) -> u32;
    fn accumulate(norm: Norm, difference: Self, sum: Self) -> Self;
    fn slope(norm: Norm, grad: Self, difference: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn plus(self, other: Self) -> Self;
}

macro_rules! scalar {
    ($real:ty, $bits:ty, $key:ty) => {
        impl Scalar for $real {
            const ZERO: Self = 0.0;
            const INFINITY: Self = <$real>::INFINITY;
            type Key = $key;
            #[inline(always)]
            fn key(distance: Self, index: u32) -> $key {
                <$key>::from(distance.to_bits()) << 32 | <$key>::from(index)
            }
            #[inline(always)]
            fn distance(key: $key) -> Self {
                Self::from_bits((key >> 32) as $bits)
            }
            #[inline(always)]
            fn index(key: $key) -> u32 {
                key as u32
            }
            #[inline(always)]
            fn above(self) -> Self {
                self.next_up()
            }
            const NONE: Self = -1.0;
            #[inline(always)]
            fn number(index: usize) -> Self {
                index as Self
            }
            #[inline(always)]
            fn index_of(self) -> u32 {
                if self < 0.0 { u32::MAX } else { self as u32 }
            }
            #[inline(always)]
            fn accumulate(norm: Norm, difference: Self, sum: Self) -> Self {
                match norm {
                    Norm::L1 => difference.abs() + sum,
                    Norm::SquaredL2 => difference.mul_add(difference, sum),
                }
            }
            #[inline(always)]
            fn slope(norm: Norm, grad: Self, difference: Self) -> Self {
                match norm {
                    Norm::SquaredL2 => 2.0 * grad * difference,
                    Norm::L1 if difference > 0.0 => grad,
                    Norm::L1 if difference < 0.0 => -grad,
                    Norm::L1 => 0.0,
                }
            }
            #[inline(always)]
            fn minus(self, other: Self) -> Self {
                self - other
            }
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self + other
            }
        }
    };
}
scalar!(f32, u32, u64);
scalar!(f64, u64, u128);

fn lengths(tensor: Option<&Tensor<'_>>, n: usize, most: usize) -> Result<Vec<usize>> {
    match tensor {
        None => Ok(vec![most; n]),
        Some(tensor) => {
            Ok(tensor.as_slice::<i64>()?.iter().map(|&length| length.clamp(0, most as i64) as usize).collect())
        }
    }
}

/// Nanoseconds that clouds x queries x points x coordinates cost, roughly: decides whether threads are worth waking.
fn cost(factors: [usize; 4]) -> usize {
    factors.into_iter().fold(1, usize::saturating_mul) / 32
}

pub(super) fn forward<T: Scalar>(x: &Inputs<'_>, sizes: Sizes, threads: usize, out: &mut Outputs<'_>) -> Result<()> {
    let Sizes { n, p1, p2, d, k } = sizes;
    let (queries, points) = (x.p1.as_slice::<T>()?, x.p2.as_slice::<T>()?);
    let (dists, idx) = (out.dists.as_mut_slice::<T>()?, out.idx.as_mut_slice::<i64>()?);
    if dists.is_empty() {
        return Ok(());
    }
    let (lengths1, lengths2) = (lengths(x.lengths1.as_ref(), n, p1)?, lengths(x.lengths2.as_ref(), n, p2)?);
    let blocks = p1.div_ceil(QUERIES);
    // Rows of the results in blocks of queries: each block is one piece of work.
    let mut work: Vec<(usize, usize, &mut [T], &mut [i64])> = Vec::with_capacity(n * blocks);
    for (cloud, (dists, idx)) in dists.chunks_mut(p1 * k).zip(idx.chunks_mut(p1 * k)).enumerate() {
        for (block, (dists, idx)) in dists.chunks_mut(QUERIES * k).zip(idx.chunks_mut(QUERIES * k)).enumerate() {
            work.push((cloud, block * QUERIES, dists, idx));
        }
    }
    pool::run(threads, cost([n, p1, p2, d]), |threads| {
        let mut tiles = vec![Tiles::default(); n];
        pool::for_each_chunk(threads, &mut tiles, 1, |cloud, tile| {
            tile[0] = Tiles::new(&points[cloud * p2 * d..(cloud * p2 + lengths2[cloud]) * d], d);
        });
        pool::for_each_chunk(threads, &mut work, 1, |_, piece| {
            let (cloud, first, dists, idx) = &mut piece[0];
            let rows = dists.len() / k;
            let active = lengths1[*cloud].saturating_sub(*first).min(rows);
            let start = (*cloud * p1 + *first) * d;
            dists[active * k..].fill(T::ZERO);
            idx[active * k..].fill(0);
            simd::dispatch(Search {
                queries: &queries[start..start + active * d],
                points: &points[*cloud * p2 * d..(*cloud * p2 + lengths2[*cloud]) * d],
                tiles: &tiles[*cloud],
                d,
                k,
                norm: x.norm,
                dists: &mut dists[..active * k],
                idx: &mut idx[..active * k],
            });
        });
    });
    Ok(())
}

/// A cloud cut into groups of `GROUP` points, each group stored axis by axis, and into tiles of `count` points. Missing
/// points of the last group are infinitely far.
#[derive(Clone, Default)]
struct Tiles<T> {
    values: Vec<T>,
    count: usize,
}

impl<T: Scalar> Tiles<T> {
    fn new(points: &[T], d: usize) -> Self {
        let count = (TILE_BYTES / (size_of::<T>() * d) / GROUP * GROUP).max(GROUP);
        let mut values = vec![T::INFINITY; (points.len() / d).next_multiple_of(GROUP) * d];
        for (group, from) in values.chunks_exact_mut(GROUP * d).zip(points.chunks(GROUP * d)) {
            for (j, point) in from.chunks_exact(d).enumerate() {
                for (axis, &value) in point.iter().enumerate() {
                    group[axis * GROUP + j] = value;
                }
            }
        }
        Self { values, count }
    }
}

/// The neighbours of a block of queries.
struct Search<'a, T> {
    queries: &'a [T],
    points: &'a [T],
    tiles: &'a Tiles<T>,
    d: usize,
    k: usize,
    norm: Norm,
    dists: &'a mut [T],
    idx: &'a mut [i64],
}

impl<T: Scalar> Body<T> for Search<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Real = T>>(self, simd: S) {
        match self.k {
            1 if self.points.len() < MOST_GROUPS * GROUP => self.nearest_of_all(simd),
            1 => self.with_list::<S, Sorted<T, 1>>(simd),
            2..=8 => self.with_list::<S, Sorted<T, 8>>(simd),
            9..=16 => self.with_list::<S, Sorted<T, 16>>(simd),
            _ => self.with_list::<S, Selection<T>>(simd),
        }
    }
}

impl<T: Scalar> Search<'_, T> {
    #[inline(always)]
    fn with_list<S: Simd<Real = T>, L: List<T>>(self, simd: S) {
        match (self.norm, self.d) {
            (Norm::SquaredL2, 3) => self.walk::<S, L, 3, false>(simd),
            (Norm::SquaredL2, _) => self.walk::<S, L, 0, false>(simd),
            (Norm::L1, _) => self.walk::<S, L, 0, true>(simd),
        }
    }

    #[inline(always)]
    fn nearest_of_all<S: Simd<Real = T>>(self, simd: S) {
        match (self.norm, self.d) {
            (Norm::SquaredL2, 3) => self.walk_nearest::<S, 3, false>(simd),
            (Norm::SquaredL2, _) => self.walk_nearest::<S, 0, false>(simd),
            (Norm::L1, _) => self.walk_nearest::<S, 0, true>(simd),
        }
    }

    /// One neighbour: every place in a group keeps the nearest point that stood there, without a branch.
    #[inline(always)]
    fn walk_nearest<S: Simd<Real = T>, const D: usize, const L1: bool>(self, simd: S) {
        let d = if D == 0 { self.d } else { D };
        let mut places = vec![Places { distances: [T::INFINITY; GROUP], groups: [T::NONE; GROUP] }; self.dists.len()];
        let mut first = 0;
        for tile in self.tiles.values.chunks(self.tiles.count * d) {
            for (query, places) in self.queries.chunks_exact(d).zip(&mut places) {
                Query::<T, S, D>::new(simd, query).keep_nearest::<L1>(simd, tile, first, places);
            }
            first += tile.len() / (GROUP * d);
        }
        let number = self.points.len() / d;
        for (row, places) in places.iter().enumerate() {
            let query = &self.queries[row * d..(row + 1) * d];
            let distance = |j| distance(self.norm, query, &self.points[j * d..(j + 1) * d]);
            let nearest = places.nearest(simd);
            let best = nearest.as_slice();
            write(best, number, distance, &mut self.dists[row..=row], &mut self.idx[row..=row]);
        }
    }

    /// `D` is the dimension, or 0 where it is only known at run time.
    #[inline(always)]
    fn walk<S: Simd<Real = T>, L: List<T>, const D: usize, const L1: bool>(self, simd: S) {
        let (d, k) = (if D == 0 { self.d } else { D }, self.k);
        let mut lists: Vec<L> = (0..self.dists.len() / k).map(|_| L::new(k)).collect();
        let mut distances = [T::ZERO; GROUP];
        let mut first = 0;
        for tile in self.tiles.values.chunks(self.tiles.count * d) {
            for (query, list) in self.queries.chunks_exact(d).zip(&mut lists) {
                let query = Query::<T, S, D>::new(simd, query);
                if first == 0 && L::NEEDS_BOUND {
                    list.bound(&query.least::<L1>(simd, &tile[..tile.len().min(SAMPLE * d)]));
                }
                for (group, points) in tile.chunks_exact(GROUP * d).enumerate() {
                    let mut bits = query.nearer::<L1>(simd, points, list.worst(), &mut distances);
                    while bits != 0 {
                        let j = bits.trailing_zeros() as usize;
                        bits &= bits - 1;
                        let stricter = list.offer(T::key(distances[j % GROUP], (first + group * GROUP + j) as u32));
                        if stricter && bits != 0 {
                            bits &= below(simd, &distances, list.worst());
                        }
                    }
                }
            }
            first += tile.len() / d;
        }
        let number = self.points.len() / d;
        for (row, list) in lists.into_iter().enumerate() {
            let query = &self.queries[row * d..(row + 1) * d];
            let distance = |j| distance(self.norm, query, &self.points[j * d..(j + 1) * d]);
            write(
                &list.finish(),
                number,
                distance,
                &mut self.dists[row * k..(row + 1) * k],
                &mut self.idx[row * k..(row + 1) * k],
            );
        }
    }
}

/// A query, its coordinates spread over vectors where their number is known.
struct Query<'a, T: Scalar, S: Simd<Real = T>, const D: usize> {
    values: &'a [T],
    spread: [S::Vector; D],
}

impl<'a, T: Scalar, S: Simd<Real = T>, const D: usize> Query<'a, T, S, D> {
    #[inline(always)]
    fn new(simd: S, values: &'a [T]) -> Self {
        let mut spread = [simd.splat(T::ZERO); D];
        for axis in 0..D {
            spread[axis] = simd.splat(values[axis]);
        }
        Self { values, spread }
    }

    /// The distances to the points of a group (axis by axis), and which are below `worst`.
    #[inline(always)]
    fn nearer<const L1: bool>(&self, simd: S, points: &[T], worst: T, distances: &mut [T; GROUP]) -> u64 {
        let worst = simd.splat(worst);
        let mut bits = 0_u64;
        for start in (0..GROUP).step_by(S::LANES) {
            let mut sum = simd.splat(T::ZERO);
            for axis in 0..if D == 0 { self.values.len() } else { D } {
                let query = if D == 0 { simd.splat(self.values[axis]) } else { self.spread[axis] };
                let difference = simd.sub(query, simd.load(&points[axis * GROUP + start..]));
                sum = if L1 { simd.add(simd.abs(difference), sum) } else { simd.mul_add(difference, difference, sum) };
            }
            simd.store(sum, &mut distances[start..]);
            bits |= u64::from(simd.less(sum, worst)) << start;
        }
        bits
    }
}

impl<T: Scalar, S: Simd<Real = T>, const D: usize> Query<'_, T, S, D> {
    /// The least distance to the first points of the groups, to the second points, and so on.
    #[inline(always)]
    fn least<const L1: bool>(&self, simd: S, groups: &[T]) -> [T; GROUP] {
        let mut least = [T::INFINITY; GROUP];
        let mut distances = [T::INFINITY; GROUP];
        for points in groups.chunks_exact(GROUP * self.values.len()) {
            self.nearer::<L1>(simd, points, T::INFINITY, &mut distances);
            for start in (0..GROUP).step_by(S::LANES) {
                let smaller = simd.min(simd.load(&distances[start..]), simd.load(&least[start..]));
                simd.store(smaller, &mut least[start..]);
            }
        }
        least
    }
}

impl<T: Scalar, S: Simd<Real = T>, const D: usize> Query<'_, T, S, D> {
    /// Offers the groups of a tile, numbered from `first`, to the places.
    #[inline(always)]
    fn keep_nearest<const L1: bool>(&self, simd: S, tile: &[T], first: usize, places: &mut Places<T>) {
        let d = if D == 0 { self.values.len() } else { D };
        // `TOGETHER` vectors at a time: their minima stay in registers for the whole tile.
        for start in (0..GROUP).step_by(TOGETHER * S::LANES) {
            let mut distances = [simd.splat(T::ZERO); TOGETHER];
            let mut groups = distances;
            for vector in 0..TOGETHER {
                distances[vector] = simd.load(&places.distances[start + vector * S::LANES..]);
                groups[vector] = simd.load(&places.groups[start + vector * S::LANES..]);
            }
            for (group, points) in tile.chunks_exact(GROUP * d).enumerate() {
                let number = simd.splat(T::number(first + group));
                let mut sums = [simd.splat(T::ZERO); TOGETHER];
                for axis in 0..d {
                    let query = if D == 0 { simd.splat(self.values[axis]) } else { self.spread[axis] };
                    for vector in 0..TOGETHER {
                        let from = axis * GROUP + start + vector * S::LANES;
                        let difference = simd.sub(query, simd.load(&points[from..]));
                        sums[vector] = if L1 {
                            simd.add(simd.abs(difference), sums[vector])
                        } else {
                            simd.mul_add(difference, difference, sums[vector])
                        };
                    }
                }
                for vector in 0..TOGETHER {
                    groups[vector] = simd.select_less(sums[vector], distances[vector], number, groups[vector]);
                    distances[vector] = simd.min(sums[vector], distances[vector]);
                }
            }
            for vector in 0..TOGETHER {
                simd.store(distances[vector], &mut places.distances[start + vector * S::LANES..]);
                simd.store(groups[vector], &mut places.groups[start + vector * S::LANES..]);
            }
        }
    }
}

/// The nearest point at each place in a group, and the number of its group, of which there are at most `MOST_GROUPS`.
#[derive(Clone)]
struct Places<T> {
    distances: [T; GROUP],
    groups: [T; GROUP],
}

impl<T: Scalar> Places<T> {
    /// The key of the nearest of all, if one is below infinity.
    #[inline(always)]
    fn nearest<S: Simd<Real = T>>(&self, simd: S) -> Option<T::Key> {
        let mut least = simd.load(&self.distances);
        for start in (S::LANES..GROUP).step_by(S::LANES) {
            least = simd.min(least, simd.load(&self.distances[start..]));
        }
        let mut lanes = [T::INFINITY; GROUP];
        simd.store(least, &mut lanes);
        let mut distance = lanes[0];
        for lane in 1..S::LANES {
            distance = if lanes[lane] < distance { lanes[lane] } else { distance };
        }
        let mut index = u32::MAX;
        for start in (0..GROUP).step_by(S::LANES) {
            let farther = simd.less(simd.splat(distance), simd.load(&self.distances[start..]));
            let mut bits = !farther & (u32::MAX >> (32 - S::LANES));
            while bits != 0 {
                let place = start + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                index = index.min(
                    self.groups[place % GROUP].index_of().saturating_mul(GROUP as u32).saturating_add(place as u32),
                );
            }
        }
        (distance < T::INFINITY).then(|| T::key(distance, index))
    }
}

/// The distance of two points, as every level computes it.
#[inline(always)]
fn distance<T: Scalar>(norm: Norm, a: &[T], b: &[T]) -> T {
    let mut sum = T::ZERO;
    for axis in 0..a.len() {
        sum = T::accumulate(norm, a[axis].minus(b[axis]), sum);
    }
    sum
}

/// Which distances of a group are below `worst`.
#[inline(always)]
fn below<S: Simd>(simd: S, distances: &[S::Real; GROUP], worst: S::Real) -> u64 {
    let worst = simd.splat(worst);
    // A loop, not a fold: a closure would not be compiled for the instruction set.
    let mut bits = 0;
    for start in (0..GROUP).step_by(S::LANES) {
        bits |= u64::from(simd.less(simd.load(&distances[start..]), worst)) << start;
    }
    bits
}

/// The best candidates so far, as keys in the order (distance, index).
trait List<T: Scalar> {
    fn new(k: usize) -> Self;
    /// Whether a bound on the K-th distance pays: most candidates come before the list is good.
    const NEEDS_BOUND: bool;
    /// Takes distances of different points; the K-th least of them is never below the K-th distance of all points.
    fn bound(&mut self, distances: &[T; GROUP]);
    /// Only candidates below this distance matter.
    fn worst(&self) -> T;
    /// Takes a candidate that is below `worst`; says whether `worst` may have changed.
    fn offer(&mut self, key: T::Key) -> bool;
    /// At most K keys in order.
    fn finish(self) -> Vec<T::Key>;
}

/// The best `SIZE` >= K candidates, sorted; open slots hold a key that is behind all others.
struct Sorted<T: Scalar, const SIZE: usize> {
    keys: [T::Key; SIZE],
    worst: T,
    k: usize,
}

impl<T: Scalar, const SIZE: usize> List<T> for Sorted<T, SIZE> {
    fn new(k: usize) -> Self {
        Self { keys: [T::key(T::INFINITY, u32::MAX); SIZE], worst: T::INFINITY, k }
    }

    const NEEDS_BOUND: bool = SIZE > 1;

    #[inline(always)]
    fn bound(&mut self, distances: &[T; GROUP]) {
        // Twice SIZE bins are enough for a tight bound, and quicker to sort.
        let bins = 2 * SIZE;
        let mut sorted = Self::new(self.k);
        for bin in 0..bins {
            let least = (bin..GROUP)
                .step_by(bins)
                .fold(T::INFINITY, |least, i| if distances[i] < least { distances[i] } else { least });
            sorted.offer(T::key(least, 0));
        }
        // A candidate must be strictly below `worst`, and the K-th may lie on the bound.
        self.worst = sorted.worst.above();
    }

    #[inline(always)]
    fn worst(&self) -> T {
        self.worst
    }

    /// Each slot keeps its key, or takes its left neighbour's or the candidate: no branch, and no slot waits for another.
    #[inline(always)]
    fn offer(&mut self, key: T::Key) -> bool {
        let old = self.keys;
        for slot in 1..SIZE {
            self.keys[slot] = old[slot].min(key).max(old[slot - 1]);
        }
        self.keys[0] = old[0].min(key);
        let last = T::distance(self.keys[(self.k - 1) % SIZE]);
        let stricter = last < self.worst;
        self.worst = if stricter { last } else { self.worst };
        stricter
    }

    fn finish(self) -> Vec<T::Key> {
        let open = T::key(T::INFINITY, u32::MAX);
        self.keys.into_iter().filter(|&key| key != open).take(self.k).collect()
    }
}

/// Up to twice K candidates in any order; when there are so many, the best K are selected.
struct Selection<T: Scalar> {
    keys: Vec<T::Key>,
    worst: T,
    k: usize,
}

impl<T: Scalar> List<T> for Selection<T> {
    fn new(k: usize) -> Self {
        Self { keys: Vec::new(), worst: T::INFINITY, k }
    }

    const NEEDS_BOUND: bool = false;

    fn bound(&mut self, _: &[T; GROUP]) {}

    #[inline(always)]
    fn worst(&self) -> T {
        self.worst
    }

    #[inline(always)]
    fn offer(&mut self, key: T::Key) -> bool {
        self.keys.push(key);
        let full = self.keys.len() == 2 * self.k;
        if full {
            let (_, &mut last, _) = self.keys.select_nth_unstable(self.k - 1);
            self.worst = T::distance(last);
            self.keys.truncate(self.k);
        }
        full
    }

    fn finish(mut self) -> Vec<T::Key> {
        self.keys.sort_unstable();
        self.keys.truncate(self.k);
        self.keys
    }
}

/// Writes a row. Distances that are not below infinity (overflow, NaN) never entered the list: slots left open by them
/// take the lowest indices that are not in it, with the distance as computed; slots beyond the cloud are 0.
fn write<T: Scalar>(best: &[T::Key], number: usize, distance: impl Fn(usize) -> T, dists: &mut [T], idx: &mut [i64]) {
    let below_infinity = |j: usize| matches!(distance(j).partial_cmp(&T::INFINITY), Some(std::cmp::Ordering::Less));
    let mut rest = (0..number).filter(|&j| !below_infinity(j));
    for (slot, (dist, index)) in dists.iter_mut().zip(idx.iter_mut()).enumerate() {
        (*dist, *index) = match best.get(slot) {
            Some(&key) => (T::distance(key), i64::from(T::index(key))),
            None => rest.next().map_or((T::ZERO, 0), |j| (distance(j), j as i64)),
        };
    }
}

pub(super) fn backward<T: Scalar>(
    x: &GradInputs<'_>,
    sizes: Sizes,
    threads: usize,
    out: &mut Gradients<'_>,
) -> Result<()> {
    let Sizes { n, p1, p2, d, k } = sizes;
    let norm = x.inputs.norm;
    let (queries, points) = (x.inputs.p1.as_slice::<T>()?, x.inputs.p2.as_slice::<T>()?);
    let (idx, grad) = (x.idx.as_slice::<i64>()?, x.grad_dists.as_slice::<T>()?);
    let (lengths1, lengths2) =
        (lengths(x.inputs.lengths1.as_ref(), n, p1)?, lengths(x.inputs.lengths2.as_ref(), n, p2)?);
    let grad1 = out.p1.as_mut_slice::<T>()?;
    let grad2 = out.p2.as_mut_slice::<T>()?;
    if n == 0 {
        return Ok(());
    }
    pool::run(threads, cost([n, p1, k, 8 * d]), |threads| {
        pool::for_each_chunk(threads, grad1, QUERIES * d, |block, rows| {
            for (i, out) in rows.chunks_exact_mut(d).enumerate() {
                let row = block * QUERIES + i;
                let cloud = row / p1;
                out.fill(T::ZERO);
                let slots = if row % p1 < lengths1[cloud] { k.min(lengths2[cloud]) } else { 0 };
                for slot in row * k..row * k + slots {
                    let target = idx[slot] as usize; // a negative index becomes one that is too large
                    if target >= p2 {
                        continue;
                    }
                    let point = &points[(cloud * p2 + target) * d..];
                    for axis in 0..d {
                        let slope = T::slope(norm, grad[slot], queries[row * d + axis].minus(point[axis]));
                        out[axis] = out[axis].plus(slope);
                    }
                }
            }
        });
        // Each piece of the second cloud reads all pairs and adds up its own, in ascending order: the same sum whatever
        // the number of pieces.
        let pieces = if threads <= 1 { 1 } else { threads.div_ceil(n) };
        let piece = p2.div_ceil(pieces).max(1);
        let mut work: Vec<(usize, usize, &mut [T])> = Vec::new();
        for (cloud, grad2) in grad2.chunks_mut((p2 * d).max(1)).enumerate() {
            work.extend(grad2.chunks_mut(piece * d).enumerate().map(|(i, part)| (cloud, i * piece, part)));
        }
        pool::for_each_chunk(threads, &mut work, 1, |_, work| {
            let (cloud, first, out) = &mut work[0];
            let (first, number) = (*first, out.len() / d);
            out.fill(T::ZERO);
            let slots = k.min(lengths2[*cloud]);
            for row in *cloud * p1..*cloud * p1 + lengths1[*cloud] {
                for slot in row * k..row * k + slots {
                    let target = (idx[slot] as usize).wrapping_sub(first);
                    if target < number {
                        let point = &points[(*cloud * p2 + first + target) * d..];
                        for axis in 0..d {
                            let slope = T::slope(norm, grad[slot], queries[row * d + axis].minus(point[axis]));
                            out[target * d + axis] = out[target * d + axis].minus(slope);
                        }
                    }
                }
            }
        });
    });
    Ok(())
}
