// SPDX-License-Identifier: Apache-2.0
//! What `cuda.rs` and `chamfer.h` both assume.
#![expect(clippy::unwrap_used, reason = "a test")]

use patina3d_core::launch::Params;
use patina3d_ops::chamfer::{ChamferParams, ChamferSide};

fn have_one_layout<P: Params>() {
    let layout = patina3d_emulator::layout(P::NAME).unwrap();
    let rust: Vec<_> = P::layout().into_iter().map(|(name, at)| (name.to_owned(), at)).collect();
    assert_eq!(layout, rust);
}

#[test]
fn the_params_have_one_layout() {
    have_one_layout::<ChamferSide>();
    have_one_layout::<ChamferParams>();
}
