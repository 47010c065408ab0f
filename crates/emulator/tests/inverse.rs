// SPDX-License-Identifier: Apache-2.0
//! The inverse of a map: what the launchers and the headers both assume, and its kernels against its CPU path. A kernel of
//! this folder's own plays the operator that uses it.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use patina3d_core::inverse::{Inverse, InverseParams, pairs_of_targets};
use patina3d_core::launch::{Grid, Module, Params};
use patina3d_core::{DevicePtr, Gpu, segments};
use support::{ORDERS, Random, Sparse, emulated_end, emulated_gpu, pointer};

static MODULE: Module = Module { name: "emulator_inverse", ptx: "\0" };

patina3d_core::shared_struct! {
    /// `kernels/inverse_user.h` says what each field is.
    pub struct EmulatorInverseParams {
        pub targets: DevicePtr,
        pub values: DevicePtr,
        pub pairs: DevicePtr,
        pub sums: DevicePtr,
        pub inverse: Inverse,
    }
}

fn run(gpu: Gpu, kernel: &str, threads: usize, params: &EmulatorInverseParams) {
    gpu.launch(&MODULE, kernel, Grid::per_element(kernel, threads, 64).unwrap(), params).unwrap();
}

/// The pairs in the order of their targets, and the sums of what they bring.
fn on_device(gpu: Gpu, targets_of_pairs: &[i64], values: &[f32], targets: usize) -> (Vec<u64>, Vec<i64>, Vec<f32>) {
    let count = targets_of_pairs.len();
    let (mut of_pairs, mut values) = (targets_of_pairs.to_vec(), values.to_vec());
    let (mut pairs, mut sums) = (vec![-7; count], vec![f32::NAN; targets]);
    let mut memory = vec![u64::MAX; Inverse::bytes(targets, count, 4).div_ceil(8)];
    let mut params = EmulatorInverseParams {
        targets: pointer(&mut of_pairs),
        values: pointer(&mut values),
        pairs: pointer(&mut pairs),
        sums: pointer(&mut sums),
        inverse: Inverse::new(pointer(&mut memory), targets, count, 1, 4),
    };
    run(gpu, "emulator_inverse_targets", count, &params);
    params.inverse = params.inverse.sorted(gpu).unwrap();
    run(gpu, "emulator_inverse_pairs", count, &params);
    params.inverse.segments.launch_chunks(gpu, &MODULE, "emulator_inverse_chunks", &params).unwrap();
    run(gpu, "emulator_inverse_sums", targets, &params);
    (memory[..=targets].to_vec(), pairs, sums)
}

#[test]
fn the_params_have_one_layout() {
    for (name, layout) in [
        (Inverse::NAME, Inverse::layout()),
        (InverseParams::NAME, InverseParams::layout()),
        (EmulatorInverseParams::NAME, EmulatorInverseParams::layout()),
    ] {
        let rust: Vec<_> = layout.into_iter().map(|(name, at)| (name.to_owned(), at)).collect();
        assert_eq!(patina3d_emulator::layout(name).unwrap(), rust);
    }
}

#[test]
fn every_target_gets_its_pairs_in_order() {
    let mut random = Random(41);
    for (pairs, targets) in [(0, 0), (0, 5), (5, 0), (1, 1), (100, 7), (3000, 1), (5000, 300), (9000, 3), (600, 70_000)]
    {
        // One in ten has no target.
        let target = |random: &mut Random| (random.next() % (targets as u64 * 10 / 9 + 2)) as i64 - 1;
        let of_pairs: Vec<i64> =
            (0..pairs).map(|_| target(&mut random)).map(|t| if t < targets as i64 { t } else { -1 }).collect();
        let values: Vec<f32> = random.numbers(pairs, -1.0, 1.0);
        let (first, grouped) = pairs_of_targets(&of_pairs, targets);
        let index: Vec<i64> = grouped.iter().map(|&pair| pair as i64).collect();
        let sums = segments::reduce(segments::Reduction::Sum, &values, Some(&index), &first, 1, 1).unwrap();
        for order in ORDERS {
            let (got_first, got_pairs, got_sums) = on_device(emulated_gpu(order), &of_pairs, &values, targets);
            let what = format!("{pairs} pairs, {targets} targets, {order:?}");
            assert!(got_first == first, "{what}");
            assert!(got_pairs[..index.len()] == index[..], "{what}");
            let bits = |sums: &[f32]| sums.iter().map(|sum| sum.to_bits()).collect::<Vec<_>>();
            assert!(bits(&got_sums) == bits(&sums), "{what}");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn more_targets_than_32_bits_can_number() {
    let targets = (1 << 32) + 5;
    let count = 10;
    let mut of_pairs: Vec<i64> = (0..count).map(|pair| targets as i64 - 1 - pair as i64 % 2).collect();
    let (mut values, mut pairs) = (vec![1.0_f32; count], vec![-7_i64; count]);
    let (mut sums, mut memory) =
        (Sparse::<f32>::new(targets), Sparse::<u64>::new(Inverse::bytes(targets, count, 4).div_ceil(8)));
    emulated_end(ORDERS[0], 8);
    let gpu = Gpu::Emulated;
    let mut params = EmulatorInverseParams {
        targets: pointer(&mut of_pairs),
        values: pointer(&mut values),
        pairs: pointer(&mut pairs),
        sums: pointer(sums.all_mut()),
        inverse: Inverse::new(pointer(memory.all_mut()), targets, count, 1, 4),
    };
    run(gpu, "emulator_inverse_targets", count, &params);
    params.inverse = params.inverse.sorted(gpu).unwrap();
    run(gpu, "emulator_inverse_pairs", count, &params);
    run(gpu, "emulator_inverse_sums", targets, &params);
    assert_eq!(pairs, [1, 3, 5, 7, 9, 0, 2, 4, 6, 8]);
    assert_eq!(memory.all()[targets - 2..=targets], [0, 5, 10]);
    assert_eq!(sums.end(3).iter().map(|&sum| sum as i32).collect::<Vec<_>>(), [0, 5, 5]);
}
