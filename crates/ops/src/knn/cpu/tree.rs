// SPDX-License-Identifier: Apache-2.0
//! Each query descends the tree, its list of candidates as the bound.

use patina3d_core::geometry::Scalar;
use patina3d_core::simd::{Body, Simd};
use patina3d_core::tree::{Query, Tree, Visitor, WIDTH};

use super::super::Norm;
use super::lists::{List, Selection, Sorted};
use super::{Block, Number};

/// Every query against the tree.
pub(super) struct Search<'a, T> {
    pub(super) block: Block<'a, T>,
    pub(super) tree: Tree<'a, T>,
}

impl<T: Number> Body<T> for Search<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Real = T>>(self, simd: S) {
        match self.block.k {
            1 => self.with_list::<S, Sorted<T, 1>>(simd),
            2..=8 => self.with_list::<S, Sorted<T, 8>>(simd),
            9..=16 => self.with_list::<S, Sorted<T, 16>>(simd),
            17..=32 => self.with_list::<S, Sorted<T, 32>>(simd),
            _ => self.with_list::<S, Selection<T>>(simd),
        }
    }
}

impl<T: Number> Search<'_, T> {
    #[inline(always)]
    fn with_list<S: Simd<Real = T>, L: List<T>>(self, simd: S) {
        match (self.block.norm, self.block.d) {
            (Norm::SquaredL2, 3) => self.descend::<S, L, 3, false>(simd),
            (Norm::SquaredL2, _) => self.descend::<S, L, 0, false>(simd),
            (Norm::L1, _) => self.descend::<S, L, 0, true>(simd),
        }
    }

    #[inline(always)]
    fn descend<S: Simd<Real = T>, L: List<T>, const D: usize, const L1: bool>(self, simd: S) {
        let mut block = self.block;
        // One at the distance of the last of the list enters it here, one at the limit must not.
        let worst = -(-block.limit()).next_up();
        for row in 0..block.queries.len() / block.d {
            let query = Query::<S, D>::new(simd, &block.queries[row * block.d..(row + 1) * block.d]);
            let mut candidates = Candidates::<S, L, D, L1> { simd, query: &query, list: L::new(block.k, worst) };
            self.tree.search::<S, _, D, L1>(simd, &query, &mut candidates);
            let best = candidates.list.finish();
            block.write(row, &best);
        }
    }
}

struct Candidates<'a, S: Simd, L, const D: usize, const L1: bool> {
    simd: S,
    query: &'a Query<'a, S, D>,
    list: L,
}

impl<S: Simd<Real: Number>, L: List<S::Real>, const D: usize, const L1: bool> Visitor<S>
    for Candidates<'_, S, L, D, L1>
{
    #[inline(always)]
    fn bound(&self) -> S::Real {
        // Points come in any order: one at the distance of the last of the list may have a lower number.
        self.list.worst().next_up()
    }

    #[inline(always)]
    fn excludes(&self, distance: S::Real, number: u32) -> bool {
        distance >= self.list.worst() && S::Real::key(distance, number) > self.list.last()
    }

    #[inline(always)]
    fn visit(&mut self, points: &[S::Real], ids: &[u32; WIDTH]) {
        let mut distances = [S::Real::ZERO; WIDTH];
        let mut bits = self.query.below::<WIDTH, L1>(self.simd, points, self.bound(), &mut distances);
        while bits != 0 {
            let j = bits.trailing_zeros() as usize % WIDTH;
            bits &= bits - 1;
            self.list.offer(S::Real::key(distances[j], ids[j]));
        }
    }
}
