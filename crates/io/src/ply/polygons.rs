// SPDX-License-Identifier: Apache-2.0
//! Polygons of any size, as the triangles of the fan around their first corner.

use super::values::Values;
use crate::error::{Error, Result};

/// Three corners.
pub type Triangle = [i64; 3];

/// A list property that holds the corners of polygons.
#[derive(Clone, Copy, Debug)]
pub struct Polygons<'a> {
    lengths: &'a [u32],
    corners: &'a Values,
}

impl<'a> Polygons<'a> {
    /// The lists of a [`Column::Lists`](super::Column::Lists).
    ///
    /// # Errors
    /// A polygon with fewer than three corners; corners that are not of an integer type.
    pub fn new(lengths: &'a [u32], corners: &'a Values) -> Result<Self> {
        if !corners.scalar().is_integer() {
            let got = corners.scalar().name();
            return Err(Error::new("ply", format!("the corners of faces must be integers, got {got}")));
        }
        if let Some(face) = lengths.iter().position(|&length| length < 3) {
            let got = lengths[face];
            return Err(Error::new("ply", format!("Faces must have at least 3 vertices, got {got} in face {face}")));
        }
        Ok(Self { lengths, corners })
    }

    /// The number of triangles.
    pub fn count(&self) -> usize {
        self.corners.len().saturating_sub(2 * self.lengths.len())
    }

    /// Calls `push` with each triangle. If all polygons have one size, the first triangle of every polygon comes first,
    /// then the second of every polygon, and so on; else the triangles of a polygon follow one another.
    pub fn for_each(&self, push: impl FnMut(Triangle)) {
        match self.corners {
            Values::Int8(corners) => self.fans(|at| corners[at].into(), push),
            Values::UInt8(corners) => self.fans(|at| corners[at].into(), push),
            Values::Int16(corners) => self.fans(|at| corners[at].into(), push),
            Values::UInt16(corners) => self.fans(|at| corners[at].into(), push),
            Values::Int32(corners) => self.fans(|at| corners[at].into(), push),
            Values::UInt32(corners) => self.fans(|at| corners[at].into(), push),
            Values::Float32(_) | Values::Float64(_) => {} // `new` refuses them
        }
    }

    /// As [`Polygons::for_each`], for the places of the corners rather than what stands there.
    pub fn for_each_place(&self, push: impl FnMut(Triangle)) {
        self.fans(|at| at as i64, push);
    }

    #[inline]
    fn fans(&self, corner: impl Fn(usize) -> i64, mut push: impl FnMut(Triangle)) {
        let mut fan = |start: usize, i: usize| push([corner(start), corner(start + i), corner(start + i + 1)]);
        if let Some(size) = self.size() {
            for i in 1..size - 1 {
                for polygon in 0..self.lengths.len() {
                    fan(polygon * size, i);
                }
            }
        } else {
            let mut start = 0;
            for &size in self.lengths {
                for i in 1..size as usize - 1 {
                    fan(start, i);
                }
                start += size as usize;
            }
        }
    }

    /// The size that all polygons have.
    fn size(&self) -> Option<usize> {
        let &first = self.lengths.first()?;
        self.lengths.iter().all(|&length| length == first).then_some(first as usize)
    }
}
