// SPDX-License-Identifier: Apache-2.0
//! What `cuda.rs` and `sample_points_from_meshes.h` both assume.

use patina3d_core::launch::Params;
use patina3d_ops::sample_points_from_meshes::SamplePointsFromMeshesParams;

#[test]
fn the_params_have_one_layout() {
    let layout = patina3d_emulator::layout(SamplePointsFromMeshesParams::NAME).unwrap();
    let rust: Vec<_> =
        SamplePointsFromMeshesParams::layout().into_iter().map(|(name, at)| (name.to_owned(), at)).collect();
    assert_eq!(layout, rust);
}
