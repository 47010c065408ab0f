// SPDX-License-Identifier: Apache-2.0
//! Grid, block, arguments.

use patina3d_core::tree::Layout;
use patina3d_core::{Error, Gpu, Result};

use super::{Inputs, Outputs};

patina3d_core::shared_struct! {
    /// `point_index.h` says what each field is.
    pub struct PointIndexParams {
        pub points: patina3d_core::DevicePtr,
    }
}

pub(super) fn forward(_: Gpu, _: &Inputs<'_>, _: Layout, _: &mut Outputs<'_>) -> Result<()> {
    Err(Error::device("PointIndex", "no kernels yet"))
}
