// SPDX-License-Identifier: Apache-2.0
//! Philox4x32-10: random numbers as a function of a key and a counter (J. K. Salmon et al., "Parallel Random Numbers: As
//! Easy as 1, 2, 3", 2011). Whoever needs number i asks for number i: the same bits in every order and on every device.
//!
//! `philox.cuh` holds the same function.

const FACTORS: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];
const KEY_STEPS: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
const ROUNDS: usize = 10;

/// 128 random bits.
#[inline(always)]
pub fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        let even = u64::from(FACTORS[0]) * u64::from(counter[0]);
        let odd = u64::from(FACTORS[1]) * u64::from(counter[2]);
        let high = |product: u64| (product >> 32) as u32;
        counter = [high(odd) ^ counter[1] ^ key[0], odd as u32, high(even) ^ counter[3] ^ key[1], even as u32];
        key = [key[0].wrapping_add(KEY_STEPS[0]), key[1].wrapping_add(KEY_STEPS[1])];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_published_numbers() {
        for (counter, key, expected) in [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ] {
            assert_eq!(philox(counter, key), expected);
        }
    }
}
