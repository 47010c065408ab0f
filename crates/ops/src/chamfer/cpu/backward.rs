// SPDX-License-Identifier: Apache-2.0
//! Gradients: each piece of a cloud gathers the terms of the points that chose one of its own, then adds its own choices.

use patina3d_core::segments::Sums;
use patina3d_core::{Result, pool};

use super::super::{GradInputs, Gradients, Sizes};
use crate::knn::Norm;
use crate::knn::cpu::backward::slope;
use crate::knn::cpu::{Number, cost, lengths};

/// One of the two batches: its points, what they chose in the other, and the gradient of the distances to it.
#[derive(Clone, Copy)]
struct Side<'a, T> {
    points: &'a [T],
    lengths: &'a [usize],
    idx: &'a [i64],
    grad_dists: &'a [T],
    /// Points of a padded cloud.
    padded: usize,
}

/// Consecutive points of one cloud of a side, and their gradient.
struct Piece<'a, T> {
    of: Side<'a, T>,
    other: Side<'a, T>,
    cloud: usize,
    first: usize,
    grad: &'a mut [T],
}

pub(in super::super) fn backward<T: Number>(
    x: &GradInputs<'_>,
    sizes: Sizes,
    threads: usize,
    out: &mut Gradients<'_>,
) -> Result<()> {
    let Sizes { n, p1, p2, d } = sizes;
    let (x_lengths, y_lengths) =
        (lengths(x.inputs.x_lengths.as_ref(), n, p1)?, lengths(x.inputs.y_lengths.as_ref(), n, p2)?);
    let of_x = Side {
        points: x.inputs.x.as_slice::<T>()?,
        lengths: &x_lengths,
        idx: x.idx_x.as_slice()?,
        grad_dists: x.grad_dists_x.as_slice()?,
        padded: p1,
    };
    let of_y = Side {
        points: x.inputs.y.as_slice::<T>()?,
        lengths: &y_lengths,
        idx: x.idx_y.as_slice()?,
        grad_dists: x.grad_dists_y.as_slice()?,
        padded: p2,
    };
    // A gradient that nobody asked for has no pieces.
    let grad_x = out.x.as_mut().map_or(Ok(&mut [][..]), |grad| grad.as_mut_slice::<T>())?;
    let grad_y = out.y.as_mut().map_or(Ok(&mut [][..]), |grad| grad.as_mut_slice::<T>())?;
    pool::run(threads, cost([n, p1.max(p2), 1, 8 * d]), |threads| {
        // Each piece reads all choices of the other cloud and adds up those that are its own, in ascending order: the
        // same sum whatever the number of pieces.
        let pieces = if threads <= 1 { 1 } else { threads.div_ceil(n.max(1)) };
        let mut work: Vec<Piece<'_, T>> = Vec::with_capacity(2 * n * pieces);
        for (of, other, grad) in [(of_x, of_y, grad_x), (of_y, of_x, grad_y)] {
            let piece = of.padded.div_ceil(pieces).max(1);
            for (cloud, grad) in grad.chunks_mut((of.padded * d).max(1)).enumerate() {
                let pieces = grad.chunks_mut(piece * d).enumerate();
                work.extend(pieces.map(|(i, grad)| Piece { of, other, cloud, first: i * piece, grad }));
            }
        }
        pool::for_each_chunk(threads, &mut work, 1, |_, piece| match (x.inputs.norm, d) {
            (Norm::SquaredL2, 3) => piece[0].add_up::<3>(Norm::SquaredL2, d),
            (norm, _) => piece[0].add_up::<0>(norm, d),
        });
    });
    Ok(())
}

impl<T: Number> Side<'_, T> {
    /// The points of a cloud that count, with the index that each chose in the other side.
    fn choices(&self, cloud: usize) -> impl Iterator<Item = (usize, usize)> {
        let rows = cloud * self.padded..cloud * self.padded + self.lengths[cloud];
        // A negative index becomes one that is too large.
        rows.clone().zip(self.idx[rows].iter().map(|&index| index as usize))
    }
}

impl<T: Number> Piece<'_, T> {
    /// `D` is the dimension, or 0 where it is only known at run time.
    #[inline(always)]
    fn add_up<const D: usize>(&mut self, norm: Norm, d: usize) {
        let d = if D == 0 { d } else { D };
        let Self { of, other, cloud, first, .. } = *self;
        let start = cloud * of.padded + first;
        let own = &of.points[start * d..][..self.grad.len()];
        let mut sums = Sums::new(self.grad, d);
        if of.lengths[cloud] == 0 || other.lengths[cloud] == 0 {
            return;
        }
        for (row, chosen) in other.choices(cloud) {
            let target = chosen.wrapping_sub(first);
            if target < own.len() / d {
                let (point, chooser) = (&own[target * d..][..d], &other.points[row * d..][..d]);
                let grad = &mut sums.of(target)[..d];
                for axis in 0..d {
                    grad[axis] = grad[axis] - slope(norm, other.grad_dists[row], chooser[axis] - point[axis]);
                }
            }
        }
        sums.finish();
        for (i, (point, grad)) in own.chunks_exact(d).zip(self.grad.chunks_exact_mut(d)).enumerate() {
            let chosen = of.idx[start + i] as usize;
            if first + i < of.lengths[cloud] && chosen < other.padded {
                let choice = &other.points[(cloud * other.padded + chosen) * d..][..d];
                for axis in 0..d {
                    grad[axis] = slope(norm, of.grad_dists[start + i], point[axis] - choice[axis]) + grad[axis];
                }
            }
        }
    }
}
