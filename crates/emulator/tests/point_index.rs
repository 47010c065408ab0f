// SPDX-License-Identifier: Apache-2.0
//! What `cuda.rs` and `point_index.h`, `tree.rs` and `tree.cuh` both assume.

use patina3d_core::launch::Params;
use patina3d_core::tree::DeviceTree;
use patina3d_ops::point_index::PointIndexParams;

#[test]
fn the_structs_have_one_layout() {
    for (name, layout) in
        [(DeviceTree::NAME, DeviceTree::layout()), (PointIndexParams::NAME, PointIndexParams::layout())]
    {
        let rust: Vec<_> = layout.into_iter().map(|(field, at)| (field.to_owned(), at)).collect();
        assert_eq!(patina3d_emulator::layout(name).unwrap(), rust, "{name}");
    }
}
