// SPDX-License-Identifier: Apache-2.0
//! Row by row of voxels, each of which collects the votes of the four rows of cells around it: no two threads write to
//! one place, and what a row needs stays in the cache.

mod backward;
mod pieces;

use patina3d_core::geometry::Scalar;
use patina3d_core::simd::{self, Body, Simd, Vectorised};
use patina3d_core::{Result, pool};

pub(super) use self::backward::backward;
use self::pieces::{Piece, Points, Voter};
use super::place::Lattice;
use super::{Cloud, Outputs, Sizes, Volumes};

/// Nanoseconds that a point and a voxel cost, roughly: decides whether threads are worth waking.
const POINT_NANOSECONDS: usize = 40;

pub(super) fn forward<T: Scalar + Vectorised>(
    cloud: &Cloud<'_>,
    initial: &Volumes<'_>,
    sizes: Sizes,
    threads: usize,
    out: &mut Outputs<'_>,
) -> Result<()> {
    let points = Points::<T>::new(cloud, sizes)?;
    let initial = (
        initial.densities.as_slice::<T>()?,
        initial.features.as_ref().map(patina3d_core::Tensor::as_slice::<T>).transpose()?,
    );
    if sizes.b * sizes.volume() == 0 {
        return Ok(());
    }
    let mut planes = planes(sizes, out.densities.as_mut_slice()?, out.features.as_mut_slice()?);
    let work = POINT_NANOSECONDS * sizes.b * sizes.p + sizes.b * sizes.volume() * (1 + sizes.c);
    pool::run(threads, work, |threads| {
        let pieces = points.pieces(threads);
        let of_volume = pieces.len() / sizes.b;
        pool::for_each_chunk(threads, &mut planes, 1, |number, plane| {
            let [_, _, depth] = sizes.voxels;
            let (volume, z) = (number / depth, number % depth);
            simd::dispatch(Collect {
                points: &points,
                pieces: &pieces[volume * of_volume..(volume + 1) * of_volume],
                lattice: points.lattices[volume],
                initial,
                volume,
                z,
                plane: &mut plane[0],
            });
        });
    });
    Ok(())
}

/// The voxels of one depth of one volume.
struct Plane<'a, T> {
    densities: &'a mut [T],
    /// One for each channel.
    features: Vec<&'a mut [T]>,
}

fn planes<'a, T>(sizes: Sizes, densities: &'a mut [T], features: &'a mut [T]) -> Vec<Plane<'a, T>> {
    let [w, h, depth] = sizes.voxels;
    let plane = |densities| Plane { densities, features: Vec::with_capacity(sizes.c) };
    let mut planes: Vec<_> = densities.chunks_mut(w * h).map(plane).collect();
    for (number, chunk) in features.chunks_mut(w * h).enumerate() {
        planes[number / depth / sizes.c * depth + number % depth].features.push(chunk);
    }
    planes
}

struct Collect<'a, 'out, T> {
    points: &'a Points<'a, T>,
    /// Those of this volume.
    pieces: &'a [Piece<T>],
    lattice: Lattice,
    initial: (&'a [T], Option<&'a [T]>),
    volume: usize,
    z: usize,
    plane: &'a mut Plane<'out, T>,
}

impl<T: Scalar> Body<T> for Collect<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Real = T>>(mut self, _: S) {
        let [w, h, depth] = self.points.sizes.voxels;
        let c = self.points.sizes.c;
        // Of a row, voxel by voxel, the features side by side.
        let mut row = vec![T::ZERO; w * c];
        for y in 0..h {
            let at = y * w..(y + 1) * w;
            let start = (self.volume * depth + self.z) * h * w;
            self.plane.densities[at.clone()].copy_from_slice(&self.initial.0[start + at.start..start + at.end]);
            for (channel, out) in self.plane.features.iter_mut().enumerate() {
                let start = ((self.volume * c + channel) * depth + self.z) * h * w;
                match self.initial.1 {
                    Some(values) => out[at.clone()].copy_from_slice(&values[start + at.start..start + at.end]),
                    None => out[at.clone()].fill(T::ZERO),
                }
            }
            if !self.has_votes(y) {
                continue;
            }
            for (channel, values) in self.plane.features.iter().enumerate() {
                for (x, &value) in values[at.clone()].iter().enumerate() {
                    row[x * c + channel] = value;
                }
            }
            self.collect(y, &mut row);
            for (channel, values) in self.plane.features.iter_mut().enumerate() {
                for (x, value) in values[at.clone()].iter_mut().enumerate() {
                    *value = row[x * c + channel];
                }
            }
        }
    }
}

impl<T: Scalar> Collect<'_, '_, T> {
    /// The rows of cells around a row of voxels, in the order of the sums: z, y.
    fn cells(&self, y: usize) -> [[usize; 2]; 4] {
        let z = self.z;
        [[z, y], [z, y + 1], [z + 1, y], [z + 1, y + 1]]
    }

    fn has_votes(&self, y: usize) -> bool {
        let [_, h, depth] = self.lattice.sizes;
        let any = |[z, y]: [usize; 2]| self.pieces.iter().any(|piece| !piece.row(z, y).is_empty());
        self.z < depth && y < h && self.cells(y).into_iter().any(any)
    }

    /// Adds the votes for a row of voxels.
    #[inline(always)]
    fn collect(&mut self, y: usize, row: &mut [T]) {
        let (w, c) = (self.lattice.sizes[0], self.points.sizes.c);
        let densities = &mut self.plane.densities[y * self.points.sizes.voxels[0]..];
        let of = |cell: usize, voxel: usize, share: T| if cell == voxel { share } else { T::of(1.0) - share };
        for [cell_z, cell_y] in [[self.z, y], [self.z, y + 1], [self.z + 1, y], [self.z + 1, y + 1]] {
            for piece in self.pieces {
                for &Voter { x, share, point } in piece.row(cell_z, cell_y) {
                    let across = of(cell_z, self.z, share[2]) * of(cell_y, y, share[1]);
                    let features = &self.points.features[point * c..(point + 1) * c];
                    // Voxel x - 1, as far as there is one, then voxel x.
                    for (voxel, share) in [(x.wrapping_sub(1), T::of(1.0) - share[0]), (x, share[0])] {
                        let weight = across * share * self.points.weight;
                        if voxel >= w || weight == T::ZERO {
                            continue;
                        }
                        densities[voxel] = densities[voxel] + weight;
                        for (sum, &value) in row[voxel * c..(voxel + 1) * c].iter_mut().zip(features) {
                            *sum = *sum + weight * value;
                        }
                    }
                }
            }
        }
    }
}
