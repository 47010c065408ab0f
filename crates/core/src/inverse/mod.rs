// SPDX-License-Identifier: Apache-2.0
//! The inverse of a map from pairs to targets: the pairs of each target in ascending order. For gradients that add up, in a
//! fixed order, what many threads bring to one place.

mod cpu;
mod cuda;

pub use cpu::pairs_of_targets;
pub use cuda::{Inverse, InverseParams, Unsorted};

/// The kernels.
pub static MODULE: crate::Module = crate::module!("inverse");
