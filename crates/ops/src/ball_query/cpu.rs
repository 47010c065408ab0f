// SPDX-License-Identifier: Apache-2.0
//! The nearest are found by the search of [`crate::knn`] with the radius as its bound. The first are those that a scan in
//! the order of indices meets: of all points, or of those that a tree finds near some queries; both paths find the same.

mod choice;
mod scan;
#[cfg(test)]
mod tests;
mod tree;

use patina3d_core::simd;
use patina3d_core::{Result, TensorMut, pool};

use super::{GatherInputs, Inputs, Order, Outputs, Sizes};
use crate::knn::Norm;
use crate::knn::cpu::{Block, Layout, Metric, Number, Plan, Rows, Way, cost, lengths, search, search_with};

pub(super) fn forward<T: Number>(x: &Inputs<'_>, sizes: Sizes, threads: usize, out: &mut Outputs<'_>) -> Result<()> {
    let Sizes { n, p1, p2, d, k } = sizes;
    let (queries, points) = (x.p1.as_slice::<T>()?, x.p2.as_slice::<T>()?);
    let (dists, idx) = (out.dists.as_mut_slice::<T>()?, out.idx.as_mut_slice::<i64>()?);
    if dists.is_empty() {
        return Ok(());
    }
    let (lengths1, lengths2) = (lengths(x.lengths1.as_ref(), n, p1)?, lengths(x.lengths2.as_ref(), n, p2)?);
    let trees = x.checked_trees()?.map_or(Ok(Vec::new()), |trees| (0..n).map(|cloud| trees.cloud(cloud)).collect())?;
    let ways = [Way { queries, lengths1: &lengths1, points, lengths2: &lengths2, trees: &trees }];
    let rows = vec![Rows { dists, idx }];
    let metric = Metric { norm: Norm::SquaredL2, d, k, within: Some(x.limit()) };
    pool::run(threads, cost([n, p1, p2, d]), |threads| match x.order {
        Order::Nearest => search(threads, metric, &ways, rows),
        Order::Index => {
            let plan = |queries: &[T], points: &[T], kept| {
                Plan::ordered(choice::layout(metric, queries, points, kept, threads), queries, d, threads)
            };
            search_with(threads, metric, &ways, rows, plan, find);
        }
    });
    Ok(())
}

/// Slots that are gathered in one piece of work.
const SLOTS: usize = 1 << 12;

pub(super) fn gather<T: Number>(
    x: &GatherInputs<'_>,
    [n, p1, k, d]: [usize; 4],
    threads: usize,
    out: &mut TensorMut<'_>,
) -> Result<()> {
    let (points, idx) = (x.points.as_slice::<T>()?, x.idx.as_slice::<i64>()?);
    let out = out.as_mut_slice::<T>()?;
    if out.is_empty() {
        return Ok(());
    }
    let num_points = points.len() / (n * d);
    pool::run(threads, out.len(), |threads| {
        pool::for_each_chunk(threads, out, SLOTS * d, |piece, rows| {
            for (slot, row) in (piece * SLOTS..).zip(rows.chunks_exact_mut(d)) {
                match usize::try_from(idx[slot]) {
                    Ok(index) if index < num_points => {
                        row.copy_from_slice(&points[(slot / (p1 * k) * num_points + index) * d..][..d]);
                    }
                    _ => row.fill(T::ZERO),
                }
            }
        });
    });
    Ok(())
}

/// Fills a block with the first points.
fn find<T: Number>(layout: &Layout<'_, T>, block: Block<'_, T>) {
    match layout {
        Layout::Tiles(tiles) => simd::dispatch(scan::Scan { block, tiles }),
        Layout::Tree(tree) => simd::dispatch(tree::Search { block, tree: tree.view() }),
        Layout::Kept(tree) => simd::dispatch(tree::Search { block, tree: *tree }),
    }
}
