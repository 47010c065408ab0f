// SPDX-License-Identifier: Apache-2.0
//! Each point looks at the gradients of the voxels that it voted for, row by row of cells, so that what neighbours look at
//! is in the cache.

use patina3d_core::geometry::Scalar;
use patina3d_core::simd::{self, Body, Simd, Vectorised};
use patina3d_core::{Result, Tensor, TensorMut, pool};

use super::super::{Cloud, Gradients, Sizes, Volumes};
use super::POINT_NANOSECONDS;
use super::pieces::{Piece, Points, Voter};

pub(crate) fn backward<T: Scalar + Vectorised>(
    cloud: &Cloud<'_>,
    grad: &Volumes<'_>,
    sizes: Sizes,
    threads: usize,
    out: &mut Gradients<'_>,
) -> Result<()> {
    let points = Points::<T>::new(cloud, sizes)?;
    let densities = grad.densities.as_slice::<T>()?;
    let features = grad.features.as_ref().map(Tensor::as_slice::<T>).transpose()?;
    let of_points = out.points.as_mut().map(TensorMut::as_mut_slice::<T>).transpose()?;
    let of_features = out.features.as_mut().map(TensorMut::as_mut_slice::<T>).transpose()?;
    let work = POINT_NANOSECONDS * sizes.b * sizes.p * (1 + sizes.c);
    pool::run(threads, work, |threads| {
        let size = points.piece_size(threads);
        let mut parts = parts(sizes, size, of_points, of_features);
        pool::for_each_chunk(threads, &mut parts, 1, |_, part| {
            let part = &mut part[0];
            let piece = points.piece(part.volume, part.first..sizes.p.min(part.first + size));
            let from = part.volume * sizes.volume();
            let features = features.map(|values| &values[from * sizes.c..]);
            simd::dispatch(Look { points: &points, piece, densities: &densities[from..], features, part });
        });
    });
    Ok(())
}

/// The gradients of a few points of one volume.
struct Part<'a, T> {
    volume: usize,
    /// The first point, counted in the volume.
    first: usize,
    points: Option<&'a mut [T]>,
    features: Option<&'a mut [T]>,
}

fn parts<'a, T>(
    sizes: Sizes,
    size: usize,
    mut points: Option<&'a mut [T]>,
    mut features: Option<&'a mut [T]>,
) -> Vec<Part<'a, T>> {
    let mut parts = Vec::new();
    for volume in 0..sizes.b {
        for first in (0..sizes.p).step_by(size) {
            let count = size.min(sizes.p - first);
            let points = points.as_mut().and_then(|rest| rest.split_off_mut(..3 * count));
            let features = features.as_mut().and_then(|rest| rest.split_off_mut(..sizes.c * count));
            parts.push(Part { volume, first, points, features });
        }
    }
    parts
}

struct Look<'a, 'out, T> {
    points: &'a Points<'a, T>,
    piece: Piece<T>,
    /// From this volume on, as the features.
    densities: &'a [T],
    features: Option<&'a [T]>,
    part: &'a mut Part<'out, T>,
}

impl<T: Scalar> Body<T> for Look<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Real = T>>(self, _: S) {
        let Self { points, piece, densities, features, part } = self;
        let (sizes, c) = (points.sizes, points.sizes.c);
        let lattice = points.lattices[part.volume];
        let of_points = part.points.is_some();
        let slope = lattice.slope::<T>().map(|slope| slope * points.weight);
        let before = part.volume * sizes.p + part.first;
        for gradient in [&mut part.points, &mut part.features].into_iter().flatten() {
            gradient.fill(T::ZERO);
        }
        for ([z, y], voters) in piece.all() {
            for &Voter { x, share, point } in voters {
                // Of the eight voxels: where they are, what they get, and their gradients along the features.
                let (mut at, mut weight, mut value) = ([None; 8], [T::ZERO; 8], [T::ZERO; 8]);
                for corner in 0..8 {
                    let side = sides(corner);
                    // Those before voxel 0 are beyond every count.
                    let voxel = [0, 1, 2].map(|axis| ([x, y, z][axis] + side[axis]).wrapping_sub(1));
                    let [a, b, d] = shares(side, share);
                    weight[corner] = d * b * a * points.weight;
                    let there = (0..3).all(|axis| voxel[axis] < lattice.sizes[axis]);
                    if there && (of_points || weight[corner] != T::ZERO) {
                        let [w, h, _] = sizes.voxels;
                        let index = (voxel[2] * h + voxel[1]) * w + voxel[0];
                        at[corner] = Some(index);
                        value[corner] = densities[index];
                    }
                }
                let own = &points.features[point * c..(point + 1) * c];
                for (channel, &own) in own.iter().enumerate() {
                    let Some(features) = features else { break };
                    let plane = &features[channel * sizes.volume()..(channel + 1) * sizes.volume()];
                    let grad = at.map(|at| at.map_or(T::ZERO, |at| plane[at]));
                    let mut sum = T::ZERO;
                    for corner in 0..8 {
                        value[corner] = value[corner] + own * grad[corner];
                        sum = sum + if weight[corner] == T::ZERO { T::ZERO } else { weight[corner] * grad[corner] };
                    }
                    if let Some(out) = &mut part.features {
                        out[(point - before) * c + channel] = sum;
                    }
                }
                if let Some(out) = &mut part.points {
                    let mut gradient = [T::ZERO; 3];
                    for corner in (0..8).filter(|&corner| at[corner].is_some()) {
                        let side = sides(corner);
                        let [a, b, d] = shares(side, share);
                        for (axis, others) in [d * b, d * a, b * a].into_iter().enumerate() {
                            let change = others * value[corner];
                            gradient[axis] = gradient[axis] + if side[axis] == 1 { change } else { -change };
                        }
                    }
                    let first = 3 * (point - before);
                    for (axis, out) in out[first..first + 3].iter_mut().enumerate() {
                        *out = slope[axis] * gradient[axis];
                    }
                }
            }
        }
    }
}

/// On which side of the point a voxel is, along x, y, z: 1 is to the right.
#[inline(always)]
fn sides(corner: usize) -> [usize; 3] {
    [corner & 1, corner >> 1 & 1, corner >> 2]
}

/// Its shares along x, y, z.
#[inline(always)]
fn shares<T: Scalar>(side: [usize; 3], share: [T; 3]) -> [T; 3] {
    [0, 1, 2].map(|axis| if side[axis] == 1 { share[axis] } else { T::of(1.0) - share[axis] })
}
