// SPDX-License-Identifier: Apache-2.0
//! What `cuda.rs` and `ball_query.h` both assume.

use patina3d_core::launch::Params;
use patina3d_ops::ball_query::BallQueryParams;

#[test]
fn the_params_have_one_layout() {
    let layout = patina3d_emulator::layout(BallQueryParams::NAME).unwrap();
    let rust: Vec<_> = BallQueryParams::layout().into_iter().map(|(name, at)| (name.to_owned(), at)).collect();
    assert_eq!(layout, rust);
}
