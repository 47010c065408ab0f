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
                let corners = Corners::new([x, y, z], lattice.sizes, sizes.voxels);
                let weight: [T; 8] = std::array::from_fn(|corner| {
                    let [a, b, d] = shares(sides(corner), share);
                    d * b * a * points.weight
                });
                // A voxel of weight 0 matters to the point's place alone.
                let corners = if of_points { corners } else { corners.without(weight) };
                // What the voxels get: their gradients along the features.
                let mut value = corners.read(densities);
                let own = &points.features[point * c..(point + 1) * c];
                for (channel, &own) in own.iter().enumerate() {
                    let Some(features) = features else { break };
                    let grad = corners.read(&features[channel * sizes.volume()..(channel + 1) * sizes.volume()]);
                    let mut sum = T::ZERO;
                    for corner in 0..8 {
                        // No 0 times infinity: a feature has nothing to do with voxels that are not there.
                        let own = if corners.there[corner] { own } else { T::ZERO };
                        value[corner] = value[corner] + own * grad[corner];
                        sum = sum + if weight[corner] == T::ZERO { T::ZERO } else { weight[corner] * grad[corner] };
                    }
                    if let Some(out) = &mut part.features {
                        out[(point - before) * c + channel] = sum;
                    }
                }
                if let Some(out) = &mut part.points {
                    let mut gradient = [T::ZERO; 3];
                    for corner in 0..8 {
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

/// The eight voxels around a point: x is left and right, then y, then z.
#[derive(Clone, Copy)]
struct Corners {
    /// Where the left voxel of each of the four pairs is.
    pairs: [usize; 4],
    there: [bool; 8],
    /// Whether all of them are there.
    all: bool,
}

impl Corners {
    #[inline(always)]
    fn new(cell: [usize; 3], used: [usize; 3], [w, h, _]: [usize; 3]) -> Self {
        // Those before voxel 0 are beyond every count.
        let voxel = |axis: usize, side: usize| (cell[axis] + side).wrapping_sub(1);
        let there = [0, 1, 2].map(|axis| [0, 1].map(|side| voxel(axis, side) < used[axis]));
        let pair = |i: usize| {
            let row = voxel(2, i >> 1).wrapping_mul(h).wrapping_add(voxel(1, i & 1));
            row.wrapping_mul(w).wrapping_add(voxel(0, 0))
        };
        let there = std::array::from_fn(|corner| {
            let [a, b, c] = sides(corner);
            there[0][a] && there[1][b] && there[2][c]
        });
        Self { pairs: std::array::from_fn(pair), there, all: there == [true; 8] }
    }

    /// Those of some weight.
    #[inline(always)]
    fn without<T: Scalar>(self, weight: [T; 8]) -> Self {
        let there = std::array::from_fn(|corner| self.there[corner] && weight[corner] != T::ZERO);
        Self { there, all: there == [true; 8], ..self }
    }

    /// What stands at the voxels, 0 where there is none.
    #[inline(always)]
    fn read<T: Scalar>(&self, values: &[T]) -> [T; 8] {
        let mut found = [T::ZERO; 8];
        for (i, &pair) in self.pairs.iter().enumerate() {
            if self.all {
                found[2 * i..2 * i + 2].copy_from_slice(&values[pair..pair + 2]);
                continue;
            }
            for side in 0..2 {
                if self.there[2 * i + side] {
                    found[2 * i + side] = values[pair.wrapping_add(side)];
                }
            }
        }
        found
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
