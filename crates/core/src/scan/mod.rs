// SPDX-License-Identifier: Apache-2.0
//! Exclusive scan: for each entry of a list of counts, the sum of all entries before it, modulo 2^64; then the total.
//!
//! This turns counts into places: `out[i]` is where the items of entry `i` begin, `out[count]` how many there are. The
//! sums are those of integers, so every device gives the same, whatever the order of threads.

mod cpu;
mod cuda;

pub use cpu::exclusive;
pub use cuda::{ScanParams, bytes, launch};

/// The kernels.
pub static MODULE: crate::Module = crate::module!("scan");

mod sealed {
    pub trait Sealed {}
    impl Sealed for u32 {}
    impl Sealed for u64 {}
}

/// `u32` or `u64`. Signed counts are scanned as `u64`: sums wrap around.
pub trait Count: sealed::Sealed + Copy + Send + Sync + 'static {
    /// What the names of its kernels end in.
    const SUFFIX: &'static str;

    /// As 64 bits.
    fn wide(self) -> u64;
}

impl Count for u32 {
    const SUFFIX: &'static str = "u32";

    fn wide(self) -> u64 {
        u64::from(self)
    }
}

impl Count for u64 {
    const SUFFIX: &'static str = "u64";

    fn wide(self) -> u64 {
        self
    }
}
