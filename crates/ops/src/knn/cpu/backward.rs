// SPDX-License-Identifier: Apache-2.0
//! Gradients: each query gathers its own pairs, each piece of the second cloud those that chose it.

use patina3d_core::segments::Sums;
use patina3d_core::{Result, pool};

use super::super::{GradInputs, Gradients, Norm, Sizes};
use super::{Number, QUERIES, cost, lengths};

pub(in super::super) fn backward<T: Number>(
    x: &GradInputs<'_>,
    sizes: Sizes,
    threads: usize,
    out: &mut Gradients<'_>,
) -> Result<()> {
    let Sizes { n, p1, p2, d, k } = sizes;
    let norm = x.inputs.norm;
    let (queries, points) = (x.inputs.p1.as_slice::<T>()?, x.inputs.p2.as_slice::<T>()?);
    let (idx, grad) = (x.idx.as_slice::<i64>()?, x.grad_dists.as_slice::<T>()?);
    let (lengths1, lengths2) =
        (lengths(x.inputs.lengths1.as_ref(), n, p1)?, lengths(x.inputs.lengths2.as_ref(), n, p2)?);
    // A gradient that nobody asked for has no rows.
    let grad1 = out.p1.as_mut().map_or(Ok(&mut [][..]), |grad| grad.as_mut_slice::<T>())?;
    let grad2 = out.p2.as_mut().map_or(Ok(&mut [][..]), |grad| grad.as_mut_slice::<T>())?;
    if n == 0 {
        return Ok(());
    }
    pool::run(threads, cost([n, p1, k, 8 * d]), |threads| {
        pool::for_each_chunk(threads, grad1, QUERIES * d, |block, rows| {
            for (i, out) in rows.chunks_exact_mut(d).enumerate() {
                let row = block * QUERIES + i;
                let cloud = row / p1;
                out.fill(T::ZERO);
                let slots = if row % p1 < lengths1[cloud] { k.min(lengths2[cloud]) } else { 0 };
                for slot in row * k..row * k + slots {
                    let target = idx[slot] as usize; // a negative index becomes one that is too large
                    if target >= p2 {
                        continue;
                    }
                    let point = &points[(cloud * p2 + target) * d..];
                    for axis in 0..d {
                        let slope = slope(norm, grad[slot], queries[row * d + axis] - point[axis]);
                        out[axis] = out[axis] + slope;
                    }
                }
            }
        });
        // Each piece of the second cloud reads all pairs and adds up its own, in ascending order: the same sum whatever
        // the number of pieces.
        let pieces = if threads <= 1 { 1 } else { threads.div_ceil(n) };
        let piece = p2.div_ceil(pieces).max(1);
        let mut work: Vec<(usize, usize, &mut [T])> = Vec::new();
        for (cloud, grad2) in grad2.chunks_mut((p2 * d).max(1)).enumerate() {
            work.extend(grad2.chunks_mut(piece * d).enumerate().map(|(i, part)| (cloud, i * piece, part)));
        }
        pool::for_each_chunk(threads, &mut work, 1, |_, work| {
            let (cloud, first, out) = &mut work[0];
            let (first, number) = (*first, out.len() / d);
            let mut sums = Sums::new(out, d);
            let slots = k.min(lengths2[*cloud]);
            for row in *cloud * p1..*cloud * p1 + lengths1[*cloud] {
                for slot in row * k..row * k + slots {
                    let target = (idx[slot] as usize).wrapping_sub(first);
                    if target < number {
                        let point = &points[(*cloud * p2 + first + target) * d..];
                        let sum = sums.of(target);
                        for axis in 0..d {
                            sum[axis] = sum[axis] - slope(norm, grad[slot], queries[row * d + axis] - point[axis]);
                        }
                    }
                }
            }
            sums.finish();
        });
    });
    Ok(())
}

/// The derivative of a distance by one difference.
#[inline(always)]
pub(crate) fn slope<T: Number>(norm: Norm, grad: T, difference: T) -> T {
    match norm {
        Norm::SquaredL2 => T::of(2.0) * grad * difference,
        Norm::L1 if difference > T::ZERO => grad,
        Norm::L1 if difference < T::ZERO => -grad,
        Norm::L1 => T::ZERO,
    }
}
