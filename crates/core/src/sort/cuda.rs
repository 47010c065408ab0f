// SPDX-License-Identifier: Apache-2.0
//! Grid, block, arguments.

use super::{Key, MODULE, check, digit_width, digits};
use crate::device::Gpu;
use crate::error::{Error, Result};
use crate::launch::Grid;
use crate::scan;
use crate::tensor::DevicePtr;

const THREADS: u32 = 256;
/// Pairs of a block.
const TILE: usize = 16 * THREADS as usize;

crate::shared_struct! {
    /// `sort.h` says what each field is.
    pub struct SortParams {
        pub keys: DevicePtr,
        pub values: DevicePtr,
        pub sorted_keys: DevicePtr,
        pub sorted_values: DevicePtr,
        pub places: DevicePtr,
        pub count: i64,
        pub tiles: i64,
        pub shift: i32,
        pub width: i32,
        pub bits: i32,
        pub reserved: i32,
    }
}

/// Where pairs lie in the memory of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pairs {
    /// As many keys as there are pairs.
    pub keys: DevicePtr,
    /// As many values.
    pub values: DevicePtr,
}

/// What the values are before they are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// What their memory holds.
    Given,
    /// 0, 1, 2, ...: sorted, they say where each key came from. Their memory need not be filled.
    Numbers,
}

/// Bytes of scratch memory that [`launch`] needs to sort by `bits` bits.
///
/// ```
/// assert_eq!(patina3d_core::sort::bytes(4096, 32), 0);
/// assert_eq!(patina3d_core::sort::bytes(4097, 32), 8 * (2 * 256 + 1));
/// ```
pub fn bytes(count: usize, bits: u32) -> usize {
    let tiles = count.div_ceil(TILE);
    if tiles <= 1 {
        return 0;
    }
    let places = tiles << digit_width(bits);
    size_of::<u64>() * (places + 1) + scan::bytes(places)
}

/// Sorts `count` pairs of a key `K` and a value `V` by the low `bits` bits of the keys, on a device. Both memories are
/// written; returns the one that holds the result. `scratch` has [`bytes`] bytes, aligned to 8 of them. Values are of 32 bits,
/// or of 64 beside keys of 64; numbers of 32 bits count up to 2^32 pairs.
pub fn launch<K: Key, V: Key>(
    gpu: Gpu,
    pairs: Pairs,
    values: Values,
    other: Pairs,
    count: usize,
    bits: u32,
    scratch: DevicePtr,
) -> Result<Pairs> {
    let types = format!("{}_{}", K::SUFFIX, V::SUFFIX);
    check::<K>(bits)?;
    if V::BITS > K::BITS {
        return Err(Error::device(format!("sort_{types}"), "values must be no wider than keys"));
    }
    if values == Values::Numbers && V::BITS == 32 && count > 1 << 32 {
        return Err(Error::device(format!("sort_{types}"), format!("{count} pairs cannot be numbered in 32 bits")));
    }
    if count == 0 || (bits == 0 && values == Values::Given) {
        return Ok(pairs);
    }
    let tiles = count.div_ceil(TILE);
    let (mut from, mut to) = (pairs, other);
    let mut params = SortParams {
        keys: from.keys,
        values: if values == Values::Given { from.values } else { DevicePtr::default() },
        sorted_keys: to.keys,
        sorted_values: to.values,
        places: scratch,
        count: count as i64,
        tiles: tiles as i64,
        shift: 0,
        width: digit_width(bits) as i32,
        bits: bits as i32,
        reserved: 0,
    };
    let run = |kernel: &str, params: &SortParams| {
        gpu.launch(&MODULE, kernel, Grid::of_blocks(kernel, [tiles, 1, 1], THREADS)?, params)
    };
    if tiles == 1 {
        run(&format!("sort_tile_{types}"), &params)?;
        return Ok(to);
    }
    // Numbers without bits to sort by still have to be written: a digit without bits.
    let numbers_only = (bits == 0).then_some((0, 0));
    let (count_kernel, scatter_kernel) = (format!("sort_count_{}", K::SUFFIX), format!("sort_scatter_{types}"));
    for (shift, width) in digits(bits).chain(numbers_only) {
        (params.shift, params.width) = (shift as i32, width as i32);
        (params.keys, params.sorted_keys, params.sorted_values) = (from.keys, to.keys, to.values);
        let places = tiles << width;
        let scan_scratch = scratch.after(size_of::<u64>() * (places + 1));
        run(&count_kernel, &params)?;
        scan::launch::<u64>(gpu, scratch, scratch, places, scan_scratch)?;
        run(&scatter_kernel, &params)?;
        (from, to) = (to, from);
        params.values = from.values;
    }
    Ok(from)
}
