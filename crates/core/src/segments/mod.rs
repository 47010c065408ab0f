// SPDX-License-Identifier: Apache-2.0
//! Segmented reduction: the sum, the least or the greatest of the rows of each segment of a list.
//!
//! Segments lie one after the other; `first` (S + 1 numbers, ascending, the last one the number of entries) says where
//! each begins. Entries are joined in ascending order, chunk by chunk of [`CHUNK`] entries, then the chunks: a device joins a
//! long segment by many threads. The order depends on nothing but the segment itself: the same bits
//! on every device, in every run, beside whatever other segments.

mod cpu;
mod cuda;
mod sums;

pub use cpu::reduce;
pub use cuda::{Rows, Segments, SegmentsParams, bytes, launch};
pub use sums::Sums;

/// The kernels.
pub static MODULE: crate::Module = crate::module!("segments");

/// Entries of a chunk of a long segment.
pub const CHUNK: usize = 256;

/// How the rows of a segment become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// Their sum; 0 of no rows.
    Sum,
    /// The least; infinity of no rows, NaN where there is one.
    Min,
    /// The greatest; minus infinity of no rows, NaN where there is one.
    Max,
}

impl Reduction {
    /// What the names of its kernels contain.
    fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
        }
    }
}
