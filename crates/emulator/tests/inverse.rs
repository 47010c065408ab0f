// SPDX-License-Identifier: Apache-2.0
//! The inverse of a map: what the launchers and the headers both assume, and its kernels against its CPU path. A kernel of
//! this folder's own plays the operator that uses it.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use patina3d_core::inverse::{Inverse, InverseParams, Unsorted, pairs_of_targets};
use patina3d_core::launch::{Grid, Module, Params};
use patina3d_core::segments::{self, Segments};
use patina3d_core::{DevicePtr, Gpu};
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

/// From targets that are set to the sums of what the pairs bring.
fn invert(gpu: Gpu, unsorted: Unsorted, params: &mut EmulatorInverseParams) {
    params.inverse = unsorted.inverse();
    let Segments { segments, entries, components, .. } = params.inverse.segments;
    run(gpu, "emulator_inverse_targets", entries as usize, params);
    params.inverse = unsorted.sorted(gpu).unwrap();
    run(gpu, "emulator_inverse_pairs", entries as usize, params);
    params.inverse.segments.launch_chunks(gpu, &MODULE, "emulator_inverse_chunks", params).unwrap();
    run(gpu, "emulator_inverse_sums", (segments * components) as usize, params);
}

/// Where the pairs of each target begin, the pairs in that order, and the sums of what they bring.
fn on_device(
    gpu: Gpu,
    targets_of_pairs: &[i64],
    values: &[f32],
    targets: usize,
    components: usize,
) -> (Vec<u64>, Vec<i64>, Vec<f32>) {
    let (count, row) = (targets_of_pairs.len(), components * size_of::<f32>());
    let (mut of_pairs, mut values) = (targets_of_pairs.to_vec(), values.to_vec());
    let (mut pairs, mut sums) = (vec![-7; count], vec![f32::NAN; targets * components]);
    let mut memory = vec![u64::MAX; Unsorted::bytes(targets, count, row).div_ceil(8)];
    let mut params = EmulatorInverseParams {
        targets: pointer(&mut of_pairs),
        values: pointer(&mut values),
        pairs: pointer(&mut pairs),
        sums: pointer(&mut sums),
        inverse: Inverse::default(),
    };
    invert(gpu, Unsorted::new(pointer(&mut memory), targets, count, components, row), &mut params);
    (memory[..=targets].to_vec(), pairs, sums)
}

fn bits(sums: &[f32]) -> Vec<u32> {
    sums.iter().map(|sum| sum.to_bits()).collect()
}

/// What [`on_device`] is to find, of the pairs that have a target.
fn expected(of_pairs: &[i64], values: &[f32], targets: usize, components: usize) -> (Vec<u64>, Vec<i64>, Vec<f32>) {
    let (first, pairs) = pairs_of_targets(of_pairs, targets);
    let index: Vec<i64> = pairs.iter().map(|&pair| pair as i64).collect();
    let sums = segments::reduce(segments::Reduction::Sum, values, Some(&index), &first, components, 1).unwrap();
    (first, index, sums)
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
        let none = [-1, i64::MIN, targets as i64, targets as i64 + 1, 1 << 32, 1 << 40, i64::MAX];
        // About one in ten has no target.
        let target = |random: &mut Random| match (random.next() >> 11) % (targets as u64 * 10 / 9 + 2) {
            target if target < targets as u64 => target as i64,
            _ => random.pick(&none),
        };
        let of_pairs: Vec<i64> = (0..pairs).map(|_| target(&mut random)).collect();
        for components in [1, 3] {
            let values: Vec<f32> = random.numbers(pairs * components, -1.0, 1.0);
            let (first, index, sums) = expected(&of_pairs, &values, targets, components);
            for order in ORDERS {
                let gpu = emulated_gpu(order);
                let (got_first, got_pairs, got_sums) = on_device(gpu, &of_pairs, &values, targets, components);
                let what = format!("{pairs} pairs, {targets} targets, {components} components, {order:?}");
                assert!(got_first == first, "{what}");
                assert!(got_pairs[..index.len()] == index[..], "{what}");
                assert!(bits(&got_sums) == bits(&sums), "{what}");
            }
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn more_targets_than_32_bits_can_number() {
    const COMPONENTS: usize = 2;
    const ROW: usize = COMPONENTS * size_of::<f32>();
    let targets = (1 << 32) + 5;
    let count = 600;
    let mut random = Random(43);
    // The last two, each more pairs than a chunk has; some pairs have none, among them those of a target that is too great.
    let none = [-1, targets as i64, targets as i64 + 1, 1 << 40];
    let of_last: Vec<i64> = (0..count).map(|pair| if pair % 50 == 7 { -1 } else { pair % 2 }).collect();
    let mut of_pairs: Vec<i64> = of_last
        .iter()
        .map(|&target| if target < 0 { random.pick(&none) } else { targets as i64 - 2 + target })
        .collect();
    let count = of_pairs.len();
    let mut values: Vec<f32> = random.numbers(count * COMPONENTS, -1.0, 1.0);
    let (first, index, expected_sums) = expected(&of_last, &values, 2, COMPONENTS);

    let mut pairs = vec![-7_i64; count];
    let (mut sums, mut memory) = (
        Sparse::<f32>::new(targets * COMPONENTS),
        Sparse::<u64>::new(Unsorted::bytes(targets, count, ROW).div_ceil(8)),
    );
    // As many blocks as have a thread for each pair.
    emulated_end(ORDERS[0], 10);
    let mut params = EmulatorInverseParams {
        targets: pointer(&mut of_pairs),
        values: pointer(&mut values),
        pairs: pointer(&mut pairs),
        sums: pointer(sums.all_mut()),
        inverse: Inverse::default(),
    };
    let unsorted = Unsorted::new(pointer(memory.all_mut()), targets, count, COMPONENTS, ROW);
    invert(Gpu::Emulated, unsorted, &mut params);
    assert_eq!(memory.all()[targets - 2..=targets], first);
    assert_eq!(pairs[..index.len()], index);
    assert_eq!(bits(sums.end(2 * COMPONENTS)), bits(&expected_sums));
}
