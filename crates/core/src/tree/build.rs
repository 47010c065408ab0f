// SPDX-License-Identifier: Apache-2.0
//! Points in an order that keeps neighbours together, by halving them at medians; then boxes, from the leaves up.

use super::{Layout, TreeMut, WIDTH};
use crate::geometry::{Scalar, greater, lesser};

/// Halves of at least this many points are built in parallel.
const PARALLEL: usize = 4096;

impl<T: Scalar> TreeMut<'_, T> {
    /// Fills the memory of a tree of this layout with one over points, no more than the layout is for: a smaller cloud's
    /// last leaves are empty. With more than one thread it is to be called inside a pool.
    pub fn build(self, layout: Layout, points: &[T], threads: usize) {
        let d = layout.d;
        let order = if d <= 3 { order::<T, 3>(points, d, threads) } else { order::<T, 7>(points, d, threads) };
        let Self { points: leaves, boxes, ids } = self;
        let (least, numbers) = ids.split_at_mut(layout.nodes * WIDTH);
        leaves.fill(T::INFINITY);
        numbers.fill(u32::MAX);
        least.fill(u32::MAX);
        for node in boxes.chunks_exact_mut(2 * WIDTH * d) {
            let (low, high) = node.split_at_mut(WIDTH * d);
            low.fill(T::INFINITY);
            high.fill(-T::INFINITY);
        }
        let bottom = layout.first[layout.levels - 1];
        for (leaf, members) in order.chunks(WIDTH).enumerate() {
            numbers[leaf * WIDTH..][..members.len()].copy_from_slice(members);
            let from = &mut leaves[leaf * WIDTH * d..][..WIDTH * d];
            let into = &mut boxes[(bottom + leaf / WIDTH) * 2 * WIDTH * d..][..2 * WIDTH * d];
            for axis in 0..d {
                let (mut low, mut high) = (T::INFINITY, -T::INFINITY);
                for (lane, &member) in members.iter().enumerate() {
                    let value = points[member as usize * d + axis];
                    from[axis * WIDTH + lane] = value;
                    (low, high) = (lesser(value, low), greater(value, high));
                }
                into[axis * WIDTH + leaf % WIDTH] = low;
                into[(d + axis) * WIDTH + leaf % WIDTH] = high;
            }
            least[bottom * WIDTH + leaf] = members.iter().copied().min().unwrap_or(u32::MAX);
        }
        for level in (1..layout.levels).rev() {
            let (above, below) = (layout.first[level - 1], layout.first[level]);
            let (parents, children) = boxes.split_at_mut(below * 2 * WIDTH * d);
            let (least_of_parents, least_of_children) = least.split_at_mut(below * WIDTH);
            for (node, boxes) in children.chunks_exact(2 * WIDTH * d).enumerate().take(layout.nodes_of(level)) {
                let into = &mut parents[(above + node / WIDTH) * 2 * WIDTH * d..][..2 * WIDTH * d];
                for (row, values) in boxes.chunks_exact(WIDTH).enumerate() {
                    let value = &mut into[row * WIDTH + node % WIDTH];
                    *value =
                        values.iter().fold(
                            *value,
                            |value, &other| {
                                if row < d { lesser(other, value) } else { greater(other, value) }
                            },
                        );
                }
                let numbers = &least_of_children[node * WIDTH..][..WIDTH];
                least_of_parents[above * WIDTH + node] = numbers.iter().copied().min().unwrap_or(u32::MAX);
            }
        }
    }
}

/// A point on the way to its leaf: whole numbers along up to `AXES` axes, and its number.
#[derive(Clone, Copy)]
struct Place<const AXES: usize> {
    cells: [u32; AXES],
    number: u32,
}

/// The numbers of the finite points, neighbours near each other.
fn order<T: Scalar, const AXES: usize>(points: &[T], d: usize, threads: usize) -> Vec<u32> {
    let axes = d.min(AXES);
    let finite = |point: &[T]| point.iter().all(|value| value.is_finite());
    let (mut low, mut high) = ([f64::INFINITY; AXES], [f64::NEG_INFINITY; AXES]);
    for point in points.chunks_exact(d).filter(|point| finite(point)) {
        for axis in 0..axes {
            let value = point[axis].to_f64();
            (low[axis], high[axis]) = (low[axis].min(value), high[axis].max(value));
        }
    }
    // One scale for all axes, so that the widest side is the widest.
    let extent = (0..axes).fold(0.0, |most: f64, axis| most.max(high[axis] - low[axis]));
    let scale = f64::from(u32::MAX) / extent;
    let mut places = Vec::with_capacity(points.len() / d);
    for (number, point) in points.chunks_exact(d).enumerate().filter(|(_, point)| finite(point)) {
        let mut cells = [0; AXES];
        for axis in 0..axes {
            cells[axis] = ((point[axis].to_f64() - low[axis]) * scale) as u32;
        }
        places.push(Place { cells, number: number as u32 });
    }
    halve(&mut places, threads);
    places.iter().map(|place| place.number).collect()
}

/// Halves and halves again across the widest side, down to leaves. The left half has a power of two leaves, so that
/// every node of every level is one of the halves. Of points at one place the lower numbers go left.
fn halve<const AXES: usize>(places: &mut [Place<AXES>], threads: usize) {
    let leaves = places.len().div_ceil(WIDTH);
    if leaves <= 1 {
        return;
    }
    let (mut low, mut high) = ([u32::MAX; AXES], [0; AXES]);
    for place in &*places {
        for axis in 0..AXES {
            low[axis] = low[axis].min(place.cells[axis]);
            high[axis] = high[axis].max(place.cells[axis]);
        }
    }
    let axis = (0..AXES).max_by_key(|&axis| high[axis] - low[axis]).unwrap_or(0);
    let middle = leaves.next_power_of_two() / 2 * WIDTH;
    places.select_nth_unstable_by_key(middle, |place| u64::from(place.cells[axis]) << 32 | u64::from(place.number));
    let (left, right) = places.split_at_mut(middle);
    if threads > 1 && left.len() >= PARALLEL {
        rayon::join(|| halve(left, threads), || halve(right, threads));
    } else {
        halve(left, 1);
        halve(right, 1);
    }
}
