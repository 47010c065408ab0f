// SPDX-License-Identifier: Apache-2.0
//! Scan or tree: a scan reads points until it has found K, a tree shows those near the ball, but all of them. Which is less
//! follows from how many lie in a ball, and a few queries tell that.

use patina3d_core::tree::{PointTree, Tree};

use super::find;
use crate::knn::cpu::brute_force::Tiles;
use crate::knn::cpu::{Block, Layout, Metric, Number, Rows};

/// In more dimensions the boxes of a tree overlap too much.
const TREE_DIMENSION: usize = 6;
/// A tree never pays for fewer queries or points.
const TREE_POINTS: usize = 512;
/// Queries that are asked.
const SAMPLE: usize = 16;
/// More slots than this are not kept of one of them.
const SAMPLE_SLOTS: usize = 1024;

// Nanoseconds a query, roughly; only their ratios matter.
/// To scan a byte of coordinates.
const READ: f64 = 0.0075;
/// To take a point that a scan has met, beyond what it costs among candidates.
const MEET: f64 = 4.0;
/// To build a tree, for each point.
const BUILD: f64 = 60.0;
/// To find candidates, and the order in which queries share them.
const DESCENT: f64 = 120.0;
/// To scan the candidates, for each point of the ball: they are some times as many.
const SHOW: f64 = 0.7;

/// The points of a cloud, as it is quicker for its queries, be there a tree already or not.
pub(super) fn layout<'a, T: Number>(
    metric: Metric,
    queries: &[T],
    points: &[T],
    kept: Option<Tree<'a, T>>,
    threads: usize,
) -> Layout<'a, T> {
    let (num_queries, num_points) = (queries.len() / metric.d, points.len() / metric.d);
    let few = num_queries.min(num_points) < TREE_POINTS;
    let flat = metric.d <= TREE_DIMENSION;
    if let (true, Some(tree)) = (flat, kept) {
        return Layout::Kept(tree);
    }
    let tiles = Layout::Tiles(Tiles::new(points, metric.d));
    if few || !flat {
        return tiles;
    }
    let build = BUILD * num_points as f64 / num_queries as f64;
    let (scan, in_ball) = sample(metric, queries, points, &tiles);
    if scan < build + DESCENT + SHOW * in_ball {
        return tiles;
    }
    Layout::Tree(PointTree::new(points, metric.d, threads))
}

/// For a query on average, what a scan costs and the number of points in the ball.
fn sample<T: Number>(metric: Metric, queries: &[T], points: &[T], tiles: &Layout<'_, T>) -> (f64, f64) {
    let Metric { norm, d, k, within } = metric;
    let (num_queries, num_points) = (queries.len() / d, points.len() / d);
    let asked: Vec<T> = (0..SAMPLE).flat_map(|i| &queries[i * num_queries / SAMPLE * d..][..d]).copied().collect();
    let slots = k.min(num_points).min(SAMPLE_SLOTS);
    let (mut dists, mut idx) = (vec![T::ZERO; SAMPLE * slots], vec![0; SAMPLE * slots]);
    let rows = Rows { dists: &mut dists, idx: &mut idx };
    find(tiles, Block { queries: &asked, points, d, k: slots, norm, within: within.map(T::of), rows });
    let (mut scanned, mut in_ball) = (0.0, 0.0);
    for found in idx.chunks_exact(slots) {
        let count = found.partition_point(|&index| index >= 0);
        let until = if count == slots { found[slots - 1] as usize + 1 } else { num_points };
        let share = count as f64 / until as f64;
        in_ball += share * num_points as f64 / SAMPLE as f64;
        scanned += (k as f64 / share).min(num_points as f64) / SAMPLE as f64;
    }
    (READ * scanned * (d * size_of::<T>()) as f64 + MEET * in_ball.min(k as f64), in_ball)
}
