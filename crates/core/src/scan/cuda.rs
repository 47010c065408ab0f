// SPDX-License-Identifier: Apache-2.0
//! Grid, block, arguments.

use super::{Count, MODULE};
use crate::device::Gpu;
use crate::error::Result;
use crate::launch::Grid;
use crate::tensor::DevicePtr;

const THREADS: u32 = 256;
/// Entries of a block.
const TILE: usize = 8 * THREADS as usize;
/// One block scans this many tiles in about the time that two more launches take.
const TILES_OF_ONE_BLOCK: usize = 8;

crate::shared_struct! {
    /// `scan.h` says what each field is.
    pub struct ScanParams {
        pub counts: DevicePtr,
        pub out: DevicePtr,
        pub sums: DevicePtr,
        pub count: i64,
    }
}

/// Bytes of scratch memory that [`launch`] needs.
///
/// ```
/// assert_eq!(patina3d_core::scan::bytes(1000), 0);
/// assert_eq!(patina3d_core::scan::bytes(1 << 20), 8 * 513);
/// ```
pub fn bytes(count: usize) -> usize {
    let tiles = count.div_ceil(TILE);
    if tiles <= TILES_OF_ONE_BLOCK { 0 } else { size_of::<u64>() * (tiles + 1) }
}

/// Scans `count` numbers of type `C` on a device. `out` has room for `count + 1` numbers of 64 bits; it may be `counts`
/// itself where `C` has 64 bits. `scratch` has [`bytes`] bytes, all aligned to 8 of them.
pub fn launch<C: Count>(gpu: Gpu, counts: DevicePtr, out: DevicePtr, count: usize, scratch: DevicePtr) -> Result<()> {
    let params = ScanParams { counts, out, sums: scratch, count: count as i64 };
    let run = |pass: &str, suffix: &str, blocks: usize, params: &ScanParams| {
        let kernel = format!("scan_{pass}_{suffix}");
        gpu.launch(&MODULE, &kernel, Grid::of_blocks(&kernel, [blocks, 1, 1], THREADS)?, params)
    };
    let tiles = count.div_ceil(TILE);
    if tiles <= TILES_OF_ONE_BLOCK {
        return run("whole", C::SUFFIX, 1, &params);
    }
    run("sums", C::SUFFIX, tiles, &params)?;
    let of_tiles = ScanParams { counts: scratch, out: scratch, sums: DevicePtr::default(), count: tiles as i64 };
    run("whole", u64::SUFFIX, 1, &of_tiles)?;
    run("tiles", C::SUFFIX, tiles, &params)
}
