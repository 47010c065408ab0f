// SPDX-License-Identifier: Apache-2.0
//! Tensors of more elements than 32 bits can number: the end of a batch gets what it gets alone. The memory is sparse, and
//! only the last blocks of a grid run.
#![expect(clippy::unwrap_used, reason = "a test")]
#![cfg(target_os = "linux")]

#[path = "../support/mod.rs"]
mod support;

mod blending;
mod interp_face_attrs;
mod knn;
mod mesh_face_areas_normals;
mod packed_to_padded;
mod points_to_volumes;
mod rasterize_meshes;
mod sample_points_from_meshes;

use bytemuck::Pod;
use patina3d_core::Device;
use patina3d_emulator::Order;
use support::{Sparse, emulated, emulated_end};

/// One more than 32 bits can number.
const WIDE: usize = 1 << 32;

/// All blocks run.
fn alone() -> Device {
    emulated(Order::Forward)
}

/// No more than the last 16 blocks of a grid run.
fn end() -> Device {
    emulated_end(Order::Forward, 16)
}

/// A batch of which the last piece is this one, the others zeros.
fn batch<T: Pod>(pieces: usize, last: &[T]) -> Sparse<T> {
    let mut all = Sparse::new(pieces * last.len());
    all.end(last.len()).copy_from_slice(last);
    all
}

/// Aligned as a device wants it.
fn scratch(bytes: usize) -> Sparse<u8> {
    Sparse::new(bytes.max(1))
}
