// SPDX-License-Identifier: Apache-2.0
//! Small clouds: every pair once, for both ways. Large ones: the search of [`crate::knn`], a tree for either way.

mod backward;
mod every_pair;
#[cfg(test)]
mod tests;

use patina3d_core::{Result, pool};

use super::{Inputs, Outputs, Sizes};
use crate::knn::cpu::{Metric, Number, Rows, Way, cost, lengths, search, tree_is_quicker};

pub(super) use backward::backward;

/// Trees pay from clouds with this many bytes an axis on: later than in a search one way, for a look at a pair serves both
/// ways, and the later the more numbers a vector holds.
const TREE_BYTES: usize = 16 * 1024;

pub(super) fn forward<T: Number>(x: &Inputs<'_>, sizes: Sizes, threads: usize, out: &mut Outputs<'_>) -> Result<()> {
    let Sizes { n, p1, p2, d } = sizes;
    let (x_lengths, y_lengths) = (lengths(x.x_lengths.as_ref(), n, p1)?, lengths(x.y_lengths.as_ref(), n, p2)?);
    let (of_x, of_y) = (x.x.as_slice::<T>()?, x.y.as_slice::<T>()?);
    let rows_x = Rows { dists: out.x.dists.as_mut_slice::<T>()?, idx: out.x.idx.as_mut_slice()? };
    let rows_y = Rows { dists: out.y.dists.as_mut_slice::<T>()?, idx: out.y.idx.as_mut_slice()? };
    let metric = Metric { norm: x.norm, d, k: 1, within: None };
    // The search from x goes down the trees of y.
    let [y_trees, x_trees] = x.ways().map(|way| way.kept_trees(n));
    let (y_trees, x_trees) = (y_trees?, x_trees?);
    let from_x = Way { queries: of_x, lengths1: &x_lengths, points: of_y, lengths2: &y_lengths, trees: &y_trees };
    let from_y = Way { queries: of_y, lengths1: &y_lengths, points: of_x, lengths2: &x_lengths, trees: &x_trees };
    let kept = !x_trees.is_empty() || !y_trees.is_empty();
    let trees = x_lengths.iter().zip(&y_lengths).any(|(&x, &y)| {
        x.min(y) * size_of::<T>() >= TREE_BYTES && tree_is_quicker(x, y, d, 1) && tree_is_quicker(y, x, d, 1)
    });
    pool::run(threads, cost([n, p1, p2, d]), |threads| {
        if kept || trees || p1.max(p2) > every_pair::MOST_POINTS {
            search(threads, metric, &[from_x, from_y], vec![rows_x, rows_y]);
        } else if p1 >= p2 {
            every_pair::search(threads, metric, from_x, rows_x, rows_y);
        } else {
            // The smaller cloud stays in the cache while the larger one walks over it.
            every_pair::search(threads, metric, from_y, rows_y, rows_x);
        }
    });
    Ok(())
}
