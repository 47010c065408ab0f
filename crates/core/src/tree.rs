// SPDX-License-Identifier: Apache-2.0
//! A bounding-volume tree over points, without pointers: the points in an order that keeps neighbours together, cut into
//! leaves of [`WIDTH`], and above them nodes of [`WIDTH`] boxes each, as many levels as it takes. Node i of a level has
//! the nodes i `WIDTH` .. (i + 1) `WIDTH` of the next below it. Vectors test the boxes of a node, or the points of a leaf, at once.
//!
//! A tree is three arrays whose [`Layout`] depends on the number of points and their dimension alone, whoever owns them:
//! [`PointTree`] here, or a tensor. `tree.cuh` searches the same arrays on a GPU.
//!
//! A search visits every leaf that may hold a point below the visitor's bound, so what it finds does not depend on the
//! tree: the distance to a box is accumulated as the distance to a point is, with the same roundings, and rounding is
//! monotone, so the box is never farther than a point in it.

mod build;
mod search;
#[cfg(test)]
mod tests;

use crate::geometry::Scalar;
use crate::simd::{Simd, Vectorised};
use crate::tensor::DevicePtr;

pub use search::{Query, Visitor, accumulate};

/// Points of a leaf, and boxes of a node.
pub const WIDTH: usize = 16;
/// `WIDTH` to this power is more than `u32` can number.
const MOST_LEVELS: usize = 8;

/// Where things are in the arrays of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    d: usize,
    leaves: usize,
    /// Levels of nodes, the root's the first.
    levels: usize,
    /// The first node of each level.
    first: [usize; MOST_LEVELS],
    nodes: usize,
}

impl Layout {
    /// For at most this many points, fewer than 2^32 - 1, of `d` coordinates.
    pub fn new(points: usize, d: usize) -> Self {
        let leaves = points.div_ceil(WIDTH);
        let width_of = |level: usize, levels: usize| leaves.div_ceil(WIDTH.pow((levels - level) as u32));
        let levels = (1..MOST_LEVELS).find(|&levels| width_of(0, levels) <= 1).unwrap_or(MOST_LEVELS);
        let mut first = [0; MOST_LEVELS];
        let mut nodes = 0;
        for (level, first) in first.iter_mut().enumerate().take(levels) {
            *first = nodes;
            nodes += width_of(level, levels);
        }
        Self { d, leaves, levels, first, nodes }
    }

    /// The number of leaves.
    pub fn leaves(&self) -> usize {
        self.leaves
    }

    /// The number of nodes.
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// The number of levels of nodes.
    pub fn levels(&self) -> usize {
        self.levels
    }

    /// The first node of a level.
    pub fn first(&self, level: usize) -> usize {
        self.first[level]
    }

    /// The number of nodes of a level.
    pub fn nodes_of(&self, level: usize) -> usize {
        if level + 1 < self.levels { self.first[level + 1] - self.first[level] } else { self.nodes - self.first[level] }
    }

    /// The shape of the points: leaf by leaf, axis by axis. Missing points are infinitely far, as are those with a
    /// coordinate that is not finite: no distance to them is below infinity.
    pub fn points(&self) -> [usize; 3] {
        [self.leaves, self.d, WIDTH]
    }

    /// The shape of the boxes: from the root to the nodes above the leaves, least coordinates axis by axis, then the
    /// greatest. Missing boxes are infinitely far.
    pub fn boxes(&self) -> [usize; 4] {
        [self.nodes, 2, self.d, WIDTH]
    }

    /// The shape of the ids: of nodes, the least number of the points in each box; of leaves, the number of each point
    /// in its cloud. `u32::MAX` where there is nothing.
    pub fn ids(&self) -> [usize; 2] {
        [self.nodes + self.leaves, WIDTH]
    }
}

/// A tree over the points of one cloud, in somebody's memory.
#[derive(Debug, Clone, Copy)]
pub struct Tree<'a, T> {
    layout: Layout,
    points: &'a [T],
    boxes: &'a [T],
    ids: &'a [u32],
}

impl<'a, T: Scalar + Vectorised> Tree<'a, T> {
    /// In arrays that [`build`](TreeMut::build) has filled; `None` where one is not of the layout's size. Numbers in
    /// `ids` are handed to visitors as they are.
    pub fn new(layout: Layout, points: &'a [T], boxes: &'a [T], ids: &'a [u32]) -> Option<Self> {
        let fits = points.len() == layout.points().iter().product()
            && boxes.len() == layout.boxes().iter().product()
            && ids.len() == layout.ids().iter().product();
        fits.then_some(Self { layout, points, boxes, ids })
    }
}

/// The memory of a tree, to be filled. What was in it does not matter.
#[derive(Debug)]
pub struct TreeMut<'a, T> {
    /// Of the shape [`Layout::points`].
    pub points: &'a mut [T],
    /// Of the shape [`Layout::boxes`].
    pub boxes: &'a mut [T],
    /// Of the shape [`Layout::ids`].
    pub ids: &'a mut [u32],
}

/// A tree over the points of one cloud that owns its memory.
#[derive(Debug, Clone, PartialEq)]
pub struct PointTree<T> {
    layout: Layout,
    points: Vec<T>,
    boxes: Vec<T>,
    ids: Vec<u32>,
}

impl<T: Scalar + Vectorised> PointTree<T> {
    /// Builds the tree over points of `d` coordinates, fewer than 2^32 - 1 of them. With more than one thread it is to be
    /// called inside a pool.
    pub fn new(points: &[T], d: usize, threads: usize) -> Self {
        let layout = Layout::new(points.len() / d, d);
        let mut tree = Self {
            layout,
            points: vec![T::ZERO; layout.points().iter().product()],
            boxes: vec![T::ZERO; layout.boxes().iter().product()],
            ids: vec![0; layout.ids().iter().product()],
        };
        TreeMut { points: &mut tree.points, boxes: &mut tree.boxes, ids: &mut tree.ids }.build(layout, points, threads);
        tree
    }

    /// For searching.
    #[inline(always)]
    pub fn view(&self) -> Tree<'_, T> {
        Tree { layout: self.layout, points: &self.points, boxes: &self.boxes, ids: &self.ids }
    }

    /// As [`Tree::search`].
    #[inline(always)]
    pub fn search<S, V, const D: usize, const L1: bool>(&self, simd: S, query: &Query<'_, S, D>, visitor: &mut V)
    where
        S: Simd<Real = T>,
        V: Visitor<S>,
    {
        self.view().search::<S, V, D, L1>(simd, query, visitor);
    }
}

crate::shared_struct! {
    /// `tree.cuh` says what each field is.
    #[derive(Default)]
    pub struct DeviceTree {
        pub points: DevicePtr,
        pub boxes: DevicePtr,
        pub ids: DevicePtr,
        pub first: [i64; MOST_LEVELS],
        pub leaves: i64,
        pub nodes: i64,
        pub levels: i64,
    }
}

impl DeviceTree {
    /// The trees of a batch of clouds, each of the same layout, one after the other in memory of a device.
    pub fn new(layout: &Layout, points: DevicePtr, boxes: DevicePtr, ids: DevicePtr) -> Self {
        Self {
            points,
            boxes,
            ids,
            first: layout.first.map(|node| node as i64),
            leaves: layout.leaves as i64,
            nodes: layout.nodes as i64,
            levels: layout.levels as i64,
        }
    }
}
