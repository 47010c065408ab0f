// SPDX-License-Identifier: Apache-2.0
//! Decimal text to numbers and back: correctly rounded, and fast for what mesh files hold.
//!
//! A decimal is read as an integer `m < 10^19` and a power of ten. One operation on floats then gives the value where
//! that is certain to round correctly; the standard library's parser decides the rest, and `nan`, `inf` and nonsense.

use std::io::Write as _;

/// Powers of ten that a double holds exactly.
const POWERS_OF_TEN: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// `m 10^exponent`, and the number of bytes read.
struct Decimal {
    negative: bool,
    mantissa: u64,
    exponent: i64,
    len: usize,
}

/// The longest plain decimal that `bytes` begins with.
#[inline]
fn decimal(bytes: &[u8]) -> Option<Decimal> {
    let mut at = 0;
    let negative = match bytes.first()? {
        b'-' => {
            at = 1;
            true
        }
        b'+' => {
            at = 1;
            false
        }
        _ => false,
    };
    let mut mantissa = 0_u64;
    let mut exponent = 0_i64;
    let first_digit = at;
    while let Some(digit) = digit(bytes, at) {
        mantissa = mantissa.wrapping_mul(10).wrapping_add(digit);
        at += 1;
    }
    let mut digits = at - first_digit;
    if bytes.get(at) == Some(&b'.') {
        at += 1;
        let first_decimal = at;
        while let Some(digit) = digit(bytes, at) {
            mantissa = mantissa.wrapping_mul(10).wrapping_add(digit);
            at += 1;
        }
        digits += at - first_decimal;
        exponent = -((at - first_decimal) as i64);
    }
    if digits == 0 {
        return None;
    }
    if digits > 19 {
        (mantissa, exponent) = first_nineteen_digits(&bytes[first_digit..at]);
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let (power, len) = integer(&bytes[at + 1..])?;
        exponent = exponent.saturating_add(power);
        at += 1 + len;
    }
    Some(Decimal { negative, mantissa, exponent, len: at })
}

/// Mantissa and exponent of the first nineteen digits after leading zeros; the others are dropped, and the mantissa
/// is then above 10^18.
#[cold]
fn first_nineteen_digits(digits: &[u8]) -> (u64, i64) {
    let (mut mantissa, mut exponent, mut kept, mut in_fraction) = (0_u64, 0_i64, 0, false);
    for &byte in digits {
        if byte == b'.' {
            in_fraction = true;
        } else if kept < 19 {
            mantissa = mantissa * 10 + u64::from(byte - b'0');
            kept += usize::from(mantissa > 0);
            exponent -= i64::from(in_fraction);
        } else {
            exponent += i64::from(!in_fraction);
        }
    }
    (mantissa, exponent)
}

#[inline(always)]
fn digit(bytes: &[u8], at: usize) -> Option<u64> {
    let digit = bytes.get(at)?.wrapping_sub(b'0');
    (digit < 10).then_some(u64::from(digit))
}

/// `mantissa 10^exponent`, off by at most two units in the last place.
#[inline]
fn nearly(mantissa: u64, exponent: i64) -> Option<f64> {
    let power = *POWERS_OF_TEN.get(usize::try_from(exponent.unsigned_abs()).ok()?)?;
    let value = mantissa as f64;
    Some(if exponent < 0 { value / power } else { value * power })
}

/// The integer that `bytes` begins with, and its length; saturates at the ends of `i64`.
#[inline]
pub(crate) fn integer(bytes: &[u8]) -> Option<(i64, usize)> {
    let negative = bytes.first() == Some(&b'-');
    let start = usize::from(matches!(bytes.first(), Some(b'-' | b'+')));
    let mut at = start;
    let mut value = 0_i64;
    while let Some(digit) = digit(bytes, at) {
        value = value.saturating_mul(10).saturating_add(digit as i64);
        at += 1;
    }
    (at > start).then_some((if negative { -value } else { value }, at))
}

/// A float that text can be read into.
pub(crate) trait Float: Copy + std::str::FromStr {
    /// The value of a decimal where one float operation is certain to give it.
    fn from_decimal(mantissa: u64, exponent: i64) -> Option<Self>;
    fn negated(self) -> Self;
}

impl Float for f32 {
    /// The double is within a few units of the true value, so both round to the same single unless a midpoint of two
    /// neighbouring singles lies between them.
    #[inline]
    fn from_decimal(mantissa: u64, exponent: i64) -> Option<Self> {
        const MIDPOINT: u64 = 1 << 28;
        const MARGIN: u64 = 8;
        let value = nearly(mantissa, exponent)?;
        let below_single = value.to_bits() & ((1 << 29) - 1);
        let normal = value == 0.0 || (value >= f64::from(f32::MIN_POSITIVE) && value <= f64::from(f32::MAX));
        (normal && below_single.abs_diff(MIDPOINT) > MARGIN).then_some(value as f32)
    }

    fn negated(self) -> Self {
        -self
    }
}

impl Float for f64 {
    /// Both operands are exact (no digit was dropped from so small a mantissa), so the one operation rounds correctly.
    #[inline]
    fn from_decimal(mantissa: u64, exponent: i64) -> Option<Self> {
        if mantissa > 1 << 53 {
            return None;
        }
        nearly(mantissa, exponent)
    }

    fn negated(self) -> Self {
        -self
    }
}

/// The number that `bytes` begins with, and its length. Reads decimals only, and not those of extreme size or
/// precision: then [`float_word`] must decide on the whole word.
#[inline]
pub(crate) fn float<T: Float>(bytes: &[u8]) -> Option<(T, usize)> {
    let decimal = decimal(bytes)?;
    let value = T::from_decimal(decimal.mantissa, decimal.exponent)?;
    Some((if decimal.negative { value.negated() } else { value }, decimal.len))
}

/// The number that is written in `word`, whatever its form: also `nan`, `inf` and `infinity` in any case.
#[cold]
pub(crate) fn float_word<T: Float>(word: &[u8]) -> Option<T> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// The most digits after the point that are written; no double has more.
pub const MOST_DECIMAL_PLACES: usize = 1074;

/// Appends `value` with a fixed number of digits after the point, as C's `%.*f` does.
pub(crate) fn push_fixed(value: f64, decimal_places: usize, out: &mut Vec<u8>) {
    if value.is_nan() {
        return out.extend_from_slice(b"nan");
    }
    let decimal_places = decimal_places.min(MOST_DECIMAL_PLACES);
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{value:.decimal_places$}");
}

/// Appends an integer.
pub(crate) fn push_integer(value: i64, out: &mut Vec<u8>) {
    let _ = write!(out, "{value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Float>(text: &str) -> Option<T> {
        match float(text.as_bytes()) {
            Some((value, len)) if len == text.len() => Some(value),
            _ => float_word(text.as_bytes()),
        }
    }

    /// A stream of well-mixed bits (splitmix64).
    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn check(text: &str) {
        let same = |a: Option<u64>, b: Option<u64>| assert_eq!(a, b, "{text}");
        same(read::<f32>(text).map(|x| x.to_bits().into()), text.parse::<f32>().ok().map(|x| x.to_bits().into()));
        same(read::<f64>(text).map(f64::to_bits), text.parse::<f64>().ok().map(f64::to_bits));
    }

    #[test]
    fn equals_the_standard_library_on_hard_cases() {
        for text in [
            "0",
            "-0",
            "+0.0",
            "1",
            "-1",
            "1.",
            ".5",
            "+.5",
            "1e5",
            "1E-5",
            "1e+5",
            "inf",
            "-Infinity",
            "NAN",
            "",
            "-",
            ".",
            "e5",
            "1e",
            "1e+",
            "1.5.2",
            "abc",
            "1x",
            "--1",
            "16777217",
            "16777216.999999999999999999999",
            "16777217.000000000000000000001",
            "3.4028235e38",
            "3.4028236e38",
            "1e39",
            "1.17549435e-38",
            "1e-45",
            "7e-46",
            "1e400",
            "1e-400",
            "1e99999999999999999999",
            "-1e-99999999999999999999",
            "0.00000000000000000000000000000000000012345",
            "123456789012345678901234567890",
            "123456789012345678901234567890.5e-12",
            "000000000000000000000000001.5",
            "9007199254740993",
            "18446744073709551616",
            "0.100000001490116119384765625",
            "0.1000000014901161193847656250000000001",
            "1.00000005960464477539062500",
            "1.00000005960464477539062501",
        ] {
            check(text);
        }
    }

    #[test]
    fn equals_the_standard_library_on_random_numbers() {
        let mut state = 1;
        for _ in 0..50_000 {
            let bits = random(&mut state);
            let single = f32::from_bits(bits as u32);
            let double = f64::from_bits(random(&mut state));
            let unit = (bits >> 11) as f64 / (1_u64 << 53) as f64;
            let between = f64::from(single) + f64::from(f32::from_bits(single.to_bits() ^ 1));
            for text in [
                format!("{single}"),
                format!("{single:e}"),
                format!("{double:e}"),
                format!("{unit:.6}"),
                format!("{unit:.20}"),
                format!("{unit}"),
                format!("{:.30}", between / 2.0),
                format!("{:e}", between / 2.0),
                format!("{}.{}e{}", bits % 1000, random(&mut state), (bits >> 32) as i32 % 60),
            ] {
                check(&text);
            }
        }
    }

    #[test]
    fn integers_saturate() {
        assert_eq!(integer(b"12/3"), Some((12, 2)));
        assert_eq!(integer(b"-7"), Some((-7, 2)));
        assert_eq!(integer(b"99999999999999999999"), Some((i64::MAX, 20)));
        assert_eq!(integer(b"-"), None);
        assert_eq!(integer(b""), None);
    }
}
