// SPDX-License-Identifier: Apache-2.0
//! Each query descends the tree, which shows all points of the ball in any order, and keeps the first of them.

use patina3d_core::geometry::Scalar;
use patina3d_core::simd::{Body, Simd};
use patina3d_core::tree::{Query, Tree, Visitor, WIDTH};

use crate::knn::cpu::{Block, Number};

/// Points of a leaf that are taken without asking how many there are: most leaves hold no more of a ball.
const AT_ONCE: usize = 4;
/// Candidates are not sorted out before there are so many.
const LEAST: usize = 4 * WIDTH;

/// Every query against the tree.
pub(super) struct Search<'a, T> {
    pub(super) block: Block<'a, T>,
    pub(super) tree: Tree<'a, T>,
}

impl<T: Number> Body<T> for Search<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Real = T>>(self, simd: S) {
        match self.block.d {
            3 => self.descend::<S, 3>(simd),
            _ => self.descend::<S, 0>(simd),
        }
    }
}

impl<T: Number> Search<'_, T> {
    /// `D` is the dimension, or 0 where it is only known at run time.
    #[inline(always)]
    fn descend<S: Simd<Real = T>, const D: usize>(self, simd: S) {
        let mut block = self.block;
        let mut keys = Vec::new();
        for row in 0..block.queries.len() / block.d {
            let query = Query::<S, D>::new(simd, &block.queries[row * block.d..(row + 1) * block.d]);
            let (limit, k) = (block.limit(), block.k);
            // No number beyond the cloud, whatever the tree says.
            let last = (block.points.len() / block.d) as u32;
            let mut first = First { simd, query: &query, limit, keys: &mut keys, count: 0, last, k };
            self.tree.search::<S, _, D, false>(simd, &query, &mut first);
            let found = first.finish();
            block.write(row, &keys[..found]);
        }
    }
}

/// Candidates in any order; when there are many, those with the K lowest indices are selected.
struct First<'a, S: Simd<Real: Number>, const D: usize> {
    simd: S,
    query: &'a Query<'a, S, D>,
    limit: S::Real,
    /// The candidates, and room for more.
    keys: &'a mut Vec<<S::Real as Number>::Key>,
    count: usize,
    /// Only lower indices matter.
    last: u32,
    k: usize,
}

impl<S: Simd<Real: Number>, const D: usize> Visitor<S> for First<'_, S, D> {
    #[inline(always)]
    fn bound(&self) -> S::Real {
        self.limit
    }

    #[inline(always)]
    fn excludes(&self, _: S::Real, number: u32) -> bool {
        number >= self.last
    }

    #[inline(always)]
    fn visit(&mut self, points: &[S::Real], ids: &[u32; WIDTH]) {
        let mut distances = [S::Real::ZERO; WIDTH];
        let mut bits = self.query.below::<WIDTH, false>(self.simd, points, self.limit, &mut distances);
        if self.count + WIDTH + AT_ONCE > self.keys.len() {
            let room = (2 * self.keys.len()).max(2 * LEAST);
            self.keys.resize(room, S::Real::key(S::Real::ZERO, 0));
        }
        loop {
            for _ in 0..AT_ONCE {
                let j = bits.trailing_zeros() as usize % WIDTH;
                self.keys[self.count] = S::Real::key(distances[j], ids[j]);
                self.count += usize::from(bits != 0) * usize::from(ids[j] < self.last);
                bits &= bits.wrapping_sub(1);
            }
            if bits == 0 {
                break;
            }
        }
        if self.count >= self.k.saturating_mul(2).max(LEAST) {
            let keys = &mut self.keys[..self.count];
            let (_, &mut last, _) = keys.select_nth_unstable_by_key(self.k - 1, |&key| S::Real::index(key));
            self.last = S::Real::index(last);
            self.count = self.k;
        }
    }
}

impl<S: Simd<Real: Number>, const D: usize> First<'_, S, D> {
    /// Sorts the candidates by index; how many are to be kept.
    fn finish(self) -> usize {
        self.keys[..self.count].sort_unstable_by_key(|&key| S::Real::index(key));
        self.count.min(self.k)
    }
}
