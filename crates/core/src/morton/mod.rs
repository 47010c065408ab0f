// SPDX-License-Identifier: Apache-2.0
//! Morton codes: the bits of a point's cell, axes by turns, so that points with near codes are near each other.
//!
//! Cells are as long along every axis, for a cell that is not is a bad neighbourhood: from the least corner of a box its
//! longest side is cut into `2^bits` of them. A code of 32 bits has 30 of them (15 an axis in the plane, 10 in space), one
//! of 64 bits has 62 (31) or 63 (21). Points outside of that cube have its nearest cell, a box without an extent has one. A point that is
//! not finite has the code after the greatest, `2^(dimension bits)`, so a sort by one bit more brings such points to the
//! end. Any normal extent works. Cells never go down as a coordinate goes up.

mod cpu;
mod cuda;

pub use cpu::{cell, code};
pub use cuda::{MortonParams, launch};

use crate::sort::Key;

/// The kernels.
pub static MODULE: crate::Module = crate::module!("morton");

/// The bits an axis of a code of type `C` in 2 or 3 dimensions.
///
/// ```
/// use patina3d_core::morton::bits_per_axis;
/// assert_eq!([bits_per_axis::<u32>(2), bits_per_axis::<u32>(3)], [15, 10]);
/// assert_eq!([bits_per_axis::<u64>(2), bits_per_axis::<u64>(3)], [31, 21]);
/// ```
pub fn bits_per_axis<C: Key>(dimension: u32) -> u32 {
    // 2 bits of 32 stay free, and 1 of 64.
    (C::BITS - if C::BITS == 32 { 2 } else { 1 }) / dimension
}
