// SPDX-License-Identifier: Apache-2.0
//! What `cuda.rs` and `packed_to_padded.h` both assume.

use patina3d_core::launch::Params;
use patina3d_ops::packed_to_padded::PackedToPaddedParams;

#[test]
fn the_params_have_one_layout() {
    let layout = patina3d_emulator::layout(PackedToPaddedParams::NAME).unwrap();
    let rust: Vec<_> = PackedToPaddedParams::layout().into_iter().map(|(name, at)| (name.to_owned(), at)).collect();
    assert_eq!(layout, rust);
}
