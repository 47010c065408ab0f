// SPDX-License-Identifier: Apache-2.0
//! One walk over the slots; for the gradient of the values one for each thread, which adds up its own faces.

use std::sync::atomic::{AtomicUsize, Ordering};

use patina3d_core::geometry::Scalar;
use patina3d_core::simd::{self, Body, Simd, Vectorised};
use patina3d_core::{Error, Result, TensorMut, pool};

use super::{GradInputs, Gradients, Inputs, OPERATOR, Sizes};

/// Slots that are one piece of work.
const PIECE: usize = 4096;
/// Nanoseconds that a slot costs, roughly: decides whether threads are worth waking.
const NANOSECONDS: usize = 3;

/// Slots with what stands at the corners of their faces.
#[derive(Clone, Copy)]
struct Slots<'a, T> {
    faces: &'a [i64],
    weights: &'a [[T; 3]],
    values: &'a [T],
    d: usize,
}

impl<'a, T: Scalar> Slots<'a, T> {
    fn new(x: &Inputs<'a>, d: usize) -> Result<Self> {
        Ok(Self {
            faces: x.pix_to_face.as_slice::<i64>()?,
            weights: x.barycentric_coords.as_rows()?,
            values: x.face_attributes.as_slice::<T>()?,
            d,
        })
    }

    /// Those of a piece of work.
    fn piece(&self, number: usize) -> Self {
        let (first, end) = (number * PIECE, self.faces.len().min((number + 1) * PIECE));
        Self { faces: &self.faces[first..end], weights: &self.weights[first..end], ..*self }
    }

    /// The values at the three corners of a face, if there is such a face.
    #[inline(always)]
    fn corners(&self, face: i64) -> Option<[&'a [T]; 3]> {
        let first = usize::try_from(face).ok()?.checked_mul(3 * self.d)?;
        let (a, rest) = self.values.get(first..first.checked_add(3 * self.d)?)?.split_at(self.d);
        let (b, c) = rest.split_at(self.d);
        Some([a, b, c])
    }
}

struct Mix<'a, T> {
    slots: Slots<'a, T>,
    out: &'a mut [T],
}

impl<T: Scalar> Body<T> for Mix<'_, T> {
    /// The first slot with a face that there is not.
    type Output = Option<usize>;

    #[inline(always)]
    fn run<S: Simd<Real = T>>(self, _: S) -> Option<usize> {
        let Slots { faces, weights, d, .. } = self.slots;
        self.out.fill(T::ZERO);
        let mut stranger = None;
        for (slot, &face) in faces.iter().enumerate() {
            if face < 0 {
                continue;
            }
            let Some([a, b, c]) = self.slots.corners(face) else {
                stranger = stranger.or(Some(slot));
                continue;
            };
            let [u, v, w] = weights[slot];
            for (i, out) in self.out[slot * d..(slot + 1) * d].iter_mut().enumerate() {
                *out = u * a[i] + v * b[i] + w * c[i];
            }
        }
        stranger
    }
}

pub(super) fn forward<T: Scalar + Vectorised>(
    x: &Inputs<'_>,
    sizes: Sizes,
    threads: usize,
    out: &mut TensorMut<'_>,
) -> Result<()> {
    let (slots, out) = (Slots::<T>::new(x, sizes.d)?, out.as_mut_slice::<T>()?);
    if out.is_empty() {
        return Ok(());
    }
    let stranger = AtomicUsize::new(usize::MAX);
    pool::run(threads, slots.faces.len() * NANOSECONDS, |threads| {
        pool::for_each_chunk(threads, out, PIECE * sizes.d, |number, out| {
            if let Some(slot) = simd::dispatch(Mix { slots: slots.piece(number), out }) {
                stranger.fetch_min(number * PIECE + slot, Ordering::Relaxed);
            }
        });
    });
    match slots.faces.get(stranger.into_inner()) {
        None => Ok(()),
        Some(face) => {
            Err(Error::value(OPERATOR, "pix_to_face", format!("indices of {} faces", sizes.f), face.to_string()))
        }
    }
}

pub(super) fn backward<T: Scalar + Vectorised>(
    x: &GradInputs<'_>,
    sizes: Sizes,
    threads: usize,
    out: &mut Gradients<'_>,
) -> Result<()> {
    let (slots, grad) = (Slots::<T>::new(&x.inputs, sizes.d)?, x.grad.as_slice::<T>()?);
    let cost = slots.faces.len() * NANOSECONDS;
    if let Some(of_weights) = &mut out.barycentric_coords {
        let of_weights = of_weights.as_mut_slice::<T>()?.as_chunks_mut::<3>().0;
        pool::run(threads, cost, |threads| {
            pool::for_each_chunk(threads, of_weights, PIECE, |number, out| {
                let grad = &grad[number * PIECE * sizes.d..];
                simd::dispatch(Weights { slots: slots.piece(number), grad, out });
            });
        });
    }
    if let Some(of_values) = &mut out.face_attributes {
        let of_values = of_values.as_mut_slice::<T>()?;
        let row = 3 * sizes.d;
        if of_values.is_empty() {
            return Ok(());
        }
        pool::run(threads, cost, |threads| {
            // Each piece of the faces looks at all slots: the same sums whatever the number of pieces.
            let piece = sizes.f.div_ceil(threads);
            pool::for_each_chunk(threads, of_values, piece * row, |number, sums| {
                simd::dispatch(Values { slots, grad, first: number * piece, sums });
            });
        });
    }
    Ok(())
}

struct Weights<'a, T> {
    slots: Slots<'a, T>,
    grad: &'a [T],
    out: &'a mut [[T; 3]],
}

impl<T: Scalar> Body<T> for Weights<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Real = T>>(self, _: S) {
        let Slots { faces, d, .. } = self.slots;
        self.out.fill([T::ZERO; 3]);
        for (slot, &face) in faces.iter().enumerate() {
            if face < 0 {
                continue;
            }
            let Some(corners) = self.slots.corners(face) else { continue };
            let grad = &self.grad[slot * d..(slot + 1) * d];
            let sum = |values: &[T]| grad.iter().zip(values).fold(T::ZERO, |sum, (&grad, &value)| sum + grad * value);
            self.out[slot] = corners.map(sum);
        }
    }
}

struct Values<'a, T> {
    slots: Slots<'a, T>,
    grad: &'a [T],
    /// The first face of the piece.
    first: usize,
    sums: &'a mut [T],
}

impl<T: Scalar> Body<T> for Values<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Real = T>>(self, _: S) {
        let Slots { faces, weights, d, .. } = self.slots;
        self.sums.fill(T::ZERO);
        let num_faces = self.sums.len() / (3 * d);
        for (slot, &face) in faces.iter().enumerate() {
            // As unsigned numbers, those before the first face are beyond every count.
            let face = (face as usize).wrapping_sub(self.first);
            if face >= num_faces {
                continue;
            }
            let grad = &self.grad[slot * d..(slot + 1) * d];
            let corners = self.sums[face * 3 * d..(face + 1) * 3 * d].chunks_exact_mut(d);
            for (sums, &weight) in corners.zip(&weights[slot]) {
                for (sum, &grad) in sums.iter_mut().zip(grad) {
                    *sum = *sum + weight * grad;
                }
            }
        }
    }
}
