// SPDX-License-Identifier: Apache-2.0
//! As the kernels: the sums of the pieces, then each piece from its sum.

use std::iter::zip;

use super::Count;
use crate::pool;

/// Entries of a piece that a thread takes.
const PIECE: usize = 1 << 16;

/// The sums of `counts[..i]` modulo 2^64, for `i` from 0 to the number of counts. Uses at most `threads` threads.
///
/// ```
/// assert_eq!(patina3d_core::scan::exclusive(&[2_u32, 0, 3], 1), [0, 2, 2, 5]);
/// ```
pub fn exclusive<C: Count>(counts: &[C], threads: usize) -> Vec<u64> {
    let mut places = vec![0; counts.len() + 1];
    let total = pool::run(threads, counts.len(), |threads| {
        let mut sums = vec![0; counts.len().div_ceil(PIECE)];
        pool::for_each_chunk(threads, &mut sums, 1, |i, sum| {
            sum[0] = piece(counts, i).iter().fold(0_u64, |sum, count| sum.wrapping_add(count.wide()));
        });
        let mut total = 0_u64;
        for sum in &mut sums {
            total = total.wrapping_add(std::mem::replace(sum, total));
        }
        pool::for_each_chunk(threads, &mut places[..counts.len()], PIECE, |i, places| {
            let mut before = sums[i];
            for (place, count) in zip(places, piece(counts, i)) {
                *place = before;
                before = before.wrapping_add(count.wide());
            }
        });
        total
    });
    places[counts.len()] = total;
    places
}

fn piece<C>(counts: &[C], i: usize) -> &[C] {
    &counts[i * PIECE..counts.len().min((i + 1) * PIECE)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_pieces_and_threads_give_the_sums_modulo_two_to_the_64() {
        let counts: Vec<u64> = (0..3 * PIECE as u64 + 5).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        let mut expected = vec![0_u64];
        for count in &counts {
            expected.push(expected[expected.len() - 1].wrapping_add(*count));
        }
        for threads in [1, 3] {
            assert!(exclusive(&counts, threads) == expected, "{threads} threads");
        }
    }

    #[test]
    fn nothing_sums_up_to_nothing() {
        assert_eq!(exclusive::<u32>(&[], 2), [0]);
    }
}
