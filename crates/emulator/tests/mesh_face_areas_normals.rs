// SPDX-License-Identifier: Apache-2.0
//! `mesh_face_areas_normals` on the emulator against the CPU path, bit by bit in every order of threads and blocks; and
//! what the launchers and the headers both assume.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::fmt::Debug;

use patina3d_core::launch::Params;
use patina3d_core::{Device, Element};
use patina3d_ops::mesh_face_areas_normals::{
    self as operator, GradInputs, Gradients, Inputs, MeshFaceAreasNormalsParams, Outputs,
};
use support::{ORDERS, Random, emulated, tensor, tensor_mut};

trait Number: Element + Default + Debug {
    fn of(value: f64) -> Self;
    fn bits(self) -> u64;
}

impl Number for f32 {
    fn of(value: f64) -> Self {
        value as Self
    }
    fn bits(self) -> u64 {
        self.to_bits().into()
    }
}

impl Number for f64 {
    fn of(value: f64) -> Self {
        value
    }
    fn bits(self) -> u64 {
        self.to_bits()
    }
}

/// Areas, normals and the gradient of the vertices, as bits.
fn everything<T: Number>(verts: &[T], faces: &[i64], grads: [&[T]; 2], device: Device) -> [Vec<u64>; 3] {
    let (v, f) = (verts.len() / 3, faces.len() / 3);
    let x = Inputs { verts: tensor(verts, &[v, 3], device), faces: tensor(faces, &[f, 3], device) };
    let (mut areas, mut normals, mut of_verts) =
        (vec![T::default(); f], vec![T::default(); 3 * f], vec![T::of(f64::NAN); 3 * v]);
    let mut out =
        Outputs { areas: tensor_mut(&mut areas, &[f], device), normals: tensor_mut(&mut normals, &[f, 3], device) };
    operator::forward(&x, &mut out).unwrap();
    let x = GradInputs {
        inputs: x,
        grad_areas: Some(tensor(grads[0], &[f], device)),
        grad_normals: Some(tensor(grads[1], &[f, 3], device)),
    };
    // Not clean, and aligned as the device wants it.
    let mut memory = vec![0xAA_u8; operator::scratch_bytes(&x).unwrap() + 16];
    let start = memory.as_ptr().align_offset(16);
    let memory = &mut memory[start..];
    let sizes = [memory.len()];
    let mut out =
        Gradients { verts: tensor_mut(&mut of_verts, &[v, 3], device), scratch: tensor_mut(memory, &sizes, device) };
    operator::backward(&x, &mut out).unwrap();
    [areas, normals, of_verts].map(|values| values.into_iter().map(Number::bits).collect())
}

fn agrees<T: Number>(seed: u64, v: usize, f: usize) {
    let mut random = Random(seed);
    let mut numbers =
        |count: usize, scale: f64| -> Vec<T> { (0..count).map(|_| T::of(scale * random.uniform(-1.0, 1.0))).collect() };
    // Vertices on few places, so that there are degenerate faces; the last one far away.
    let mut verts = numbers(3 * v, 4.0);
    verts.iter_mut().step_by(2).for_each(|value| *value = T::of((value.bits() % 3) as f64));
    verts[3 * v - 1] = T::of(1e30);
    let grads = [numbers(f, 1.0), numbers(3 * f, 1.0)];
    let faces: Vec<i64> = (0..3 * f).map(|_| (random.next() % v as u64) as i64).collect();
    let grads = [&grads[0][..], &grads[1][..]];
    let expected = everything(&verts, &faces, grads, Device::SERIAL);
    for order in ORDERS {
        let got = everything(&verts, &faces, grads, emulated(order));
        assert!(got == expected, "{v} vertices, {f} faces, {order:?}");
    }
}

#[test]
fn has_the_bits_of_the_cpu() {
    for (seed, (v, f)) in
        (1..).zip([(1, 1), (3, 0), (5, 40), (4, 3000), (300, 1000), (2047, 500), (2048, 500), (5000, 3000)])
    {
        agrees::<f32>(seed, v, f);
        agrees::<f64>(seed, v, f);
    }
}

#[test]
fn the_params_have_one_layout() {
    let layout = patina3d_emulator::layout(MeshFaceAreasNormalsParams::NAME).unwrap();
    let rust: Vec<_> =
        MeshFaceAreasNormalsParams::layout().into_iter().map(|(name, at)| (name.to_owned(), at)).collect();
    assert_eq!(layout, rust);
}
