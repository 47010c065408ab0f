// SPDX-License-Identifier: Apache-2.0
//! Clouds in parallel, each in blocks of points; a new choice passes over the blocks that it is too far from to change.

mod blocks;

use patina3d_core::order::Order;
use patina3d_core::simd;
use patina3d_core::{Result, TensorMut, pool};

use super::{Inputs, Sizes};
use crate::knn::cpu::{Number, cloud_of, cost, lengths};
use blocks::{BLOCK, Blocks, Choose};

/// Sorting points into compact blocks pays from this many choices on.
const SORTED_CHOICES: usize = 256;
/// In more dimensions the boxes of blocks overlap too much.
const SORTED_DIMENSION: usize = 6;

pub(super) fn forward<T: Number>(x: &Inputs<'_>, sizes: Sizes, threads: usize, idx: &mut TensorMut<'_>) -> Result<()> {
    let Sizes { n, p, d, k } = sizes;
    let (points, idx) = (x.points.as_slice::<T>()?, idx.as_mut_slice::<i64>()?);
    if idx.is_empty() {
        return Ok(());
    }
    let (lengths, counts) = (lengths(x.lengths.as_ref(), n, p)?, lengths(x.counts.as_ref(), n, k)?);
    let starts = x.start.map(|start| start.as_slice::<i64>()).transpose()?;
    pool::run(threads, cost([n, p, k.min(p), d]), |threads| {
        pool::for_each_chunk(threads, idx, k, |cloud, row| {
            let length = lengths[cloud];
            let (chosen, padding) = row.split_at_mut(counts[cloud].min(length));
            padding.fill(-1);
            if chosen.is_empty() {
                return;
            }
            let start = starts.map_or(0, |starts| starts[cloud].clamp(0, length as i64 - 1));
            choose(cloud_of(points, &lengths, cloud, d), d, start as u32, threads, chosen);
        });
    });
    Ok(())
}

/// Fills `chosen`, which is neither empty nor longer than the cloud.
fn choose<T: Number>(cloud: &[T], d: usize, start: u32, threads: usize, chosen: &mut [i64]) {
    let count = cloud.len() / d;
    let sorted = chosen.len() >= SORTED_CHOICES && count > BLOCK && d <= SORTED_DIMENSION;
    let order =
        if sorted { Order::spatial(cloud, d, BLOCK, threads).numbers().to_vec() } else { (0..count as u32).collect() };
    simd::dispatch(Choose { blocks: Blocks::new(cloud, d, order), cloud, start, chosen });
}
