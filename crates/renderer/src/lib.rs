// SPDX-License-Identifier: Apache-2.0
//! Operators that turn geometry into pixels. The list of operators is this file; each is a folder with its contract
//! (`mod.rs`), its CPU loop (`cpu.rs`), its launcher (`cuda.rs`) and its kernels (`.cu`).

pub mod blending;
pub mod rasterize_meshes;
