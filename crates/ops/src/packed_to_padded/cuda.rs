// SPDX-License-Identifier: Apache-2.0
//! Grid, block, arguments.

use patina3d_core::{DevicePtr, Gpu, Grid, Result, TensorMut};

use super::{Inputs, MODULE, Sizes};

const THREADS: u32 = 256;
/// Bytes that one thread may move, largest first.
const UNITS: [usize; 5] = [16, 8, 4, 2, 1];

patina3d_core::shared_struct! {
    /// `packed_to_padded.h` says what each field is.
    pub struct PackedToPaddedParams {
        pub from: DevicePtr,
        pub to: DevicePtr,
        pub first_idxs: DevicePtr,
        pub n: i64,
        pub f: i64,
        pub m: i64,
        pub units: i64,
    }
}

/// Launches a direction, `pad` or `pack`, whose result has this many items.
pub(super) fn launch(
    gpu: Gpu,
    direction: &str,
    x: &Inputs<'_>,
    sizes: Sizes,
    items: usize,
    out: &mut TensorMut<'_>,
) -> Result<()> {
    let Sizes { n, f, m, item } = sizes;
    let (from, to) = (x.inputs.device_ptr(), out.device_ptr());
    let fits = |unit: &usize| (item as u64 | from.0 | to.0).is_multiple_of(*unit as u64);
    let unit = UNITS.into_iter().find(fits).unwrap_or(1);
    let params = PackedToPaddedParams {
        from,
        to,
        first_idxs: x.first_idxs.device_ptr(),
        n: n as i64,
        f: f as i64,
        m: m as i64,
        units: (item / unit) as i64,
    };
    let kernel = format!("packed_to_padded_{direction}_u{}", 8 * unit);
    gpu.launch(&MODULE, &kernel, Grid::per_element(&kernel, items * (item / unit), THREADS)?, &params)
}
