// SPDX-License-Identifier: Apache-2.0
//! Sums of rows that arrive one by one, segments by turns.

use super::CHUNK;
use crate::geometry::Scalar;

/// Adds up rows with the bits of [`reduce`](super::reduce), where the entries of each segment come in ascending order and
/// segments by turns.
///
/// ```
/// let mut memory = [7.0; 4];
/// let mut sums = patina3d_core::segments::Sums::new(&mut memory, 2);
/// for (segment, row) in [(1, [1.0, 2.0]), (0, [3.0, 4.0]), (1, [5.0, 6.0])] {
///     let sum = sums.of(segment);
///     sum[0] += row[0];
///     sum[1] += row[1];
/// }
/// sums.finish();
/// assert_eq!(memory, [3.0, 4.0, 6.0, 8.0]);
/// ```
#[derive(Debug)]
pub struct Sums<'a, T> {
    /// Of each segment the chunk that is not full, `components` numbers.
    open: &'a mut [T],
    components: usize,
    /// How many entries that chunk has.
    entries: Vec<u16>,
    /// The sums of the full chunks; empty until there is one.
    full: Vec<T>,
}

impl<'a, T: Scalar> Sums<'a, T> {
    /// In memory for a row of `components` numbers a segment.
    pub fn new(memory: &'a mut [T], components: usize) -> Self {
        memory.fill(T::ZERO);
        let segments = memory.len() / components.max(1);
        Self { open: memory, components, entries: vec![0; segments], full: Vec::new() }
    }

    /// What the next entry of a segment is to be added to; once an entry.
    #[inline(always)]
    pub fn of(&mut self, segment: usize) -> &mut [T] {
        if usize::from(self.entries[segment]) == CHUNK {
            self.close(segment);
        }
        self.entries[segment] += 1;
        &mut self.open[segment * self.components..][..self.components]
    }

    #[cold]
    fn close(&mut self, segment: usize) {
        if self.full.is_empty() {
            self.full = vec![T::ZERO; self.open.len()];
        }
        let row = segment * self.components..(segment + 1) * self.components;
        for (full, open) in self.full[row.clone()].iter_mut().zip(&mut self.open[row]) {
            *full = *full + *open;
            *open = T::ZERO;
        }
        self.entries[segment] = 0;
    }

    /// Leaves the sums in the memory.
    pub fn finish(self) {
        for (open, full) in self.open.iter_mut().zip(&self.full) {
            *open = *full + *open;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segments::{Reduction, reduce};

    #[test]
    fn rows_by_turns_have_the_bits_of_segments() {
        let counts = [0_u64, 1, 255, 256, 257, 1000];
        let first = crate::scan::exclusive(&counts, 1);
        let values: Vec<f32> = (0..2 * first[6] as usize).map(|i| (i as f32).sin()).collect();
        let expected = reduce(Reduction::Sum, &values, None, &first, 2, 1).unwrap();
        let mut memory = [1.0; 12];
        let mut sums = Sums::new(&mut memory, 2);
        for entry in 0..1000 {
            for segment in (0..6).filter(|&segment| entry < counts[segment]) {
                let row = 2 * (first[segment] + entry) as usize;
                let sum = sums.of(segment);
                sum[0] += values[row];
                sum[1] += values[row + 1];
            }
        }
        sums.finish();
        assert_eq!(memory.map(f32::to_bits)[..], expected.iter().map(|sum| sum.to_bits()).collect::<Vec<_>>());
    }
}
