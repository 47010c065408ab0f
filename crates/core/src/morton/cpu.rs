// SPDX-License-Identifier: Apache-2.0
//! `morton.cuh` in Rust: the same functions, the same order of operations, hence the same bits.

use crate::geometry::Scalar;

/// Moves bit i to bit 2 i.
fn spread2(mut x: u64) -> u64 {
    x &= 0x7fff_ffff;
    x = (x | x << 16) & 0x0000_ffff_0000_ffff;
    x = (x | x << 8) & 0x00ff_00ff_00ff_00ff;
    x = (x | x << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    x = (x | x << 2) & 0x3333_3333_3333_3333;
    (x | x << 1) & 0x5555_5555_5555_5555
}

/// Moves bit i to bit 3 i.
fn spread3(mut x: u64) -> u64 {
    x &= 0x1f_ffff;
    x = (x | x << 32) & 0x001f_0000_0000_ffff;
    x = (x | x << 16) & 0x001f_0000_ff00_00ff;
    x = (x | x << 8) & 0x100f_00f0_0f00_f00f;
    x = (x | x << 4) & 0x10c3_0c30_c30c_30c3;
    (x | x << 2) & 0x1249_2492_4924_9249
}

/// Half of a length that can be beyond the greatest number.
fn half_extent<T: Scalar>(low: T, high: T) -> T {
    T::of(0.5) * high - T::of(0.5) * low
}

/// The cell of a coordinate among `2^bits` equal ones from `low` to `high` (of a code these are as far apart along every
/// axis as the box is long); those outside have the first or the last one.
/// Of an extent that is not above 0 there is only the first cell, which a NaN has too. More than 63 bits count as 63.
///
/// ```
/// use patina3d_core::morton::cell;
/// let cells = [-1.0, 0.0, 0.3, 0.5, 1.0, 7.0].map(|x: f32| cell(x, 0.0, 1.0, 2));
/// assert_eq!(cells, [0, 0, 1, 2, 3, 3]);
/// assert_eq!(cell(5.0, 5.0, 5.0, 2), 0);
/// ```
pub fn cell<T: Scalar>(x: T, low: T, high: T, bits: u32) -> u64 {
    cell_from(x, low, half_extent(low, high), bits.min(63))
}

fn cell_from<T: Scalar>(x: T, low: T, extent: T, bits: u32) -> u64 {
    let part = half_extent(low, x) / extent;
    let cells = 1_u64 << bits;
    if extent > T::ZERO && part > T::ZERO {
        if part >= T::of(1.0) { cells - 1 } else { (part * T::of(cells as f64)).to_f64() as u64 }
    } else {
        0
    }
}

/// The code of a point of 1 to 3 coordinates in the box from `low` to `high` with `bits` bits an axis, the first axis lowest.
/// A point that is not finite has the code after the greatest. A code has room for 63, 31 or 21 bits an axis; more count as
/// so many.
///
/// ```
/// use patina3d_core::morton::code;
/// assert_eq!(code([0.0, 0.0, 0.0], [0.0; 3], [1.0; 3], 10), 0);
/// assert_eq!(code([0.6, 0.0, 0.6], [0.0; 3], [1.0; 3], 1), 0b101);
/// assert_eq!(code([0.6, 0.6], [0.0; 2], [1.0, 0.7], 2), 0b1100);
/// assert_eq!(code([f64::NAN, 0.0], [0.0; 2], [1.0; 2], 15), 1 << 30);
/// ```
pub fn code<T: Scalar, const D: usize>(point: [T; D], low: [T; D], high: [T; D], bits: u32) -> u64 {
    const { assert!(matches!(D, 1..=3), "codes of 1 to 3 dimensions") };
    let bits = bits.min(63 / D as u32);
    if !point.iter().all(|x| x.is_finite()) {
        return 1 << (D as u32 * bits);
    }
    let spread = [|cell| cell, spread2, spread3][D - 1];
    let longest = |longest, axis: usize| {
        let side = half_extent(low[axis], high[axis]);
        if side > longest { side } else { longest }
    };
    let extent = (0..D).fold(T::ZERO, longest);
    (0..D).fold(0, |code, axis| code | spread(cell_from(point[axis], low[axis], extent, bits)) << axis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_spread_each_to_its_place() {
        for i in 0..31 {
            assert_eq!(spread2(1 << i), 1 << (2 * i));
        }
        for i in 0..21 {
            assert_eq!(spread3(1 << i), 1 << (3 * i));
        }
        assert_eq!((spread2(u64::MAX).count_ones(), spread3(u64::MAX).count_ones()), (31, 21));
    }

    #[test]
    fn cells_are_equally_wide_at_any_scale() {
        for scale in [1e-30_f32, 1e-6, 1.0, 1e6, 1e30, 3e38] {
            let cells: Vec<u64> =
                (0..=64_u8).map(|i| cell((f32::from(i) - 32.0) / 32.0 * scale, -scale, scale, 5)).collect();
            assert!(
                cells.iter().zip(0..).all(|(&cell, i)| cell.abs_diff((i / 2).min(31)) <= u64::from(i % 2 == 0)),
                "{cells:?}"
            );
            assert!(cells.is_sorted(), "{scale}");
            assert_eq!((cells[0], cells[64]), (0, 31));
        }
    }

    #[test]
    fn a_box_without_extent_has_one_cell() {
        for (low, high) in [(2.0, 2.0), (3.0, 2.0), (f64::NAN, 1.0), (f64::INFINITY, f64::NEG_INFINITY)] {
            assert_eq!([1.0, 2.0, 5.0].map(|x| cell(x, low, high, 21)), [0; 3], "{low} {high}");
        }
    }

    #[test]
    fn cells_are_as_long_along_every_axis() {
        let (low, high) = ([-8.0_f32, 1.0, 0.0], [8.0, 2.0, 0.0]);
        let of = |point| code(point, low, high, 4);
        assert_eq!(of([-7.5, 1.5, 0.0]), 0);
        assert_eq!([of([-6.5, 1.0, 0.0]), of([-8.0, 2.5, 0.0]), of([-8.0, 1.0, 1.5])], [1, 2, 4]);
        assert_eq!(of([9.0, 99.0, 99.0]), (1 << 12) - 1);
        assert_eq!(of([0.0, f32::INFINITY, 0.0]), 1 << 12);
    }

    #[test]
    fn a_code_has_room_for_so_many_bits() {
        for bits in [63, 64, u32::MAX] {
            assert_eq!(cell(1.0, 0.0, 1.0, bits), (1 << 63) - 1);
            assert_eq!(code([1.0], [0.0], [1.0], bits), (1 << 63) - 1);
            assert_eq!(code([1.0; 2], [0.0; 2], [1.0; 2], bits), (1 << 62) - 1);
            assert_eq!(code([1.0; 3], [0.0; 3], [1.0; 3], bits), (1 << 63) - 1);
            assert_eq!(code([f32::NAN; 3], [0.0; 3], [1.0; 3], bits), 1 << 63);
        }
    }
}
