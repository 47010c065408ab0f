// SPDX-License-Identifier: Apache-2.0
//! As the kernels, in the same order: `reduce.cuh` says which.

use super::{CHUNK, Reduction};
use crate::error::{Error, Result};
use crate::geometry::Scalar;
use crate::pool;

const OPERATOR: &str = "segments::reduce";
/// Nanoseconds that an entry's component takes, about.
const COST: usize = 2;

/// Reduces the rows of each segment: `values` are rows of `components` numbers, `index` the row of each entry (without it
/// entry `i` has row `i`), `first` where the segments begin. Returns a row a segment. Uses at most `threads` threads.
///
/// ```
/// use patina3d_core::segments::{Reduction, reduce};
/// let sums = reduce(Reduction::Sum, &[1.0, 2.0, 4.0], None, &[0, 2, 2, 3], 1, 1)?;
/// assert_eq!(sums, [3.0, 0.0, 4.0]);
/// let least = reduce(Reduction::Min, &[1.0, 2.0, 4.0], Some(&[2, 1]), &[0, 2], 1, 1)?;
/// assert_eq!(least, [2.0]);
/// # Ok::<(), patina3d_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Value`] where `values` are not whole rows, `first` does not go up from 0 to the number of entries, or
/// `index` names no row.
pub fn reduce<T: Scalar>(
    how: Reduction,
    values: &[T],
    index: Option<&[i64]>,
    first: &[u64],
    components: usize,
    threads: usize,
) -> Result<Vec<T>> {
    let entries = check(values, index, first, components)?;
    let (nothing, join): (T, fn(T, T) -> T) = match how {
        Reduction::Sum => (T::ZERO, |a, b| a + b),
        Reduction::Min => (T::INFINITY, |a, b| if b < a || is_nan(b) { b } else { a }),
        Reduction::Max => (-T::INFINITY, |a, b| if b > a || is_nan(b) { b } else { a }),
    };
    let row_of = |entry: usize| index.map_or(entry, |index| index[entry] as usize);
    let mut out = vec![nothing; (first.len() - 1) * components];
    pool::run(threads, COST * (entries * components + out.len()), |threads| {
        let piece = (first.len() / (4 * threads)).max(1);
        pool::for_each_chunk(threads, &mut out, piece * components, |i, out| {
            for (i, out) in (i * piece..).zip(out.chunks_exact_mut(components)) {
                let (begin, end) = (first[i] as usize, first[i + 1] as usize);
                for (component, out) in out.iter_mut().enumerate() {
                    let value = |entry: usize| values[row_of(entry) * components + component];
                    let chunk = |chunk: usize| (chunk..end.min(chunk + CHUNK)).map(value).fold(nothing, join);
                    *out = (begin..end).step_by(CHUNK).map(chunk).fold(nothing, join);
                }
            }
        });
    });
    Ok(out)
}

/// A number that is not equal to itself.
fn is_nan<T: Scalar>(a: T) -> bool {
    a.partial_cmp(&a).is_none()
}

/// Checks the arguments; how many entries there are.
fn check<T>(values: &[T], index: Option<&[i64]>, first: &[u64], components: usize) -> Result<usize> {
    if components == 0 || !values.len().is_multiple_of(components) {
        let expected = format!("rows of {components} numbers, at least one");
        return Err(Error::value(OPERATOR, "values", expected, format!("{} numbers", values.len())));
    }
    let rows = values.len() / components;
    let entries = index.map_or(rows, <[_]>::len);
    if first.first() != Some(&0) || first.last() != Some(&(entries as u64)) || !first.is_sorted() {
        let expected = format!("ascending from 0 to the number of entries, {entries}");
        return Err(Error::value(OPERATOR, "first", expected, format!("{} numbers that are not", first.len())));
    }
    let is_row = |row: i64| usize::try_from(row).is_ok_and(|row| row < rows);
    match index.unwrap_or_default().iter().find(|&&row| !is_row(row)) {
        Some(row) => Err(Error::value(OPERATOR, "index", format!("in [0, {rows})"), row.to_string())),
        None => Ok(entries),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "sums of whole numbers are exact in every order")]
    fn reduces_short_and_long_segments() {
        let first = [0, 0, 3, 3 + CHUNK as u64, 4 + 2 * CHUNK as u64, 1000];
        let values: Vec<f64> = (0..2000).map(|i| f64::from(i * 37 % 101) - 50.0).collect();
        let column = |i: usize, component: usize| {
            let rows = &values[2 * first[i] as usize..2 * first[i + 1] as usize];
            rows.iter().skip(component).step_by(2).copied().collect::<Vec<f64>>()
        };
        for threads in [1, 3] {
            let of = |how| reduce(how, &values, None, &first, 2, threads).unwrap();
            let (sum, min, max) = (of(Reduction::Sum), of(Reduction::Min), of(Reduction::Max));
            for i in 0..10 {
                let column = column(i / 2, i % 2);
                assert_eq!(sum[i], column.iter().sum::<f64>());
                assert_eq!(min[i], column.iter().copied().fold(f64::INFINITY, f64::min));
                assert_eq!(max[i], column.iter().copied().fold(f64::NEG_INFINITY, f64::max));
            }
        }
    }

    #[test]
    fn a_nan_stays() {
        let values = [1.0_f32, f32::NAN, 0.0];
        for how in [Reduction::Min, Reduction::Max, Reduction::Sum] {
            assert!(reduce(how, &values, None, &[0, 3], 1, 1).unwrap()[0].is_nan());
        }
    }

    #[test]
    fn wrong_arguments_are_errors() {
        let of = |values: &[f32], index, first: &[u64], components| {
            reduce(Reduction::Sum, values, index, first, components, 1).unwrap_err().to_string()
        };
        assert!(of(&[1.0; 3], None, &[0, 1], 2).contains("values must be rows of 2 numbers"));
        assert!(of(&[], None, &[0], 0).contains("values must be rows of 0 numbers"));
        for first in [&[][..], &[1, 3], &[0, 2], &[0, 3, 2, 3]] {
            assert!(of(&[1.0; 3], None, first, 1).contains("first must be ascending from 0"));
        }
        assert!(of(&[1.0; 3], Some(&[0, 3]), &[0, 2], 1).contains("index must be in [0, 3), got 3"));
        assert!(of(&[1.0; 3], Some(&[0, -1]), &[0, 2], 1).contains("index must be in [0, 3), got -1"));
    }
}
