// SPDX-License-Identifier: Apache-2.0
//! As the kernels, with a piece of the pairs for each thread in the place of a tile.

use std::iter::zip;

use super::{Key, check, digits};
use crate::error::Result;
use crate::pool;

/// Fewer pairs than this are not worth a thread.
const LEAST_PIECE: usize = 1 << 14;

/// Sorts keys and the values beside them by the low `bits` bits of the keys; pairs with equal bits keep their order. Sorts
/// as many pairs as there are of both. Uses at most `threads` threads.
///
/// ```
/// let mut keys = vec![0x1_03_u32, 0x2_01, 0x3_03, 0x4_00];
/// let mut values = vec!['a', 'b', 'c', 'd'];
/// patina3d_core::sort::pairs(&mut keys, &mut values, 8, 1)?;
/// assert_eq!(keys, [0x4_00, 0x2_01, 0x1_03, 0x3_03]);
/// assert_eq!(values, ['d', 'b', 'a', 'c']);
/// # Ok::<(), patina3d_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Value`](crate::Error::Value) where keys have fewer than `bits` bits.
pub fn pairs<K: Key, V: Copy + Send + Sync>(keys: &mut [K], values: &mut [V], bits: u32, threads: usize) -> Result<()> {
    check::<K>(bits)?;
    let count = keys.len().min(values.len());
    let (keys, values) = (&mut keys[..count], &mut values[..count]);
    let (mut other_keys, mut other_values) = (keys.to_vec(), values.to_vec());
    let mut swapped = false;
    pool::run(threads, 4 * count * digits(bits).count(), |threads| {
        let mut from = (&mut *keys, &mut *values);
        let mut to = (&mut other_keys[..], &mut other_values[..]);
        for digit in digits(bits) {
            sort_by_digit((from.0, from.1), (to.0, to.1), digit, threads);
            (from, to) = (to, from);
            swapped = !swapped;
        }
    });
    if swapped {
        keys.copy_from_slice(&other_keys);
        values.copy_from_slice(&other_values);
    }
    Ok(())
}

fn sort_by_digit<K: Key, V: Copy + Send + Sync>(
    (keys, values): (&[K], &[V]),
    (sorted_keys, sorted_values): (&mut [K], &mut [V]),
    (shift, width): (u32, u32),
    threads: usize,
) {
    let piece = keys.len().div_ceil(threads).max(LEAST_PIECE);
    let pieces = keys.len().div_ceil(piece);
    let digit_of = |key: &K| (key.wide() >> shift) as usize & ((1 << width) - 1);
    let mut counts = vec![[0_u64; 256]; pieces];
    pool::for_each_chunk(threads, &mut counts, 1, |i, counts| {
        for key in keys.iter().skip(i * piece).take(piece) {
            counts[0][digit_of(key)] += 1;
        }
    });

    // Where each piece writes its pairs of each digit: digits before pieces.
    let mut room = (sorted_keys, sorted_values);
    let mut rooms: Vec<Vec<(&mut [K], &mut [V])>> = (0..pieces).map(|_| Vec::with_capacity(256)).collect();
    for digit in 0..1 << width {
        for (rooms, counts) in zip(&mut rooms, &counts) {
            let (keys, rest_keys) = room.0.split_at_mut(counts[digit] as usize);
            let (values, rest_values) = room.1.split_at_mut(counts[digit] as usize);
            rooms.push((keys, values));
            room = (rest_keys, rest_values);
        }
    }
    pool::for_each_chunk(threads, &mut rooms, 1, |i, rooms| {
        let mut written = [0; 256];
        for (key, value) in zip(keys, values).skip(i * piece).take(piece) {
            let digit = digit_of(key);
            let (keys, values) = &mut rooms[0][digit];
            (keys[written[digit]], values[written[digit]]) = (*key, *value);
            written[digit] += 1;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(count: usize) -> Vec<u64> {
        (1..=count as u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect()
    }

    #[test]
    fn sorts_stably_by_the_bits_asked_for() {
        for count in [0, 1, 2, 300, 3 * LEAST_PIECE + 1] {
            for (bits, threads) in [(0, 1), (1, 3), (8, 1), (9, 4), (24, 2), (64, 3)] {
                let mut sorted = keys(count);
                let mut values: Vec<usize> = (0..count).collect();
                pairs(&mut sorted, &mut values, bits, threads).unwrap();
                let mut expected: Vec<usize> = (0..count).collect();
                let mask = 1_u64.checked_shl(bits).unwrap_or(0).wrapping_sub(1);
                let keys = keys(count);
                expected.sort_by_key(|&i| keys[i] & mask);
                assert!(values == expected, "{count} pairs, {bits} bits");
                assert!(zip(&sorted, &values).all(|(key, &i)| *key == keys[i]));
            }
        }
    }

    #[test]
    fn more_bits_than_keys_have_are_an_error() {
        let mut keys = [3_u32, 1];
        let error = pairs(&mut keys, &mut [0, 1], 33, 1).unwrap_err().to_string();
        assert!(error.contains("bits must be at most 32") && error.contains("got 33"), "{error}");
        assert_eq!(keys, [3, 1]);
        pairs(&mut keys, &mut [0, 1], 32, 1).unwrap();
    }
}
