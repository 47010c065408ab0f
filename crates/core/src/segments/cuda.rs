// SPDX-License-Identifier: Apache-2.0
//! Grid, block, arguments.

use super::{CHUNK, MODULE, Reduction};
use crate::device::Gpu;
use crate::error::Result;
use crate::launch::{Grid, Module, Params};
use crate::tensor::{DevicePtr, Real};

const THREADS: u32 = 128;

crate::shared_struct! {
    /// `reduce.cuh` says what each field is.
    #[derive(Default)]
    pub struct Segments {
        pub first: DevicePtr,
        pub chunks: DevicePtr,
        pub segments: i64,
        pub entries: i64,
        pub components: i64,
    }
}

crate::shared_struct! {
    /// `segments.h` says what each field is.
    pub struct SegmentsParams {
        pub values: DevicePtr,
        pub index: DevicePtr,
        pub out: DevicePtr,
        pub segments: Segments,
    }
}

/// Bytes of scratch memory for the chunks of this many entries; `row` bytes for what each of them brings.
pub fn bytes(entries: usize, row: usize) -> usize {
    2 * entries.div_ceil(CHUNK) * row
}

impl Segments {
    /// Launches a kernel that calls `reduce_chunks`.
    pub fn launch_chunks<P: Params>(self, gpu: Gpu, module: &'static Module, kernel: &str, params: &P) -> Result<()> {
        let chunks = if self.segments == 0 { 0 } else { 2 * (self.entries as usize).div_ceil(CHUNK) };
        gpu.launch(module, kernel, Grid::per_element(kernel, chunks * self.components as usize, THREADS)?, params)
    }
}

/// The rows that [`launch`] reduces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rows {
    /// As many rows as there are, each of `components` numbers.
    pub values: DevicePtr,
    /// The row of each entry, `i64` and valid; without it entry `i` has row `i`.
    pub index: Option<DevicePtr>,
    /// How many entries there are.
    pub entries: usize,
    /// Numbers of a row, which are reduced apart.
    pub components: usize,
}

/// Reduces the rows of each of `segments` segments on a device. `first` points to `segments + 1` numbers of 64 bits,
/// `out` to room for a row a segment, `scratch` to [`bytes`] bytes for rows of `components` numbers of type `T`, aligned to
/// 8 of them.
pub fn launch<T: Real>(
    gpu: Gpu,
    how: Reduction,
    rows: Rows,
    first: DevicePtr,
    segments: usize,
    out: DevicePtr,
    scratch: DevicePtr,
) -> Result<()> {
    let params = SegmentsParams {
        values: rows.values,
        index: rows.index.unwrap_or_default(),
        out,
        segments: Segments {
            first,
            chunks: scratch,
            segments: segments as i64,
            entries: rows.entries as i64,
            components: rows.components as i64,
        },
    };
    let name = |pass: &str| format!("segments_{pass}_{}_{}", how.name(), T::SUFFIX);
    params.segments.launch_chunks(gpu, &MODULE, &name("chunks"), &params)?;
    let kernel = name("whole");
    gpu.launch(&MODULE, &kernel, Grid::per_element(&kernel, segments * rows.components, THREADS)?, &params)
}
