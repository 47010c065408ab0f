// SPDX-License-Identifier: Apache-2.0
//! One walk over the numbers, in parallel chunks.

use std::ops::{Add, Mul};

use patina3d_core::{Real, Result, pool};

use super::{GradInputs, Gradients, Inputs, Outputs};

/// Numbers in a chunk of parallel work; each takes about a nanosecond.
const CHUNK: usize = 16 * 1024;

pub(super) fn forward<T: Real + Mul<Output = T>>(x: &Inputs<'_>, threads: usize, out: &mut Outputs<'_>) -> Result<()> {
    let values = x.x.as_slice::<T>()?;
    let squares = out.y.as_mut_slice::<T>()?;
    pool::run(threads, values.len(), |threads| {
        pool::for_each_chunk(threads, squares, CHUNK, |chunk, squares| {
            for (square, &value) in squares.iter_mut().zip(&values[chunk * CHUNK..]) {
                *square = value * value;
            }
        });
    });
    Ok(())
}

pub(super) fn backward<T>(x: &GradInputs<'_>, threads: usize, out: &mut Gradients<'_>) -> Result<()>
where
    T: Real + Add<Output = T> + Mul<Output = T>,
{
    let values = x.inputs.x.as_slice::<T>()?;
    let incoming = x.grad_y.as_slice::<T>()?;
    let gradients = out.x.as_mut_slice::<T>()?;
    pool::run(threads, values.len(), |threads| {
        pool::for_each_chunk(threads, gradients, CHUNK, |chunk, gradients| {
            let first = chunk * CHUNK;
            for (gradient, (&value, &g)) in gradients.iter_mut().zip(values[first..].iter().zip(&incoming[first..])) {
                *gradient = (value + value) * g;
            }
        });
    });
    Ok(())
}
