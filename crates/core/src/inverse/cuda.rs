// SPDX-License-Identifier: Apache-2.0
//! Grid, block, arguments; who has which memory.

use super::MODULE;
use crate::device::Gpu;
use crate::error::Result;
use crate::launch::Grid;
use crate::segments::{self, Segments};
use crate::sort::{self, Key, Pairs, Values, bits_below};
use crate::tensor::DevicePtr;

const THREADS: u32 = 256;

crate::shared_struct! {
    /// `inverse.cuh` says what each field is.
    #[derive(Default)]
    pub struct Inverse {
        pub keys: DevicePtr,
        pub numbers: DevicePtr,
        pub segments: Segments,
        pub wide: i32,
        pub reserved: i32,
    }
}

/// The inverse before its pairs are sorted, while kernels set their targets. A second sort would read beyond the memory, so
/// the first one takes it, and it cannot be copied.
///
/// ```
/// use patina3d_core::{Gpu, inverse::Unsorted};
/// fn once(unsorted: Unsorted, gpu: Gpu) {
///     let _ = unsorted.sorted(gpu);
/// }
/// ```
/// ```compile_fail,E0382
/// use patina3d_core::{Gpu, inverse::Unsorted};
/// fn twice(unsorted: Unsorted, gpu: Gpu) {
///     let _ = unsorted.sorted(gpu);
///     let _ = unsorted.sorted(gpu);
/// }
/// ```
#[derive(Debug)]
pub struct Unsorted(Inverse);

crate::shared_struct! {
    /// `inverse.h` says what each field is.
    pub struct InverseParams {
        pub keys: DevicePtr,
        pub first: DevicePtr,
        pub targets: i64,
        pub pairs: i64,
    }
}

/// How large the parts of the memory are: where targets begin; keys, keys, numbers, numbers; the sort's own; chunks.
struct Parts {
    wide: bool,
    first: usize,
    column: usize,
    sort: usize,
    chunks: usize,
}

impl Parts {
    fn new(targets: usize, pairs: usize, row: usize) -> Self {
        let wide = targets.max(pairs) > u32::MAX as usize;
        Self {
            wide,
            first: size_of::<u64>() * (targets + 1),
            column: pairs * if wide { size_of::<u64>() } else { size_of::<u32>() },
            sort: sort::bytes(pairs, bits_below(targets + 1)),
            chunks: segments::bytes(pairs, row),
        }
    }
}

impl Unsorted {
    /// Bytes of scratch memory for this many targets and pairs of which each brings a row of `row` bytes.
    pub fn bytes(targets: usize, pairs: usize, row: usize) -> usize {
        let parts = Parts::new(targets, pairs, row);
        parts.first + 4 * parts.column + parts.sort + parts.chunks
    }

    /// In scratch memory that is aligned to 8 bytes, for rows of `components` parts, `row` bytes in all.
    pub fn new(memory: DevicePtr, targets: usize, pairs: usize, components: usize, row: usize) -> Self {
        let parts = Parts::new(targets, pairs, row);
        let keys = memory.after(parts.first);
        Self(Inverse {
            keys,
            numbers: keys.after(2 * parts.column),
            segments: Segments {
                first: memory,
                chunks: keys.after(4 * parts.column + parts.sort),
                segments: targets as i64,
                entries: pairs as i64,
                components: components as i64,
            },
            wide: i32::from(parts.wide),
            reserved: 0,
        })
    }

    /// For kernels that call `inverse_set`.
    pub fn inverse(&self) -> Inverse {
        self.0
    }

    /// Sorts the pairs by the targets that they were given: one that kernels may ask for the pairs of a target.
    pub fn sorted(self, gpu: Gpu) -> Result<Inverse> {
        let sorted = if self.0.wide == 0 { self.sort::<u32>(gpu)? } else { self.sort::<u64>(gpu)? };
        Ok(Inverse { keys: sorted.keys, numbers: sorted.values, ..self.0 })
    }

    fn sort<K: Key>(&self, gpu: Gpu) -> Result<Pairs> {
        let Inverse { keys, numbers, segments, .. } = self.0;
        let (targets, pairs) = (segments.segments as usize, segments.entries as usize);
        let parts = Parts::new(targets, pairs, 0);
        let given = Pairs { keys, values: numbers };
        let other = Pairs { keys: keys.after(parts.column), values: numbers.after(parts.column) };
        let scratch = keys.after(4 * parts.column);
        let sorted = sort::launch::<K, K>(gpu, given, Values::Numbers, other, pairs, bits_below(targets + 1), scratch)?;
        let Segments { first, segments, entries, .. } = segments;
        let params = InverseParams { keys: sorted.keys, first, targets: segments, pairs: entries };
        let kernel = format!("inverse_starts_{}", K::SUFFIX);
        gpu.launch(&MODULE, &kernel, Grid::per_element(&kernel, targets + 1, THREADS)?, &params)?;
        Ok(sorted)
    }
}
