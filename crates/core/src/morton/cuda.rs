// SPDX-License-Identifier: Apache-2.0
//! Grid, block, arguments.

use super::{MODULE, bits_per_axis};
use crate::device::Gpu;
use crate::error::{Error, Result};
use crate::launch::Grid;
use crate::sort::Key;
use crate::tensor::{DevicePtr, Real};

const THREADS: u32 = 256;

crate::shared_struct! {
    /// `morton.h` says what each field is.
    pub struct MortonParams {
        pub points: DevicePtr,
        pub bounds: DevicePtr,
        pub codes: DevicePtr,
        pub count: i64,
        pub bits: i32,
        pub reserved: i32,
    }
}

/// Writes the codes, of type `C` and [`bits_per_axis`] bits an axis, of `count` points of `dimension` (2 or 3)
/// coordinates of type `T`, on a device. `bounds` points to the least coordinates of the box, then the greatest.
pub fn launch<T: Real, C: Key>(
    gpu: Gpu,
    points: DevicePtr,
    bounds: DevicePtr,
    dimension: u32,
    count: usize,
    codes: DevicePtr,
) -> Result<()> {
    let kernel = format!("morton_codes_{dimension}d_{}_{}", T::SUFFIX, C::SUFFIX);
    if !matches!(dimension, 2 | 3) {
        return Err(Error::device(kernel, "codes are those of 2 or 3 dimensions"));
    }
    let bits = bits_per_axis::<C>(dimension) as i32;
    let params = MortonParams { points, bounds, codes, count: count as i64, bits, reserved: 0 };
    gpu.launch(&MODULE, &kernel, Grid::per_element(&kernel, count, THREADS)?, &params)
}
