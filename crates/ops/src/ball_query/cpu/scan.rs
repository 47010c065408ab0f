// SPDX-License-Identifier: Apache-2.0
//! A scan in the order of indices: each query leaves when its row is full.

use patina3d_core::simd::{Body, Simd};
use patina3d_core::tree::Query;

use crate::knn::cpu::brute_force::Tiles;
use crate::knn::cpu::{Block, GROUP, Number};

/// Groups that are tested before their points are taken.
const TOGETHER: usize = 16;

/// Every query against every tile, until it has found K points.
pub(super) struct Scan<'a, T> {
    pub(super) block: Block<'a, T>,
    pub(super) tiles: &'a Tiles<T>,
}

impl<T: Number> Body<T> for Scan<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Real = T>>(self, simd: S) {
        match self.block.d {
            3 => self.walk::<S, 3>(simd),
            _ => self.walk::<S, 0>(simd),
        }
    }
}

impl<T: Number> Scan<'_, T> {
    /// `D` is the dimension, or 0 where it is only known at run time.
    #[inline(always)]
    fn walk<S: Simd<Real = T>, const D: usize>(mut self, simd: S) {
        let (d, k) = (if D == 0 { self.block.d } else { D }, self.block.k);
        let mut distances = [[T::ZERO; GROUP]; TOGETHER];
        let mut counts = vec![0; self.block.queries.len() / d];
        let mut first = 0;
        for tile in self.tiles.values.chunks(self.tiles.count * d) {
            for row in 0..counts.len() {
                if counts[row] < k {
                    counts[row] = self.walk_tile::<S, D>(simd, row, counts[row], tile, first, &mut distances);
                }
            }
            first += tile.len() / d;
        }
        for (row, &count) in counts.iter().enumerate() {
            self.block.rows.dists[row * k + count..(row + 1) * k].fill(T::ZERO);
            self.block.rows.idx[row * k + count..(row + 1) * k].fill(-1);
        }
    }

    /// Takes the points of a tile, numbered from `first`, into a row that holds `count`; how many it holds then.
    #[inline(always)]
    fn walk_tile<S: Simd<Real = T>, const D: usize>(
        &mut self,
        simd: S,
        row: usize,
        mut count: usize,
        tile: &[T],
        first: usize,
        distances: &mut [[T; GROUP]; TOGETHER],
    ) -> usize {
        let (limit, Block { queries, d, k, rows, .. }) = (self.block.limit(), &mut self.block);
        let query = Query::<S, D>::new(simd, &queries[row * *d..(row + 1) * *d]);
        let (dists, idx) = (&mut rows.dists[row * *k..(row + 1) * *k], &mut rows.idx[row * *k..(row + 1) * *k]);
        // Short walks first: where balls hold much of the cloud, rows are soon full.
        let (mut group, groups) = (0, tile.len() / (GROUP * query.dimension()));
        let mut together = if first == 0 { 2 } else { TOGETHER };
        let mut hits = [(0, 0); TOGETHER];
        while group < groups {
            let points = &tile[group * GROUP * query.dimension()..];
            let mut met = 0;
            for (part, points) in points.chunks_exact(GROUP * query.dimension()).take(together).enumerate() {
                let bits = query.below::<GROUP, false>(simd, points, limit, &mut distances[part]);
                // Groups without a point of the ball are passed over without a branch.
                hits[met % TOGETHER] = (part, bits);
                met += usize::from(bits != 0);
            }
            for &(part, mut bits) in &hits[..met] {
                while bits != 0 {
                    let j = bits.trailing_zeros() as usize % GROUP;
                    bits &= bits - 1;
                    dists[count] = distances[part][j];
                    idx[count] = (first + (group + part) * GROUP + j) as i64;
                    count += 1;
                    if count == *k {
                        return count;
                    }
                }
            }
            group += together;
            together = (2 * together).min(TOGETHER);
        }
        count
    }
}
