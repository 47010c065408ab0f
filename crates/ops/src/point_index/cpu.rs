// SPDX-License-Identifier: Apache-2.0
//! A tree for each cloud, split at medians; clouds and halves of clouds in parallel.

use patina3d_core::tree::{Layout, TreeMut};
use patina3d_core::{Result, pool};

use super::{Inputs, Outputs};
use crate::knn::cpu::{Number, cloud_of, lengths};

/// What a point costs.
const NANOSECONDS: usize = 70;

pub(super) fn forward<T: Number>(x: &Inputs<'_>, layout: Layout, threads: usize, out: &mut Outputs<'_>) -> Result<()> {
    let (n, p, d) = (x.points.shape()[0], x.points.shape()[1], x.points.shape()[2]);
    let points = x.points.as_slice::<T>()?;
    let lengths = lengths(x.lengths.as_ref(), n, p)?;
    let leaves = pieces(out.leaves.as_mut_slice()?, n);
    let boxes = pieces(out.boxes.as_mut_slice()?, n);
    let ids = pieces(out.ids.as_mut_slice()?, n);
    let memory = leaves.zip(boxes).zip(ids);
    let mut trees: Vec<_> = memory.map(|((points, boxes), ids)| Some(TreeMut { points, boxes, ids })).collect();
    pool::run(threads, NANOSECONDS * n * p, |threads| {
        pool::for_each_chunk(threads, &mut trees, 1, |cloud, tree| {
            if let Some(tree) = tree[0].take() {
                tree.build(layout, cloud_of(points, &lengths, cloud, d), threads);
            }
        });
    });
    Ok(())
}

/// As many equal pieces as there are clouds; none of nothing.
fn pieces<T>(values: &mut [T], clouds: usize) -> impl Iterator<Item = &mut [T]> {
    let size = values.len() / clouds;
    values.chunks_mut(size.max(1))
}
