// SPDX-License-Identifier: Apache-2.0
//! What `cuda.rs` and `point_index.h` both assume.

use patina3d_core::launch::Params;
use patina3d_ops::point_index::PointIndexParams;

#[test]
fn the_params_have_one_layout() {
    let layout = patina3d_emulator::layout(PointIndexParams::NAME).unwrap();
    let rust: Vec<_> = PointIndexParams::layout().into_iter().map(|(name, at)| (name.to_owned(), at)).collect();
    assert_eq!(layout, rust);
}
