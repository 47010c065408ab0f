// SPDX-License-Identifier: Apache-2.0
//! What `cuda.rs` and `chamfer.h` both assume.

use patina3d_core::launch::Params;
use patina3d_ops::chamfer::{ChamferParams, ChamferSide};

fn is_that_of_the_header(name: &str, layout: Vec<(&'static str, usize)>) {
    let rust: Vec<_> = layout.into_iter().map(|(name, at)| (name.to_owned(), at)).collect();
    assert_eq!(patina3d_emulator::layout(name), Some(rust));
}

#[test]
fn the_params_have_one_layout() {
    is_that_of_the_header(ChamferSide::NAME, ChamferSide::layout());
    is_that_of_the_header(ChamferParams::NAME, ChamferParams::layout());
}
