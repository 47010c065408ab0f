// SPDX-License-Identifier: Apache-2.0
//! What every operator of Patina3D needs: borrowed tensors, devices, kernel launches, errors, shared geometry.
//!
//! This is the only crate that knows cudarc and DLPack. It links neither libtorch nor libcudart; libcuda is opened when
//! a CUDA tensor first arrives.
//!
//! [`scan`], [`sort`], [`segments`], [`inverse`] and [`morton`] are machinery that operators share and everybody may use:
//! `crates/core/README.md` says what they have in common.

pub mod check;
mod cuda;
pub mod device;
pub mod dlpack;
pub mod error;
pub mod geometry;
pub mod inverse;
pub mod launch;
pub mod morton;
pub mod order;
pub mod philox;
pub mod pool;
pub mod scan;
pub mod segments;
pub mod simd;
pub mod sort;
pub mod subnormals;
pub mod tensor;
pub mod tree;
pub mod triangle;

pub use device::{Device, Gpu};
pub use error::{Error, Result};
pub use launch::{Grid, Module, install_emulator};
pub use tensor::{DType, DevicePtr, Element, Real, Tensor, TensorMut};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
