// SPDX-License-Identifier: Apache-2.0
//! Stable sort of pairs of a key and a value by the low bits of the keys: pairs with equal bits keep their order, so the
//! result is the same on every device, whatever the order of threads.
//!
//! It is a radix sort from the lowest digit on, of at most 8 bits a digit. It costs time in proportion to the number of
//! pairs times that of the digits, so ask for as few bits as can differ. More than the keys have are an error.

mod cpu;
mod cuda;

use crate::error::{Error, Result};
use crate::launch::Module;

pub use cpu::pairs;
pub use cuda::{Pairs, SortParams, Values, bytes, launch};

/// The kernels.
pub static MODULE: Module = crate::module!("sort");

const OPERATOR: &str = "sort";

/// The most bits of a digit.
const DIGIT_BITS: u32 = 8;

mod sealed {
    pub trait Sealed {}
    impl Sealed for u32 {}
    impl Sealed for u64 {}
}

/// `u32` or `u64`.
pub trait Key: sealed::Sealed + Copy + Default + Send + Sync + 'static {
    /// How many bits it has.
    const BITS: u32;
    /// What the names of its kernels contain.
    const SUFFIX: &'static str;

    /// As 64 bits.
    fn wide(self) -> u64;
}

macro_rules! key {
    ($($key:ty, $name:literal;)*) => { $(
        impl Key for $key {
            const BITS: u32 = <$key>::BITS;
            const SUFFIX: &'static str = $name;

            fn wide(self) -> u64 {
                u64::from(self)
            }
        }
    )* };
}
key!(u32, "u32"; u64, "u64";);

/// The number of bits that keys below `count` have: what to ask for where keys are indices.
///
/// ```
/// use patina3d_core::sort::bits_below;
/// assert_eq!([0, 1, 2, 3, 256, 257].map(bits_below), [0, 0, 1, 2, 8, 9]);
/// ```
pub fn bits_below(count: usize) -> u32 {
    usize::BITS - count.saturating_sub(1).leading_zeros()
}

/// Keys have the bits that they are to be sorted by.
fn check<K: Key>(bits: u32) -> Result<()> {
    if bits > K::BITS {
        return Err(Error::value(OPERATOR, "bits", format!("at most {}, those of a key", K::BITS), bits.to_string()));
    }
    Ok(())
}

/// The digits of the low `bits` of a key, (shift, width): as few as can be, about equally wide.
fn digits(bits: u32) -> impl Iterator<Item = (u32, u32)> {
    let width = digit_width(bits);
    (0..bits).step_by(width as usize).map(move |shift| (shift, width.min(bits - shift)))
}

/// How wide all digits but the last are.
fn digit_width(bits: u32) -> u32 {
    bits.div_ceil(bits.div_ceil(DIGIT_BITS).max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_cover_the_bits_once() {
        let of = |bits| digits(bits).collect::<Vec<_>>();
        assert_eq!(of(0), []);
        assert_eq!(of(1), [(0, 1)]);
        assert_eq!(of(9), [(0, 5), (5, 4)]);
        assert_eq!(of(17), [(0, 6), (6, 6), (12, 5)]);
        for bits in 0..=64 {
            assert_eq!(
                of(bits).iter().fold(0, |end, &(shift, width)| if shift == end { end + width } else { 99 }),
                bits
            );
            assert_eq!(of(bits).len() as u32, bits.div_ceil(8));
        }
    }
}
