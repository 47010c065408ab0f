// SPDX-License-Identifier: Apache-2.0
//! The radix sort of the core, against the stable sort of the standard library.

#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use patina3d_core::launch::Params;
use patina3d_core::sort::{self, Key, Pairs, SortParams, Values};
use patina3d_core::{DevicePtr, Gpu};
use support::{ORDERS, Random, Sparse, emulated_end, emulated_gpu, pointer};

const TILE: usize = 4096;

/// The pairs after a sort on a device.
fn sorted<K: Key, V: Key>(gpu: Gpu, keys: &[K], values: &[V], what: Values, bits: u32) -> (Vec<K>, Vec<V>) {
    let count = keys.len();
    let (mut keys, mut values) = (keys.to_vec(), values.to_vec());
    let (mut other_keys, mut other_values) = (vec![K::default(); count], vec![V::default(); count]);
    let mut scratch = vec![u64::MAX; sort::bytes(count, bits) / 8];
    let pairs = Pairs { keys: pointer(&mut keys), values: pointer(&mut values) };
    let other = Pairs { keys: pointer(&mut other_keys), values: pointer(&mut other_values) };
    let result = sort::launch::<K, V>(gpu, pairs, what, other, count, bits, pointer(&mut scratch)).unwrap();
    if result == pairs {
        (keys, values)
    } else {
        assert_eq!(result, other);
        (other_keys, other_values)
    }
}

fn masked(key: u64, bits: u32) -> u64 {
    if bits == 0 { 0 } else { key << (64 - bits) >> (64 - bits) }
}

/// Sorts keys with their numbers as values, and compares with the standard library.
fn compare<K: Key, V: Key>(keys: &[K], value: fn(usize) -> V, bits: u32, what: &str) {
    let values: Vec<V> = (0..keys.len()).map(value).collect();
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_by_key(|&i| masked(keys[i].wide(), bits));
    for in_order in ORDERS {
        let (found_keys, found) = sorted(emulated_gpu(in_order), keys, &values, Values::Given, bits);
        let same =
            |i: usize, at: usize| found[i].wide() == values[at].wide() && found_keys[i].wide() == keys[at].wide();
        assert!(
            order.iter().enumerate().all(|(i, &at)| same(i, at)),
            "{} {what}, {bits} bits, {in_order:?}",
            keys.len()
        );
    }
}

#[test]
fn the_params_have_one_layout() {
    let layout = patina3d_emulator::layout(SortParams::NAME).unwrap();
    let rust: Vec<_> = SortParams::layout().into_iter().map(|(name, at)| (name.to_owned(), at)).collect();
    assert_eq!(layout, rust);
}

#[test]
fn sorts_any_number_of_pairs() {
    let mut random = Random(11);
    for count in [0, 1, 2, 33, TILE - 1, TILE, TILE + 1, 3 * TILE + 77] {
        let narrow: Vec<u32> = (0..count).map(|_| random.next() as u32).collect();
        compare(&narrow, |i| !(i as u32), 32, "keys of 32 bits");
        let wide: Vec<u64> = (0..count).map(|_| random.next()).collect();
        compare(&wide, |i| !(i as u32), 64, "keys of 64 bits");
    }
    let wide: Vec<u64> = (0..TILE + 300).map(|_| random.next()).collect();
    compare(&wide, |i| !(i as u64), 64, "values of 64 bits");
    compare(&wide[..300], |i| !(i as u64), 64, "values of 64 bits");
}

#[test]
fn several_digits_of_so_many_tiles_that_several_blocks_scan_their_counts() {
    let mut random = Random(12);
    let count = 64 * TILE + 9;
    let keys: Vec<u32> = (0..count).map(|_| random.next() as u32).collect();
    // Two digits of 8 bits, 256 counts of each of 65 tiles; one block scans up to 16384 numbers.
    let bits = 16;
    assert!(sort::bytes(count, bits) > 8 * (65 * 256 + 1));
    let mut expected: Vec<u32> = (0..count as u32).collect();
    expected.sort_by_key(|&i| masked(u64::from(keys[i as usize]), bits));
    let unset = vec![0xdead_beef_u32; count];
    let (found_keys, found) = sorted(emulated_gpu(ORDERS[2]), &keys, &unset, Values::Numbers, bits);
    assert!(found == expected);
    assert!(found.iter().zip(&found_keys).all(|(&i, &key)| keys[i as usize] == key));
}

#[test]
fn pairs_with_equal_bits_keep_their_order() {
    let mut random = Random(13);
    for count in [100, 2 * TILE + 5] {
        for bits in [0, 1, 3, 8, 9, 17] {
            // Bits above those asked for differ and must not matter.
            let keys: Vec<u32> = (0..count).map(|_| random.next() as u32 & 0xff03_0f0f).collect();
            compare(&keys, |i| i as u32, bits, "keys with high bits");
        }
        let keys: Vec<u64> = (0..count).map(|_| random.next() & (0b11 << 61)).collect();
        compare(&keys, |i| i as u32, 64, "keys with two high bits");
        compare(&vec![u32::MAX; count], |i| i as u32, 32, "equal keys");
        let falling: Vec<u32> = (0..count as u32).rev().collect();
        compare(&falling, |i| i as u32, 14, "falling keys");
    }
}

#[test]
fn numbers_say_where_a_key_came_from() {
    let mut random = Random(17);
    for count in [1, 50, TILE + 1] {
        for bits in [0, 5, 12] {
            let keys: Vec<u64> = (0..count).map(|_| random.next()).collect();
            let unset = vec![0xdead_beef_u32; count];
            let mut expected: Vec<u32> = (0..count as u32).collect();
            expected.sort_by_key(|&i| masked(keys[i as usize], bits));
            let (found_keys, found) = sorted(emulated_gpu(ORDERS[2]), &keys, &unset, Values::Numbers, bits);
            assert!(found == expected, "{count} {bits}");
            assert!(found.iter().zip(&found_keys).all(|(&i, &key)| keys[i as usize] == key));
        }
    }
}

#[test]
fn what_cannot_be_sorted_is_an_error() {
    let gpu = emulated_gpu(ORDERS[0]);
    let nothing = DevicePtr::default();
    let pairs = Pairs { keys: nothing, values: nothing };
    let launch = |count, bits| sort::launch::<u32, u32>(gpu, pairs, Values::Numbers, pairs, count, bits, nothing);
    assert!(launch(5, 33).unwrap_err().to_string().contains("bits must be at most 32"));
    assert!(launch((1 << 32) + 1, 32).unwrap_err().to_string().contains("cannot be numbered"));
    let wide = sort::launch::<u32, u64>(gpu, pairs, Values::Given, pairs, 1, 1, nothing).unwrap_err();
    assert!(wide.to_string().contains("no wider than keys"), "{wide}");
}

#[cfg(target_os = "linux")]
#[test]
fn more_pairs_than_32_bits_can_number() {
    // Of the tiles that run all keys are 1, of those that do not the counts stay 0.
    let (count, ones) = ((1 << 32) + 100, 100 + 7 * TILE);
    let [mut keys, mut values, mut sorted_keys, mut sorted_values] = [(); 4].map(|()| Sparse::<u64>::new(count));
    let mut scratch = vec![0_u64; sort::bytes(count, 1) / 8];
    keys.end(ones).fill(1);
    emulated_end(ORDERS[0], 8);
    let here = Pairs { keys: pointer(keys.all_mut()), values: pointer(values.all_mut()) };
    let there = Pairs { keys: pointer(sorted_keys.all_mut()), values: pointer(sorted_values.all_mut()) };
    let memory = pointer(&mut scratch);
    let sorted = sort::launch::<u64, u64>(Gpu::Emulated, here, Values::Numbers, there, count, 1, memory).unwrap();
    assert_eq!(sorted, there);
    assert!(sorted_keys.all()[..ones].iter().all(|&key| key == 1));
    let numbers = (count - ones) as u64..count as u64;
    assert!(sorted_values.all()[..ones].iter().copied().eq(numbers));
}
