// SPDX-License-Identifier: Apache-2.0
//! What `cuda.rs` and `points_to_volumes.h` both assume.

use patina3d_core::launch::Params;
use patina3d_ops::points_to_volumes::PointsToVolumesParams;

#[test]
fn the_params_have_one_layout() {
    let layout = patina3d_emulator::layout(PointsToVolumesParams::NAME).unwrap();
    let rust: Vec<_> = PointsToVolumesParams::layout().into_iter().map(|(name, at)| (name.to_owned(), at)).collect();
    assert_eq!(layout, rust);
}
