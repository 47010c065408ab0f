// SPDX-License-Identifier: Apache-2.0
//! `philox.cuh` against `philox.rs`, bit by bit.

use patina3d_core::philox::philox;
use patina3d_core::{DevicePtr, launch::Params};
use patina3d_emulator::{Order, launch_in};

patina3d_core::shared_struct! {
    /// `philox.h` says what each field is.
    pub struct EmulatorPhiloxParams {
        pub inputs: DevicePtr,
        pub results: DevicePtr,
        pub num_cases: i64,
    }
}

#[test]
fn has_the_same_bits_in_both_languages() {
    const COUNT: usize = 2000;
    // Counters and keys that are random numbers themselves, and those whose words are all 0 or all ones.
    let inputs: Vec<[u32; 6]> = (0..COUNT as u32)
        .map(|i| {
            let ([a, b, c, d], [e, f, ..]) = (philox([i, 0, 0, 0], [1, 2]), philox([i, 1, 0, 0], [1, 2]));
            let extreme = |bit: u32| if i >> bit & 1 == 1 { u32::MAX } else { 0 };
            if i < 64 { std::array::from_fn(|word| extreme(word as u32)) } else { [a, b, c, d, e, f] }
        })
        .collect();
    let mut results = vec![[0_u32; 4]; COUNT];
    let params = EmulatorPhiloxParams {
        inputs: DevicePtr(inputs.as_ptr() as u64),
        results: DevicePtr(results.as_mut_ptr() as u64),
        num_cases: COUNT as i64,
    };
    let blocks = [COUNT.div_ceil(128) as u32, 1, 1];
    launch_in(Order::Forward, "emulator_philox", blocks, [128, 1, 1], 0, std::ptr::from_ref(&params).cast()).unwrap();
    for ([a, b, c, d, e, f], result) in inputs.into_iter().zip(results) {
        assert_eq!(philox([a, b, c, d], [e, f]), result);
    }
}

#[test]
fn the_params_have_one_layout() {
    let layout = patina3d_emulator::layout(EmulatorPhiloxParams::NAME).unwrap();
    let rust: Vec<_> = EmulatorPhiloxParams::layout().into_iter().map(|(name, at)| (name.to_owned(), at)).collect();
    assert_eq!(layout, rust);
}
