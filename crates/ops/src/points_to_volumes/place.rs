// SPDX-License-Identifier: Apache-2.0
//! Where a point stands among the voxels: the arithmetic that all passes share, operation by operation that of
//! `points_to_volumes.cu`.

use patina3d_core::geometry::Scalar;
use patina3d_core::{Error, Result};

use super::{Cloud, OPERATOR, Sizes};

/// A place between voxels. Cell c of an axis lies between voxels c - 1 and c: S voxels have S + 1 cells, of which the
/// first and the last have one voxel each.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place<T> {
    /// Along x, y, z.
    pub(super) cell: [usize; 3],
    /// The share of voxel c; voxel c - 1 has the rest of 1.
    pub(super) share: [T; 3],
}

/// The voxels of one volume that are in use, and how points find their place among them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lattice {
    /// Along x, y, z.
    pub(super) sizes: [usize; 3],
    align_corners: bool,
    splat: bool,
}

impl Lattice {
    /// That of each volume.
    pub(super) fn of_all(cloud: &Cloud<'_>, sizes: Sizes) -> Result<Vec<Self>> {
        let &Cloud { align_corners, splat, .. } = cloud;
        let whole = Self { sizes: sizes.voxels, align_corners, splat };
        let Some(used) = &cloud.grid_sizes else { return Ok(vec![whole; sizes.b]) };
        let [w, h, d] = sizes.voxels;
        let own = |(volume, &[depth, height, width]): (usize, &[i64; 3])| {
            let sizes = [(width, w), (height, h), (depth, d)];
            if let Some((size, most)) = sizes.iter().find(|&&(size, most)| size < 0 || size as usize > most) {
                let got = format!("{size} of {most} voxels in volume {volume}");
                return Err(Error::value(OPERATOR, "grid_sizes", "within the volumes", got));
            }
            Ok(Self { sizes: sizes.map(|(size, _)| size as usize), ..whole })
        };
        used.as_rows::<i64, 3>()?.iter().enumerate().map(own).collect()
    }

    /// The place of a point, unless it is beyond all voxels or not finite.
    #[inline(always)]
    pub(super) fn place<T: Scalar>(&self, point: [T; 3]) -> Option<Place<T>> {
        let mut place = Place::default();
        for axis in 0..3 {
            (place.cell[axis], place.share[axis]) = self.on_axis(point[axis], self.sizes[axis])?;
        }
        Some(place)
    }

    /// Cell and share along one axis.
    #[inline(always)]
    fn on_axis<T: Scalar>(&self, coordinate: T, size: usize) -> Option<(usize, T)> {
        let (half, one, size) = (T::of(0.5), T::of(1.0), T::of(size as f64));
        let fraction = (coordinate + one) * half;
        let index = if self.align_corners { fraction * (size - one) } else { fraction * size - half };
        let reach = if self.splat { one } else { half };
        // Never true for NaN.
        if !(index > -reach && index < size - one + reach) {
            return None;
        }
        let whole = index.to_f64() as i64;
        let whole = if whole as f64 > index.to_f64() { whole - 1 } else { whole };
        let beyond = index - T::of(whole as f64);
        let cell = (whole + 1) as usize;
        Some(if self.splat { (cell, beyond) } else { (cell + usize::from(beyond >= half), T::ZERO) })
    }

    /// Indices of a change of coordinates of 1, along x, y, z.
    pub(super) fn slope<T: Scalar>(&self) -> [T; 3] {
        self.sizes.map(|size| T::of(size as f64 - if self.align_corners { 1.0 } else { 0.0 }) * T::of(0.5))
    }
}
