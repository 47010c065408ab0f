// SPDX-License-Identifier: Apache-2.0
//! `interpolate_face_attributes` on the emulator against the CPU path: bit by bit, but for the gradient of the values, which
//! is within rounding; all of it the same bits in every order of threads and blocks.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use patina3d_core::Device;
use patina3d_core::geometry::Scalar;
use patina3d_core::launch::Params;
use patina3d_emulator::Order;
use patina3d_ops::interp_face_attrs::{self as operator, GradInputs, Gradients, Inputs, InterpFaceAttrsParams};
use support::{ORDERS, Random, emulated, tensor, tensor_mut};

struct Scene<T> {
    slots: [usize; 4],
    f: usize,
    d: usize,
    faces: Vec<i64>,
    weights: Vec<T>,
    values: Vec<T>,
    grad: Vec<T>,
}

/// The result and the gradients of weights and values, on memory that holds NaN.
fn everything<T: Scalar>(scene: &Scene<T>, device: Device) -> [Vec<T>; 3] {
    let Scene { slots: [n, h, w, k], f, d, .. } = *scene;
    let (result, corners, values) = ([n, h, w, k, d], [n, h, w, k, 3], [f, 3, d]);
    let x = Inputs {
        pix_to_face: tensor(&scene.faces, &scene.slots, device),
        barycentric_coords: tensor(&scene.weights, &corners, device),
        face_attributes: tensor(&scene.values, &values, device),
    };
    let dirty = |like: &[T]| vec![T::of(f64::NAN); like.len()];
    let (mut out, mut of_weights, mut of_values) = (dirty(&scene.grad), dirty(&scene.weights), dirty(&scene.values));
    operator::forward(&x, &mut tensor_mut(&mut out, &result, device)).unwrap();
    let x = GradInputs { inputs: x, grad: tensor(&scene.grad, &result, device) };
    let mut memory = vec![0xAA_u8; operator::scratch_bytes(&x).unwrap() + 16];
    let start = memory.as_ptr().align_offset(16);
    let memory = &mut memory[start..];
    let sizes = [memory.len()];
    let mut grads = Gradients {
        barycentric_coords: Some(tensor_mut(&mut of_weights, &corners, device)),
        face_attributes: Some(tensor_mut(&mut of_values, &values, device)),
        scratch: tensor_mut(memory, &sizes, device),
    };
    operator::backward(&x, &mut grads).unwrap();
    [out, of_weights, of_values]
}

fn bits<T: Scalar>(values: &[T]) -> Vec<u64> {
    values.iter().map(|value| value.to_f64().to_bits()).collect()
}

fn agrees<T: Scalar>(seed: u64, slots: [usize; 4], f: usize, d: usize) {
    let mut random = Random(seed);
    let num_slots = slots.iter().product();
    // Runs of pixels with one face, and empty slots whose weights are NaN.
    let mut faces = vec![-1; num_slots];
    for (slot, face) in faces.iter_mut().enumerate() {
        let choice = random.next() >> 11;
        if f > 0 && !choice.is_multiple_of(4) {
            *face = if choice.is_multiple_of(3) { (choice % f as u64) as i64 } else { (slot / 40 % f) as i64 };
        }
    }
    let mut weights = random.numbers::<T>(3 * num_slots, -1.0, 1.0);
    for (slot, _) in faces.iter().enumerate().filter(|&(_, &face)| face < 0) {
        weights[3 * slot..3 * slot + 3].fill(T::of(f64::NAN));
    }
    let (values, grad) = (random.numbers(f * 3 * d, -1.0, 1.0), random.numbers(num_slots * d, -1.0, 1.0));
    let scene = Scene { slots, f, d, faces, weights, values, grad };
    let expected = everything(&scene, Device::SERIAL);
    let mut first: Option<[Vec<T>; 3]> = None;
    for order in ORDERS {
        let got = everything(&scene, emulated(order));
        assert_eq!(bits(&got[0]), bits(&expected[0]), "{slots:?}, {order:?}");
        assert_eq!(bits(&got[1]), bits(&expected[1]), "{slots:?}, {order:?}");
        for (got, expected) in got[2].iter().zip(&expected[2]) {
            let error = (got.to_f64() - expected.to_f64()).abs();
            assert!(
                error <= 64.0 * T::ULP.to_f64() * (num_slots as f64).sqrt(),
                "{}, not {}, {order:?}",
                got.to_f64(),
                expected.to_f64()
            );
        }
        let first = first.get_or_insert_with(|| got.clone());
        assert_eq!(bits(&got[2]), bits(&first[2]), "{slots:?}, {order:?}");
    }
}

#[test]
fn agrees_with_the_cpu() {
    let scenes = [([1, 1, 1, 1], 1, 1), ([2, 5, 7, 3], 4, 3), ([1, 16, 33, 2], 9, 6), ([700, 1, 1, 1], 3, 5)];
    for (seed, (slots, f, d)) in (1..).zip(scenes) {
        agrees::<f32>(seed, slots, f, d);
        agrees::<f64>(seed, slots, f, d);
    }
}

#[test]
fn no_faces_no_slots_no_values() {
    for (slots, f, d) in [([1, 2, 2, 2], 0, 3), ([1, 0, 2, 2], 3, 3), ([1, 2, 2, 0], 3, 3), ([1, 2, 2, 1], 3, 0)] {
        agrees::<f32>(5, slots, f, d);
    }
}

#[test]
fn a_summand_that_is_not_finite_stays_with_its_face() {
    let scene = Scene {
        slots: [1, 1, 2, 1],
        f: 2,
        d: 1,
        faces: vec![0, 1],
        weights: vec![1.0_f32; 6],
        values: vec![1.0; 6],
        grad: vec![f32::INFINITY, 2.0],
    };
    let [_, _, of_values] = everything(&scene, emulated(Order::Forward));
    assert!(of_values[..3].iter().all(|value| value.is_nan()));
    assert_eq!(of_values[3..], [2.0; 3]);
}

#[test]
fn the_params_have_one_layout() {
    let rust: Vec<_> = InterpFaceAttrsParams::layout().into_iter().map(|(name, at)| (name.to_owned(), at)).collect();
    assert_eq!(patina3d_emulator::layout(InterpFaceAttrsParams::NAME).unwrap(), rust);
}
