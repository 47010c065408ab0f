// SPDX-License-Identifier: Apache-2.0
//! The scan of the core: its kernels against its CPU path, which its own tests compare with a plain sum.

#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use patina3d_core::Gpu;
use patina3d_core::launch::Params;
use patina3d_core::scan::{self, Count, ScanParams};
use support::{ORDERS, Random, Sparse, emulated_end, emulated_gpu, pointer};

const TILE: usize = 2048;
const OF_ONE_BLOCK: usize = 8 * TILE;

fn scanned<C: Count>(gpu: Gpu, counts: &[C]) -> Vec<u64> {
    let (mut counts, mut out) = (counts.to_vec(), vec![u64::MAX; counts.len() + 1]);
    let mut scratch = vec![u64::MAX; scan::bytes(counts.len()) / 8];
    let count = counts.len();
    scan::launch::<C>(gpu, pointer(&mut counts), pointer(&mut out), count, pointer(&mut scratch)).unwrap();
    out
}

#[test]
fn the_params_have_one_layout() {
    let layout = patina3d_emulator::layout(ScanParams::NAME).unwrap();
    let rust: Vec<_> = ScanParams::layout().into_iter().map(|(name, at)| (name.to_owned(), at)).collect();
    assert_eq!(layout, rust);
}

#[test]
fn every_count_gets_the_sum_of_those_before() {
    let mut random = Random(5);
    for order in ORDERS {
        let gpu = emulated_gpu(order);
        for count in [0, 1, 31, 32, 33, TILE - 1, TILE, TILE + 1, OF_ONE_BLOCK, OF_ONE_BLOCK + 1, 11 * TILE + 7] {
            let narrow: Vec<u32> = (0..count).map(|_| random.next() as u32).collect();
            assert!(scanned(gpu, &narrow) == scan::exclusive(&narrow, 1), "{count} numbers of 32 bits, {order:?}");
            let wide: Vec<u64> = (0..count).map(|_| random.next()).collect();
            assert!(scanned(gpu, &wide) == scan::exclusive(&wide, 1), "{count} numbers of 64 bits, {order:?}");
        }
    }
}

#[test]
fn sums_wrap_around_and_count_downwards() {
    let gpu = emulated_gpu(ORDERS[2]);
    let counts = [u64::MAX, 3, (-5_i64) as u64, u64::MAX];
    assert_eq!(scanned(gpu, &counts), [0, u64::MAX, 2, (-3_i64) as u64, (-4_i64) as u64]);
}

#[test]
fn counts_may_be_scanned_where_they_lie() {
    for count in [100, 10 * TILE + 1] {
        for order in ORDERS {
            let gpu = emulated_gpu(order);
            let mut values: Vec<u64> = (0..count as u64).map(|i| i * i % 7).collect();
            let expected = scan::exclusive(&values, 1);
            values.push(99);
            let mut scratch = vec![0_u64; scan::bytes(count) / 8];
            let memory = pointer(&mut values);
            scan::launch::<u64>(gpu, memory, memory, count, pointer(&mut scratch)).unwrap();
            assert!(values == expected, "{count} {order:?}");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn more_counts_than_32_bits_can_number() {
    let count = (1 << 32) + 100;
    let (mut counts, mut out) = (Sparse::<u32>::new(count), Sparse::<u64>::new(count + 1));
    let mut scratch = vec![0_u64; scan::bytes(count) / 8];
    counts.end(3).copy_from_slice(&[7, u32::MAX, 5]);
    emulated_end(ORDERS[0], 2);
    let (from, to) = (pointer(counts.all_mut()), pointer(out.all_mut()));
    scan::launch::<u32>(Gpu::Emulated, from, to, count, pointer(&mut scratch)).unwrap();
    let sum = u64::from(u32::MAX);
    assert_eq!(out.end(4), [0, 7, 7 + sum, 12 + sum]);
}
