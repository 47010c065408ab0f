// SPDX-License-Identifier: Apache-2.0
//! Brute force over vectors of points: a tile of the second cloud, transposed so that each axis is contiguous, stays in
//! the first-level cache while a block of queries walks over it.

use patina3d_core::geometry::Scalar;
use patina3d_core::simd::{Body, Simd};
use patina3d_core::tree::{Query, accumulate};

use super::super::Norm;
use super::lists::{List, Selection, Sorted};
use super::{Block, GROUP, Number, QUERIES};

/// More groups than this are not exact in float32: such clouds go through a list.
pub(crate) const MOST_GROUPS: usize = 1 << 24;
/// Points whose distances bound the K-th before the search begins.
const SAMPLE: usize = 16 * GROUP;
/// Vectors that one walk over a tile keeps in registers when one neighbour is asked for; divides every group.
pub(crate) const TOGETHER: usize = 4;
/// Bytes of a tile.
const TILE_BYTES: usize = 24 * 1024;

/// A cloud cut into groups of `GROUP` points, each group stored axis by axis, and into tiles of `count` points. Missing
/// points of the last group are infinitely far.
pub(crate) struct Tiles<T> {
    pub(crate) values: Vec<T>,
    pub(crate) count: usize,
}

impl<T: Number> Tiles<T> {
    pub(crate) fn new(points: &[T], d: usize) -> Self {
        let mut tiles = Self::empty(points.len() / d, d);
        for (group, from) in tiles.values.chunks_exact_mut(GROUP * d).zip(points.chunks(GROUP * d)) {
            for (j, point) in from.chunks_exact(d).enumerate() {
                for (axis, &value) in point.iter().enumerate() {
                    group[axis * GROUP + j] = value;
                }
            }
        }
        tiles
    }

    /// Of some points by their numbers. `D` is the dimension, or 0 where it is only known at run time.
    #[inline(always)]
    pub(crate) fn of<const D: usize>(points: &[T], d: usize, numbers: &[u32]) -> Self {
        let d = if D == 0 { d } else { D };
        let mut tiles = Self::empty(numbers.len(), d);
        for (group, numbers) in tiles.values.chunks_exact_mut(GROUP * d).zip(numbers.chunks(GROUP)) {
            for (j, &number) in numbers.iter().enumerate() {
                let point = &points[number as usize * d..][..d];
                for axis in 0..d {
                    group[axis * GROUP + j] = point[axis];
                }
            }
        }
        tiles
    }

    /// Room for so many points.
    fn empty(points: usize, d: usize) -> Self {
        let count = (TILE_BYTES / (size_of::<T>() * d) / GROUP * GROUP).max(GROUP);
        Self { values: vec![T::INFINITY; points.next_multiple_of(GROUP) * d], count }
    }
}

/// Every query against every tile.
pub(super) struct Search<'a, T> {
    pub(super) block: Block<'a, T>,
    pub(super) tiles: &'a Tiles<T>,
}

impl<T: Number> Body<T> for Search<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Real = T>>(self, simd: S) {
        match self.block.k {
            1 if self.block.points.len() < MOST_GROUPS * GROUP => self.nearest_of_all(simd),
            1 => self.with_list::<S, Sorted<T, 1>>(simd),
            2..=8 => self.with_list::<S, Sorted<T, 8>>(simd),
            9..=16 => self.with_list::<S, Sorted<T, 16>>(simd),
            _ => self.with_list::<S, Selection<T>>(simd),
        }
    }
}

impl<T: Number> Search<'_, T> {
    #[inline(always)]
    fn with_list<S: Simd<Real = T>, L: List<T>>(self, simd: S) {
        match (self.block.norm, self.block.d) {
            (Norm::SquaredL2, 3) => self.walk::<S, L, 3, false>(simd),
            (Norm::SquaredL2, _) => self.walk::<S, L, 0, false>(simd),
            (Norm::L1, _) => self.walk::<S, L, 0, true>(simd),
        }
    }

    #[inline(always)]
    fn nearest_of_all<S: Simd<Real = T>>(self, simd: S) {
        match (self.block.norm, self.block.d) {
            (Norm::SquaredL2, 3) => self.walk_nearest::<S, 3, false>(simd),
            (Norm::SquaredL2, _) => self.walk_nearest::<S, 0, false>(simd),
            (Norm::L1, _) => self.walk_nearest::<S, 0, true>(simd),
        }
    }

    /// One neighbour: every place in a group keeps the nearest point that stood there, without a branch.
    #[inline(always)]
    fn walk_nearest<S: Simd<Real = T>, const D: usize, const L1: bool>(self, simd: S) {
        let mut block = self.block;
        let d = if D == 0 { block.d } else { D };
        let tile = self.tiles.count * d;
        // All queries walk over a tile before the next one is read; over the only tile one after the other.
        let together = if self.tiles.values.len() <= tile { 1 } else { QUERIES };
        let mut places = vec![Places::NONE; together];
        for (part, queries) in block.queries.chunks(together * d).enumerate() {
            places.fill(Places::NONE);
            for (tiles, tile) in self.tiles.values.chunks(tile).enumerate() {
                let first = tiles * self.tiles.count / GROUP;
                for (query, places) in queries.chunks_exact(d).zip(&mut places) {
                    places.keep_nearest::<S, D, L1>(simd, &Query::new(simd, query), tile, first);
                }
            }
            for (row, places) in places.iter().enumerate().take(queries.len() / d) {
                let nearest = places.nearest(simd).filter(|&key| T::distance(key) < block.limit());
                block.write(part * together + row, nearest.as_slice());
            }
        }
    }

    /// `D` is the dimension, or 0 where it is only known at run time.
    #[inline(always)]
    fn walk<S: Simd<Real = T>, L: List<T>, const D: usize, const L1: bool>(self, simd: S) {
        let (d, k) = (if D == 0 { self.block.d } else { D }, self.block.k);
        let mut lists: Vec<L> = (0..self.block.rows.dists.len() / k).map(|_| L::new(k, self.block.limit())).collect();
        let mut distances = [T::ZERO; GROUP];
        let mut first = 0;
        for tile in self.tiles.values.chunks(self.tiles.count * d) {
            for (query, list) in self.block.queries.chunks_exact(d).zip(&mut lists) {
                let query = Query::<S, D>::new(simd, query);
                if first == 0 && L::NEEDS_BOUND {
                    list.bound(&least::<S, D, L1>(simd, &query, &tile[..tile.len().min(SAMPLE * d)]));
                }
                for (group, points) in tile.chunks_exact(GROUP * d).enumerate() {
                    let mut bits = query.below::<GROUP, L1>(simd, points, list.worst(), &mut distances);
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
        let mut block = self.block;
        for (row, list) in lists.into_iter().enumerate() {
            block.write(row, &list.finish());
        }
    }
}

/// The least distance to the first points of the groups, to the second points, and so on.
#[inline(always)]
fn least<S: Simd<Real: Number>, const D: usize, const L1: bool>(
    simd: S,
    query: &Query<'_, S, D>,
    groups: &[S::Real],
) -> [S::Real; GROUP] {
    let mut least = [S::Real::INFINITY; GROUP];
    let mut distances = [S::Real::INFINITY; GROUP];
    for points in groups.chunks_exact(GROUP * query.dimension()) {
        query.below::<GROUP, L1>(simd, points, S::Real::INFINITY, &mut distances);
        for start in (0..GROUP).step_by(S::LANES) {
            let smaller = simd.min(simd.load(&distances[start..]), simd.load(&least[start..]));
            simd.store(smaller, &mut least[start..]);
        }
    }
    least
}

/// The nearest point at each place in a group, and the number of its group, of which there are at most `MOST_GROUPS`.
#[derive(Clone, Copy)]
struct Places<T> {
    distances: [T; GROUP],
    groups: [T; GROUP],
}

impl<T: Number> Places<T> {
    const NONE: Self = Self { distances: [T::INFINITY; GROUP], groups: [T::NONE; GROUP] };

    /// Takes the groups of a tile, numbered from `first`.
    #[inline(always)]
    fn keep_nearest<S: Simd<Real = T>, const D: usize, const L1: bool>(
        &mut self,
        simd: S,
        query: &Query<'_, S, D>,
        tile: &[T],
        first: usize,
    ) {
        let d = query.dimension();
        // `TOGETHER` vectors at a time: their minima stay in registers for the whole tile.
        for start in (0..GROUP).step_by(TOGETHER * S::LANES) {
            let mut distances = [simd.splat(T::ZERO); TOGETHER];
            let mut groups = distances;
            for vector in 0..TOGETHER {
                distances[vector] = simd.load(&self.distances[start + vector * S::LANES..]);
                groups[vector] = simd.load(&self.groups[start + vector * S::LANES..]);
            }
            for (group, points) in tile.chunks_exact(GROUP * d).enumerate() {
                let number = simd.splat(T::number(first + group));
                let mut sums = [simd.splat(T::ZERO); TOGETHER];
                for axis in 0..d {
                    let query = query.spread(simd, axis);
                    for vector in 0..TOGETHER {
                        let from = axis * GROUP + start + vector * S::LANES;
                        let difference = simd.sub(query, simd.load(&points[from..]));
                        sums[vector] = accumulate::<S, L1>(simd, difference, sums[vector]);
                    }
                }
                for vector in 0..TOGETHER {
                    groups[vector] = simd.select_less(sums[vector], distances[vector], number, groups[vector]);
                    distances[vector] = simd.min(sums[vector], distances[vector]);
                }
            }
            for vector in 0..TOGETHER {
                simd.store(distances[vector], &mut self.distances[start + vector * S::LANES..]);
                simd.store(groups[vector], &mut self.groups[start + vector * S::LANES..]);
            }
        }
    }

    /// The key of the nearest of all, if one is below infinity.
    #[inline(always)]
    fn nearest<S: Simd<Real = T>>(&self, simd: S) -> Option<T::Key> {
        let mut least = simd.load(&self.distances);
        for start in (S::LANES..GROUP).step_by(S::LANES) {
            least = simd.min(least, simd.load(&self.distances[start..]));
        }
        let distance = simd.least(least);
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
