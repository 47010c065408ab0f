// SPDX-License-Identifier: Apache-2.0
//! Readers and writers of mesh files: bytes in, arrays out.
//!
//! Nothing here knows files, paths, tensors or threads. A reader takes the bytes of a file and gives plain arrays with
//! 0-based indices; a writer appends bytes to a `Vec<u8>`. No input makes a reader panic: what it cannot read is an
//! [`Error`] that carries the line and says what was expected.

mod error;
pub mod mtl;
mod number;
pub mod obj;
pub mod ply;
mod statement;

pub use error::{Error, Result};
pub use number::MOST_DECIMAL_PLACES;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
