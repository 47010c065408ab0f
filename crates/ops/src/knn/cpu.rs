// SPDX-License-Identifier: Apache-2.0
//! Blocks of queries in parallel, each against the tree of its cloud or, where that is quicker, against every point.

pub(crate) mod backward;
pub(crate) mod brute_force;
mod lists;
#[cfg(test)]
mod tests;
mod tree;

use std::cmp::Ordering;

use patina3d_core::geometry::Scalar;
use patina3d_core::order::{Order, RowsMut};
use patina3d_core::simd::{self, Vectorised};
use patina3d_core::tree::{PointTree, Tree};
use patina3d_core::{Result, Tensor, pool};

use super::{Inputs, Norm, Outputs, Sizes, kept_tree_is_quicker};
use brute_force::Tiles;

pub(super) use backward::backward;

/// Queries that share one walk over a tile, or are taken together because they are near each other.
pub(crate) const QUERIES: usize = 64;
/// Points are tested in groups of this many: one branch for the group, a multiple of every vector width.
pub(crate) const GROUP: usize = 64;
/// A tree pays from this many points and queries on when one neighbour is asked for: brute force has no list to keep then.
const TREE_POINTS_FOR_ONE: usize = 2048;
/// A tree pays from this many on when several are.
const TREE_POINTS: usize = 384;
/// A tree over this many points is larger than the caches of a core: from here on queries descend it in an order that
/// keeps neighbours together, so that they meet what the last ones left in the cache.
const ORDERED_POINTS: usize = 1 << 15;
/// Pieces of work that each thread gets of ordered queries, so that none waits long for the last.
const PIECES: usize = 4;
/// Slots of padding that are one piece of work.
const PADDING: usize = 1 << 16;
/// In more dimensions the boxes of a tree overlap too much.
const TREE_DIMENSION: usize = 6;

/// What the loops need of f32 and f64 beyond vectors and arithmetic.
pub(crate) trait Number: Scalar + Vectorised {
    /// A distance (never negative, so its bits ascend with it) above an index: compares as the pair does.
    type Key: Copy + Ord + Send;
    fn key(distance: Self, index: u32) -> Self::Key;
    fn distance(key: Self::Key) -> Self;
    fn index(key: Self::Key) -> u32;
    /// Stands for no group.
    const NONE: Self;
    /// A number of a group as an element, and back; `NONE` gives `u32::MAX`.
    fn number(index: usize) -> Self;
    fn index_of(self) -> u32;
}

macro_rules! number {
    ($real:ty, $bits:ty, $key:ty) => {
        impl Number for $real {
            type Key = $key;
            #[inline(always)]
            fn key(distance: Self, index: u32) -> $key {
                <$key>::from(distance.to_bits()) << 32 | <$key>::from(index)
            }
            #[inline(always)]
            fn distance(key: $key) -> Self {
                Self::from_bits((key >> 32) as $bits)
            }
            #[inline(always)]
            fn index(key: $key) -> u32 {
                key as u32
            }
            const NONE: Self = -1.0;
            #[inline(always)]
            fn number(index: usize) -> Self {
                index as Self
            }
            #[inline(always)]
            fn index_of(self) -> u32 {
                if self < 0.0 { u32::MAX } else { self as u32 }
            }
        }
    };
}
number!(f32, u32, u64);
number!(f64, u64, u128);

/// How many points of each cloud count.
pub(crate) fn lengths(tensor: Option<&Tensor<'_>>, n: usize, most: usize) -> Result<Vec<usize>> {
    match tensor {
        None => Ok(vec![most; n]),
        Some(tensor) => {
            Ok(tensor.as_slice::<i64>()?.iter().map(|&length| length.clamp(0, most as i64) as usize).collect())
        }
    }
}

/// Nanoseconds that clouds x queries x points x coordinates cost, roughly: decides whether threads are worth waking.
pub(crate) fn cost(factors: [usize; 4]) -> usize {
    factors.into_iter().fold(1, usize::saturating_mul) / 32
}

/// A block of queries of one cloud, the points to find, and the rows to write.
pub(crate) struct Block<'a, T> {
    pub(crate) queries: &'a [T],
    pub(crate) points: &'a [T],
    pub(crate) d: usize,
    pub(crate) k: usize,
    pub(crate) norm: Norm,
    pub(crate) within: Option<T>,
    pub(crate) rows: Rows<'a, T>,
}

impl<T: Number> Block<'_, T> {
    /// A distance that is not below this is never a candidate.
    #[inline(always)]
    pub(crate) fn limit(&self) -> T {
        self.within.unwrap_or(T::INFINITY)
    }

    /// Writes a row: the best candidates in order, then what never was one.
    ///
    /// Distances that are not below infinity (overflow, NaN) are never candidates: slots left open by them take the
    /// lowest indices that are not in the list, with the distance as computed, unless distances are limited; slots beyond
    /// the cloud are padding.
    pub(crate) fn write(&mut self, row: usize, best: &[T::Key]) {
        let slots = row * self.k..(row + 1) * self.k;
        let (dists, idx) = (&mut self.rows.dists[slots.clone()], &mut self.rows.idx[slots]);
        for ((dist, index), &key) in dists.iter_mut().zip(&mut *idx).zip(best) {
            (*dist, *index) = (T::distance(key), i64::from(T::index(key)));
        }
        let (dists, idx) = (&mut dists[best.len()..], &mut idx[best.len()..]);
        dists.fill(T::ZERO);
        idx.fill(padding(self.within.is_some()));
        let count = self.points.len() / self.d;
        if self.within.is_none() && best.len() < self.k.min(count) {
            let query = &self.queries[row * self.d..(row + 1) * self.d];
            let distance = |j: usize| distance(self.norm, query, &self.points[j * self.d..(j + 1) * self.d]);
            let below_infinity = |j: &usize| matches!(distance(*j).partial_cmp(&T::INFINITY), Some(Ordering::Less));
            let rest = (0..count).filter(|j| !below_infinity(j));
            for ((dist, index), j) in dists.iter_mut().zip(idx).zip(rest) {
                (*dist, *index) = (distance(j), j as i64);
            }
        }
    }
}

/// The index of a slot without a neighbour: where distances are limited, such slots are among those of a cloud.
pub(crate) fn padding(limited: bool) -> i64 {
    if limited { -1 } else { 0 }
}

/// The distance of two points, as every level computes it.
#[inline(always)]
pub(crate) fn distance<T: Number>(norm: Norm, a: &[T], b: &[T]) -> T {
    let mut sum = T::ZERO;
    for axis in 0..a.len() {
        let difference = a[axis] - b[axis];
        sum = match norm {
            Norm::L1 => difference.abs() + sum,
            Norm::SquaredL2 => difference.mul_add(difference, sum),
        };
    }
    sum
}

/// How the points of a cloud are laid out for the search.
pub(crate) enum Layout<'a, T> {
    Tiles(Tiles<T>),
    Tree(PointTree<T>),
    /// One that somebody else keeps.
    Kept(Tree<'a, T>),
}

impl<T: Number> Layout<'_, T> {
    fn new(points: &[T], d: usize, tree: bool, threads: usize) -> Self {
        if tree { Self::Tree(PointTree::new(points, d, threads)) } else { Self::Tiles(Tiles::new(points, d)) }
    }

    fn is_tree(&self) -> bool {
        !matches!(self, Self::Tiles(_))
    }

    fn search(&self, block: Block<'_, T>) {
        match self {
            Self::Tiles(tiles) => simd::dispatch(brute_force::Search { block, tiles }),
            Self::Tree(tree) => simd::dispatch(tree::Search { block, tree: tree.view() }),
            Self::Kept(tree) => simd::dispatch(tree::Search { block, tree: *tree }),
        }
    }
}

/// Whether a tree, which has to be built, finds the neighbours sooner than brute force does.
pub(crate) fn tree_is_quicker(queries: usize, points: usize, d: usize, k: usize) -> bool {
    let least = if k == 1 { TREE_POINTS_FOR_ONE } else { TREE_POINTS };
    d <= TREE_DIMENSION && queries.min(points) >= least && points >= 8 * k
}

/// One search of a batch: for each query of each cloud, its neighbours among the points.
#[derive(Clone, Copy)]
pub(crate) struct Way<'a, T> {
    /// (N, P1, D), and how many of each cloud count.
    pub(crate) queries: &'a [T],
    pub(crate) lengths1: &'a [usize],
    /// (N, P2, D), and how many of each cloud count.
    pub(crate) points: &'a [T],
    pub(crate) lengths2: &'a [usize],
    /// A tree over the points of each cloud, or none of any.
    pub(crate) trees: &'a [Tree<'a, T>],
}

/// What all ways of a search share.
#[derive(Clone, Copy)]
pub(crate) struct Metric {
    pub(crate) norm: Norm,
    pub(crate) d: usize,
    pub(crate) k: usize,
    /// Only distances below this count, if there is a limit.
    pub(crate) within: Option<f64>,
}

/// Rows of K distances and indices that a way fills.
pub(crate) struct Rows<'a, T> {
    pub(crate) dists: &'a mut [T],
    pub(crate) idx: &'a mut [i64],
}

impl<T: Number> Rows<'_, T> {
    /// Cut into pieces of at most this many slots.
    pub(crate) fn chunks(self, slots: usize) -> impl Iterator<Item = Self> {
        let slots = slots.max(1);
        self.dists.chunks_mut(slots).zip(self.idx.chunks_mut(slots)).map(|(dists, idx)| Self { dists, idx })
    }

    /// The first slots, and the rest.
    fn split(self, slots: usize) -> [Self; 2] {
        let (dists, other_dists) = self.dists.split_at_mut(slots);
        let (idx, other_idx) = self.idx.split_at_mut(slots);
        [Self { dists, idx }, Self { dists: other_dists, idx: other_idx }]
    }

    /// The first slots, after the rest is set to 0 and the index of padding.
    pub(crate) fn pad(&mut self, slots: usize, index: i64) -> Rows<'_, T> {
        let (dists, padding) = self.dists.split_at_mut(slots);
        padding.fill(T::ZERO);
        let (idx, padding) = self.idx.split_at_mut(slots);
        padding.fill(index);
        Rows { dists, idx }
    }
}

/// The points of a cloud, laid out for its queries, and an order of these in which neighbours are together, if that pays.
pub(crate) struct Plan<'a, T> {
    layout: Layout<'a, T>,
    order: Option<Order>,
}

impl<'a, T: Number> Plan<'a, T> {
    /// Queries in any order.
    pub(crate) fn unordered(layout: Layout<'a, T>) -> Self {
        Self { layout, order: None }
    }

    /// Queries that descend a tree, in order, if they can be numbered.
    pub(crate) fn ordered(layout: Layout<'a, T>, queries: &[T], d: usize, threads: usize) -> Self {
        let sortable = queries.len() / d < u32::MAX as usize;
        let order = (layout.is_tree() && sortable).then(|| Order::spatial(queries, d, QUERIES, threads));
        Self { layout, order }
    }

    /// Cuts the rows of a cloud, those of `queries` first, into pieces of work.
    fn pieces<'p>(&'p self, queries: usize, k: usize, threads: usize, rows: Rows<'p, T>) -> Vec<Piece<'p, T>> {
        let [rows, rest] = rows.split(queries * k);
        let mut pieces: Vec<_> = rest.chunks(PADDING).map(|rows| Piece::Padding { rows }).collect();
        match &self.order {
            None => {
                let first = (0..).step_by(QUERIES);
                pieces.extend(first.zip(rows.chunks(QUERIES * k)).map(|(first, rows)| Piece::Run { first, rows }));
            }
            Some(order) => {
                let size = (order.numbers().len() / (PIECES * threads)).next_multiple_of(QUERIES).max(QUERIES);
                let rows = order.rows(size, rows.dists).zip(order.rows(size, rows.idx));
                pieces.extend(rows.map(|(dists, idx)| Piece::Members { dists, idx }));
            }
        }
        pieces
    }
}

/// Some queries of a cloud, and the rows that they fill.
enum Piece<'a, T> {
    /// None.
    Padding { rows: Rows<'a, T> },
    /// Those from `first` on.
    Run { first: usize, rows: Rows<'a, T> },
    /// The members of these rows.
    Members { dists: RowsMut<'a, T>, idx: RowsMut<'a, i64> },
}

impl<T: Number> Piece<'_, T> {
    /// Fills the rows.
    fn search(&mut self, metric: Metric, queries: &[T], points: &[T], find: impl Fn(Block<'_, T>)) {
        let Metric { norm, d, k, within } = metric;
        let within = within.map(T::of);
        match self {
            Self::Padding { rows } => {
                rows.pad(0, padding(within.is_some()));
            }
            Self::Run { first, rows } => {
                let queries = &queries[*first * d..][..rows.dists.len() / k * d];
                find(Block { queries, points, d, k, norm, within, rows: Rows { dists: rows.dists, idx: rows.idx } });
            }
            Self::Members { dists, idx } => {
                // A block at a time goes to where its rows are contiguous, and back.
                let mut near = Vec::with_capacity(QUERIES * d);
                let (mut near_dists, mut near_idx) = (vec![T::ZERO; QUERIES * k], vec![0; QUERIES * k]);
                let count = dists.members().len();
                for first in (0..count).step_by(QUERIES) {
                    let members = &dists.members()[first..count.min(first + QUERIES)];
                    near.clear();
                    for &query in members {
                        near.extend_from_slice(&queries[query as usize * d..][..d]);
                    }
                    let slots = members.len() * k;
                    let rows = Rows { dists: &mut near_dists[..slots], idx: &mut near_idx[..slots] };
                    find(Block { queries: &near, points, d, k, norm, within, rows });
                    for (place, from) in (0..slots).step_by(k).enumerate() {
                        dists.row(first + place).copy_from_slice(&near_dists[from..from + k]);
                        idx.row(first + place).copy_from_slice(&near_idx[from..from + k]);
                    }
                }
            }
        }
    }
}

/// The nearest of all ways at once, to be called in the pool: no way waits for another.
pub(crate) fn search<'a, T: Number>(threads: usize, metric: Metric, ways: &[Way<'a, T>], rows: Vec<Rows<'_, T>>) {
    let Metric { d, k, .. } = metric;
    let plan = |queries: &[T], points: &[T], kept: Option<Tree<'a, T>>| {
        let (num_queries, num_points) = (queries.len() / d, points.len() / d);
        let layout = match kept {
            Some(tree) if kept_tree_is_quicker(num_points, d, k) => Layout::Kept(tree),
            _ => Layout::new(points, d, tree_is_quicker(num_queries, num_points, d, k), threads),
        };
        if num_points >= ORDERED_POINTS && num_queries > QUERIES {
            Plan::ordered(layout, queries, d, threads)
        } else {
            Plan::unordered(layout)
        }
    };
    search_with(threads, metric, ways, rows, plan, Layout::search);
}

/// A search that `plan` lays out for each cloud, given queries, points and the tree that somebody keeps, and in which `find`
/// fills blocks.
pub(crate) fn search_with<'a, T: Number>(
    threads: usize,
    metric: Metric,
    ways: &[Way<'a, T>],
    rows: Vec<Rows<'_, T>>,
    plan: impl Fn(&[T], &[T], Option<Tree<'a, T>>) -> Plan<'a, T> + Send + Sync,
    find: impl Fn(&Layout<'a, T>, Block<'_, T>) + Send + Sync,
) {
    let Metric { d, k, .. } = metric;
    let clouds = ways.first().map_or(0, |way| way.lengths1.len());
    let cloud = |i: usize| {
        let (way, cloud) = (&ways[i / clouds], i % clouds);
        (cloud_of(way.queries, way.lengths1, cloud, d), cloud_of(way.points, way.lengths2, cloud, d))
    };
    // For the clouds of the first way, then those of the next.
    let mut plans: Vec<Option<Plan<'_, T>>> = (0..ways.len() * clouds).map(|_| None).collect();
    pool::for_each_chunk(threads, &mut plans, 1, |i, made| {
        let (queries, points) = cloud(i);
        made[0] = Some(plan(queries, points, ways[i / clouds].trees.get(i % clouds).copied()));
    });
    // Pieces with the number of their cloud.
    let mut work = Vec::new();
    for (way, rows) in rows.into_iter().enumerate() {
        let slots = rows.dists.len() / clouds.max(1);
        for (i, rows) in (way * clouds..).zip(rows.chunks(slots)) {
            if let Some(plan) = &plans[i] {
                let pieces = plan.pieces(ways[way].lengths1[i % clouds], k, threads, rows);
                work.extend(pieces.into_iter().map(|piece| (i, plan, piece)));
            }
        }
    }
    pool::for_each_chunk(threads, &mut work, 1, |_, piece| {
        let (i, plan, piece) = &mut piece[0];
        let (queries, points) = cloud(*i);
        piece.search(metric, queries, points, |block| find(&plan.layout, block));
    });
}

/// The points of a cloud that count, of a padded batch.
pub(crate) fn cloud_of<'a, T>(batch: &'a [T], lengths: &[usize], cloud: usize, d: usize) -> &'a [T] {
    let padded = batch.len() / lengths.len();
    &batch[cloud * padded..][..lengths[cloud] * d]
}

pub(super) fn forward<T: Number>(x: &Inputs<'_>, sizes: Sizes, threads: usize, out: &mut Outputs<'_>) -> Result<()> {
    let Sizes { n, p1, p2, d, k } = sizes;
    let (queries, points) = (x.p1.as_slice::<T>()?, x.p2.as_slice::<T>()?);
    let (dists, idx) = (out.dists.as_mut_slice::<T>()?, out.idx.as_mut_slice::<i64>()?);
    if dists.is_empty() {
        return Ok(());
    }
    let (lengths1, lengths2) = (lengths(x.lengths1.as_ref(), n, p1)?, lengths(x.lengths2.as_ref(), n, p2)?);
    let trees = x.kept_trees(n)?;
    let way = Way { queries, lengths1: &lengths1, points, lengths2: &lengths2, trees: &trees };
    pool::run(threads, cost([n, p1, p2, d]), |threads| {
        search(threads, Metric { norm: x.norm, d, k, within: None }, &[way], vec![Rows { dists, idx }]);
    });
    Ok(())
}
