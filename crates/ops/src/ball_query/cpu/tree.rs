// SPDX-License-Identifier: Apache-2.0
//! Queries near each other share their candidates: the tree finds the points that may be in any of their balls, and each
//! query scans these in the order of indices.

use std::ops::Range;

use patina3d_core::geometry::{greater, lesser};
use patina3d_core::simd::{Body, Simd};
use patina3d_core::tree::Tree;

use super::scan::Scan;
use crate::knn::cpu::brute_force::Tiles;
use crate::knn::cpu::{Block, Number, Rows};

/// Queries that are taken together.
const TOGETHER: usize = 32;
/// If they have more candidates than this, they are parted when they are farther apart than the size of their balls;
const CANDIDATES: usize = 1024;
/// otherwise so many of the first points may fill their rows.
const FIRST: usize = 4096;
/// To sort a number costs as much as to look for marks among so many points.
const MARKS: usize = 1024;

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
            3 => self.walk::<S, 3>(simd),
            _ => self.walk::<S, 0>(simd),
        }
    }
}

impl<T: Number> Search<'_, T> {
    /// `D` is the dimension, or 0 where it is only known at run time.
    #[inline(always)]
    fn walk<S: Simd<Real = T>, const D: usize>(self, simd: S) {
        let limit = self.block.limit();
        let Block { queries, points, d, k, norm, within, rows } = self.block;
        let count = queries.len() / d;
        let (mut numbers, mut marks, mut first) = (Vec::new(), Vec::new(), None);
        let mut ranges: Vec<_> = (0..count).step_by(TOGETHER).map(|i| i..count.min(i + TOGETHER)).collect();
        while let Some(range) = ranges.pop() {
            let group = &queries[range.start * d..range.end * d];
            let [low, high] = bounds(group, d);
            let slots = range.start * k..range.end * k;
            let (dists, idx) = (&mut rows.dists[slots.clone()], &mut rows.idx[slots]);
            numbers.clear();
            if !self.tree.near::<S, D>(simd, [&low, &high], limit, CANDIDATES, &mut numbers) {
                if range.len() > 1 && is_wide(&low, &high, limit) {
                    ranges.extend(halves(range));
                    continue;
                }
                let tiles = first.get_or_insert_with(|| Tiles::new(&points[..points.len().min(FIRST * d)], d));
                let rows = Rows { dists: &mut *dists, idx: &mut *idx };
                Scan { block: Block { queries: group, points, d, k, norm, within, rows }, tiles }.run(simd);
                if idx.chunks_exact(k).all(|found| found[k - 1] >= 0) {
                    continue;
                }
                numbers.clear();
                self.tree.near::<S, D>(simd, [&low, &high], limit, usize::MAX, &mut numbers);
            }
            sort(&mut numbers, &mut marks, points.len() / d);
            let rows = Rows { dists, idx: &mut *idx };
            let tiles = &Tiles::of::<D>(points, d, &numbers);
            Scan { block: Block { queries: group, points, d, k, norm, within, rows }, tiles }.run(simd);
            for found in idx.chunks_exact_mut(k) {
                for index in found.iter_mut().take_while(|index| **index >= 0) {
                    *index = i64::from(numbers[*index as usize]);
                }
            }
        }
    }
}

/// The box around the finite ones of some queries; without one, a box that is far from everything.
#[inline(always)]
fn bounds<T: Number>(queries: &[T], d: usize) -> [Vec<T>; 2] {
    let (mut low, mut high) = (vec![T::INFINITY; d], vec![-T::INFINITY; d]);
    for query in queries.chunks_exact(d).filter(|query| query.iter().all(|value| value.is_finite())) {
        for (axis, &value) in query.iter().enumerate() {
            low[axis] = lesser(value, low[axis]);
            high[axis] = greater(value, high[axis]);
        }
    }
    [low, high]
}

/// Whether a side is longer than the diameter of balls, the square of whose radius this is.
fn is_wide<T: Number>(low: &[T], high: &[T], limit: T) -> bool {
    low.iter().zip(high).any(|(&low, &high)| (high - low) * (high - low) > T::of(4.0) * limit)
}

fn halves(range: Range<usize>) -> [Range<usize>; 2] {
    let middle = range.start + range.len() / 2;
    [range.start..middle, middle..range.end]
}

/// Sorts numbers of points of a cloud of `count`. Numbers beyond it are dropped, whatever the tree says. `marks` are all 0
/// before and after.
#[inline(always)]
fn sort(numbers: &mut Vec<u32>, marks: &mut Vec<u64>, count: usize) {
    numbers.retain(|&number| (number as usize) < count);
    if numbers.len() < count / MARKS {
        numbers.sort_unstable();
        return;
    }
    marks.resize(count.div_ceil(64), 0);
    for &number in &*numbers {
        marks[number as usize / 64] |= 1 << (number % 64);
    }
    numbers.clear();
    for (first, marks) in (0..).step_by(64).zip(marks) {
        while *marks != 0 {
            numbers.push(first + marks.trailing_zeros());
            *marks &= *marks - 1;
        }
    }
}
