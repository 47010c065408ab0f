// SPDX-License-Identifier: Apache-2.0
//! Points of a cloud in blocks, each with a box around it and the distance of its farthest point.
//!
//! A block whose farthest point is no farther than its box is from a new choice stays as it is: no point of the block is
//! nearer to the choice than the box (see `patina3d_core::tree`). The result does not depend on which points share a
//! block, only the time does.

use patina3d_core::geometry::{Scalar, greater, lesser};
use patina3d_core::simd::{Body, Simd};
use patina3d_core::tree::{Query, WIDTH, accumulate, no_boxes};

use crate::knn::cpu::Number;

/// Points of a block, a multiple of every vector width.
pub(super) const BLOCK: usize = 64;

/// The distance of what cannot be chosen: points chosen before, and missing ones.
fn taken<T: Number>() -> T {
    T::of(-1.0)
}

/// The points of a cloud that have not been chosen, and those that have.
pub(super) struct Blocks<T> {
    d: usize,
    /// The number of each point in the cloud; missing points fill the last block.
    numbers: Vec<u32>,
    /// Coordinates, block by block, axis by axis.
    points: Vec<T>,
    /// The squared distance of each point to the nearest choice.
    distances: Vec<T>,
    /// The greatest of them in each block, or infinity.
    most: Vec<T>,
    /// Around the finite points of each block.
    boxes: Vec<T>,
}

impl<T: Number> Blocks<T> {
    /// The points of a cloud in an order: each number once.
    pub(super) fn new(cloud: &[T], d: usize, mut numbers: Vec<u32>) -> Self {
        let blocks = numbers.len().div_ceil(BLOCK);
        let mut points = vec![T::ZERO; blocks * BLOCK * d];
        let mut boxes = no_boxes(blocks, d);
        for (block, members) in numbers.chunks(BLOCK).enumerate() {
            let into = &mut points[block * BLOCK * d..][..BLOCK * d];
            let bounds = &mut boxes[block / WIDTH * 2 * WIDTH * d..][..2 * WIDTH * d];
            for (lane, &member) in members.iter().enumerate() {
                let point = &cloud[member as usize * d..][..d];
                let finite = point.iter().all(|value| value.is_finite());
                for (axis, &value) in point.iter().enumerate() {
                    into[axis * BLOCK + lane] = value;
                    if finite {
                        let (low, high) = (axis * WIDTH + block % WIDTH, (d + axis) * WIDTH + block % WIDTH);
                        (bounds[low], bounds[high]) = (lesser(value, bounds[low]), greater(value, bounds[high]));
                    }
                }
            }
        }
        let mut distances = vec![T::INFINITY; numbers.len()];
        let mut most = vec![T::INFINITY; blocks];
        numbers.resize(blocks * BLOCK, u32::MAX);
        distances.resize(blocks * BLOCK, taken());
        most.resize(blocks.next_multiple_of(WIDTH), taken());
        Self { d, numbers, points, distances, most, boxes }
    }

    /// Lowers the distances to those to one more choice; returns the greatest.
    #[inline(always)]
    fn lower<S: Simd<Real = T>, const D: usize>(&mut self, simd: S, query: &Query<'_, S, D>) -> T {
        let size = BLOCK * self.d;
        let mut top = simd.splat(taken());
        let mut to_boxes = [T::ZERO; WIDTH];
        for (group, boxes) in self.boxes.chunks_exact(2 * WIDTH * self.d).enumerate() {
            let most = &mut self.most[group * WIDTH..][..WIDTH];
            query.to_boxes::<false>(simd, boxes, &mut to_boxes);
            let mut passed = 0;
            for start in (0..WIDTH).step_by(S::LANES) {
                passed |= simd.less(simd.load(&most[start..]), simd.load(&to_boxes[start..])) << start;
            }
            let mut visited = !passed & ((1 << WIDTH) - 1);
            while visited != 0 {
                let lane = visited.trailing_zeros() as usize % WIDTH;
                visited &= visited - 1;
                let block = group * WIDTH + lane;
                // Missing blocks are passed over: their boxes are infinitely far.
                let (Some(points), Some(distances)) = (
                    self.points.get(block * size..(block + 1) * size),
                    self.distances.get_mut(block * BLOCK..(block + 1) * BLOCK),
                ) else {
                    continue;
                };
                most[lane] = lower_block(simd, query, points, distances);
            }
            for start in (0..WIDTH).step_by(S::LANES) {
                top = simd.max(simd.load(&most[start..]), top);
            }
        }
        greatest(simd, top)
    }

    /// The place of the lowest number among the points at the distance `top`, which is the greatest.
    #[inline(always)]
    fn place_of<S: Simd<Real = T>>(&self, simd: S, top: T) -> usize {
        let top = simd.splat(top);
        let all = u32::MAX >> (32 - S::LANES);
        let mut best = (u32::MAX, 0);
        for first in (0..self.most.len()).step_by(S::LANES) {
            let mut blocks = !simd.less(simd.load(&self.most[first..]), top) & all;
            while blocks != 0 {
                let block = first + blocks.trailing_zeros() as usize;
                blocks &= blocks - 1;
                for start in (block * BLOCK..(block + 1) * BLOCK).step_by(S::LANES) {
                    let mut lanes = !simd.less(simd.load(&self.distances[start..]), top) & all;
                    while lanes != 0 {
                        let place = start + lanes.trailing_zeros() as usize;
                        lanes &= lanes - 1;
                        if self.numbers[place] < best.0 {
                            best = (self.numbers[place], place);
                        }
                    }
                }
            }
        }
        best.1
    }
}

/// Lowers the distances of a block; returns the greatest.
#[inline(always)]
fn lower_block<S: Simd<Real: Number>, const D: usize>(
    simd: S,
    query: &Query<'_, S, D>,
    points: &[S::Real],
    distances: &mut [S::Real],
) -> S::Real {
    let mut top = simd.splat(taken());
    for start in (0..BLOCK).step_by(S::LANES) {
        let mut distance = simd.splat(S::Real::ZERO);
        for axis in 0..query.dimension() {
            let difference = simd.sub(query.spread(simd, axis), simd.load(&points[axis * BLOCK + start..]));
            distance = accumulate::<S, false>(simd, difference, distance);
        }
        // A distance that is NaN lowers nothing.
        let lowered = simd.min(distance, simd.load(&distances[start..]));
        simd.store(lowered, &mut distances[start..]);
        top = simd.max(lowered, top);
    }
    greatest(simd, top)
}

/// The greatest lane of a vector without NaN.
#[inline(always)]
fn greatest<S: Simd<Real: Number>>(simd: S, vector: S::Vector) -> S::Real {
    -simd.least(simd.sub(simd.splat(S::Real::ZERO), vector))
}

/// Fills `chosen`, which is neither empty nor longer than the cloud.
pub(super) struct Choose<'a, T> {
    pub(super) blocks: Blocks<T>,
    pub(super) cloud: &'a [T],
    /// The number of the first choice.
    pub(super) start: u32,
    pub(super) chosen: &'a mut [i64],
}

impl<T: Number> Choose<'_, T> {
    #[inline(always)]
    fn run_in<S: Simd<Real = T>, const D: usize>(self, simd: S) {
        let Self { mut blocks, cloud, start, chosen } = self;
        let Some((last, before)) = chosen.split_last_mut() else { return };
        let mut place = blocks.numbers.iter().position(|&number| number == start).unwrap_or(0);
        for slot in before {
            let number = blocks.numbers[place];
            *slot = i64::from(number);
            // What is the farthest now, the next visit to the block finds out; infinity makes sure of the visit.
            blocks.distances[place] = taken();
            blocks.most[place / BLOCK] = T::INFINITY;
            let point = &cloud[number as usize * blocks.d..][..blocks.d];
            let farthest = blocks.lower(simd, &Query::<S, D>::new(simd, point));
            place = blocks.place_of(simd, farthest);
        }
        *last = i64::from(blocks.numbers[place]);
    }
}

impl<T: Number> Body<T> for Choose<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Real = T>>(self, simd: S) {
        match self.blocks.d {
            1 => self.run_in::<S, 1>(simd),
            2 => self.run_in::<S, 2>(simd),
            3 => self.run_in::<S, 3>(simd),
            _ => self.run_in::<S, 0>(simd),
        }
    }
}
