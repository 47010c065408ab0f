// SPDX-License-Identifier: Apache-2.0
//! Grid, block, arguments.

use patina3d_core::{DType, DevicePtr, Gpu, Grid, Result};

use super::{Inputs, MODULE, Outputs, Sizes};

/// The most threads of a block that keeps a cloud to itself, and the points that one of them keeps at most.
const MOST_THREADS: usize = 1024;
const FEW_POINTS: usize = 4;
const MANY_POINTS: usize = 8;
/// Threads of a block that shares a cloud with others, its points, and the most blocks of a cloud.
const THREADS: u32 = 256;
const SHARE: usize = 1024;
const MOST_SHARES: usize = 256;

patina3d_core::shared_struct! {
    /// `sample_farthest_points.h` says what each field is.
    pub struct SampleFarthestPointsParams {
        pub points: DevicePtr,
        pub lengths: DevicePtr,
        pub counts: DevicePtr,
        pub start: DevicePtr,
        pub idx: DevicePtr,
        pub distances: DevicePtr,
        pub farthest: DevicePtr,
        pub n: i64,
        pub num_points: i64,
        pub d: i64,
        pub k: i64,
        pub step: i64,
        pub shares: i64,
    }
}

/// The points that a thread keeps where the registers of one block hold a cloud.
fn resident(dtype: DType, points: usize) -> Option<usize> {
    // float64 takes twice the registers.
    let most = if dtype == DType::F64 { FEW_POINTS } else { MANY_POINTS };
    [FEW_POINTS, MANY_POINTS].into_iter().find(|&items| items <= most && points <= MOST_THREADS * items)
}

fn shares(points: usize) -> usize {
    points.div_ceil(SHARE).clamp(1, MOST_SHARES)
}

/// Distances of all points, and a distance and an index (padded to its size) of each share, twice.
pub(super) fn scratch_bytes(dtype: DType, sizes: Sizes) -> usize {
    if resident(dtype, sizes.p).is_some() {
        return 0;
    }
    distance_bytes(dtype, sizes) + 2 * sizes.n * shares(sizes.p) * 2 * dtype.bytes()
}

fn distance_bytes(dtype: DType, sizes: Sizes) -> usize {
    (sizes.n * sizes.p * dtype.bytes()).next_multiple_of(16)
}

pub(super) fn forward(gpu: Gpu, x: &Inputs<'_>, sizes: Sizes, out: &mut Outputs<'_>) -> Result<()> {
    if sizes.k == 0 {
        return Ok(());
    }
    let (dtype, scratch) = (x.points.dtype(), out.scratch.device_ptr());
    let mut params = SampleFarthestPointsParams {
        points: x.points.device_ptr(),
        lengths: DevicePtr::of(x.lengths),
        counts: DevicePtr::of(x.counts),
        start: DevicePtr::of(x.start),
        idx: out.idx.device_ptr(),
        distances: scratch,
        farthest: DevicePtr::default(),
        n: sizes.n as i64,
        num_points: sizes.p as i64,
        d: sizes.d as i64,
        k: sizes.k as i64,
        step: 0,
        shares: 1,
    };
    if let Some(items) = resident(dtype, sizes.p) {
        let how = if sizes.d == 3 { "space_" } else { "" };
        let kernel = format!("sample_farthest_points_resident_{how}{items}_{}", dtype.suffix());
        let threads = sizes.p.div_ceil(items).next_multiple_of(32).max(32) as u32;
        return gpu.launch(&MODULE, &kernel, Grid::of_blocks(&kernel, [sizes.n, 1, 1], threads)?, &params);
    }
    let shares = shares(sizes.p);
    params.farthest = DevicePtr(scratch.0 + distance_bytes(dtype, sizes) as u64);
    params.shares = shares as i64;
    let kernel = format!("sample_farthest_points_step_{}", dtype.suffix());
    let grid = Grid::of_blocks(&kernel, [sizes.n * shares, 1, 1], THREADS)?;
    for step in 0..sizes.k.min(sizes.p) {
        params.step = step as i64;
        gpu.launch(&MODULE, &kernel, grid, &params)?;
    }
    Ok(())
}
