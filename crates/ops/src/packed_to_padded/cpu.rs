// SPDX-License-Identifier: Apache-2.0
//! Runs of items, copied by a few large moves.

use std::ops::Range;

use patina3d_core::{Error, Result, TensorMut, pool};

use super::{Inputs, PACK, PAD, Sizes};

/// Bytes of the result that are one piece of work.
const PIECE: usize = 256 * 1024;
/// Bytes that a thread moves in a nanosecond, roughly.
const BYTES_PER_NANOSECOND: usize = 8;

/// Where the items of each element lie in the packed form. Element 0 is none: it has what lies before the first one.
struct Elements {
    /// Ascending, from 0 to F.
    begins: Vec<usize>,
}

impl Elements {
    fn new(operator: &'static str, x: &Inputs<'_>, sizes: Sizes) -> Result<Self> {
        let mut begins = vec![0];
        for (n, &begin) in x.first_idxs.as_slice::<i64>()?.iter().enumerate() {
            if begin < begins[n] as i64 || begin > sizes.f as i64 {
                let got = format!("{begin} at {n}");
                return Err(Error::value(operator, "first_idxs", format!("ascending in [0, {}]", sizes.f), got));
            }
            begins.push(begin as usize);
        }
        begins.push(sizes.f);
        Ok(Self { begins })
    }

    fn items(&self, element: usize) -> Range<usize> {
        self.begins[element]..self.begins[element + 1]
    }

    fn with_item(&self, item: usize) -> usize {
        self.begins[1..self.begins.len() - 1].partition_point(|&begin| begin <= item)
    }
}

pub(super) fn pad(x: &Inputs<'_>, sizes: Sizes, threads: usize, out: &mut TensorMut<'_>) -> Result<()> {
    let elements = Elements::new(PAD, x, sizes)?;
    let from = x.inputs.as_bytes()?;
    let Sizes { m, item, .. } = sizes;
    in_pieces(threads, item, out, |places, mut out| {
        let mut place = places.start;
        while place < places.end {
            let (n, i) = (place / m, place % m);
            let end = places.end.min((n + 1) * m);
            let items = elements.items(n + 1);
            let there = items.len().saturating_sub(i).min(end - place);
            out = copy_then_zeros(out, from, items.start + i, there, end - place - there, item);
            place = end;
        }
    })
}

pub(super) fn pack(x: &Inputs<'_>, sizes: Sizes, threads: usize, out: &mut TensorMut<'_>) -> Result<()> {
    let elements = Elements::new(PACK, x, sizes)?;
    let from = x.inputs.as_bytes()?;
    let Sizes { m, item, .. } = sizes;
    in_pieces(threads, item, out, |places, mut out| {
        let mut place = places.start;
        let mut element = elements.with_item(place);
        while place < places.end {
            let items = elements.items(element);
            let (i, end) = (place - items.start, places.end.min(items.end));
            let there = if element == 0 { 0 } else { m.saturating_sub(i).min(end - place) };
            out = copy_then_zeros(out, from, (element.max(1) - 1) * m + i, there, end - place - there, item);
            (place, element) = (end, element + 1);
        }
    })
}

/// Copies `there` items of `from` and adds `missing` zeros; returns what of `out` is left to fill.
fn copy_then_zeros<'a>(
    out: &'a mut [u8],
    from: &[u8],
    first: usize,
    there: usize,
    missing: usize,
    item: usize,
) -> &'a mut [u8] {
    let (copied, rest) = out.split_at_mut(there * item);
    let (zeros, rest) = rest.split_at_mut(missing * item);
    if there > 0 {
        copied.copy_from_slice(&from[first * item..(first + there) * item]);
    }
    zeros.fill(0);
    rest
}

/// Calls `fill` for ranges of items of the result and their bytes.
fn in_pieces(
    threads: usize,
    item: usize,
    out: &mut TensorMut<'_>,
    fill: impl Fn(Range<usize>, &mut [u8]) + Send + Sync,
) -> Result<()> {
    let bytes = out.as_bytes_mut()?;
    if bytes.is_empty() {
        return Ok(());
    }
    let items = (PIECE / item).max(1);
    pool::run(threads, bytes.len() / BYTES_PER_NANOSECOND, |threads| {
        pool::for_each_chunk(threads, bytes, items * item, |piece, bytes| {
            let first = piece * items;
            fill(first..first + bytes.len() / item, bytes);
        });
    });
    Ok(())
}
