// SPDX-License-Identifier: Apache-2.0
//! What `cuda.rs` and `__op__.h` both assume.

use patina3d___package__::__op__::__Op__Params;
use patina3d_core::launch::Params;

#[test]
fn the_params_have_one_layout() {
    let layout = patina3d_emulator::layout(__Op__Params::NAME).unwrap();
    let rust: Vec<_> = __Op__Params::layout().into_iter().map(|(name, at)| (name.to_owned(), at)).collect();
    assert_eq!(layout, rust);
}
