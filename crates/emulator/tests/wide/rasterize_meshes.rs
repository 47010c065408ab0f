// SPDX-License-Identifier: Apache-2.0
//! More than 2^32 pixels, and more than 2^32 numbers of faces, of which as many as there may be.

use patina3d_core::Device;
use patina3d_renderer::rasterize_meshes::{self as operator, GradInputs, Gradients, Inputs, Outputs, Settings};

use crate::support::{Random, Sparse, tensor, tensor_mut};
use crate::{WIDE, alone, batch, end, scratch};

const SIDE: usize = 64;
const K: usize = 4;
const F: usize = 30;
const SLOTS: usize = SIDE * SIDE * K;

/// The forward's results in the order of its tensors. Of all images the last one has the last faces.
fn run(
    device: Device,
    n: usize,
    face_verts: &[f32],
    grad: &[f32],
    pix_to_face: &mut [i64],
    [zbuf, bary_coords, dists, of_faces]: [&mut [f32]; 4],
) {
    let faces = face_verts.len() / 9;
    let (first, count) = (batch(n, &[(faces - F) as i64]), batch(n, &[F as i64]));
    let x = Inputs {
        face_verts: tensor(face_verts, &[faces, 3, 3], device),
        mesh_to_face_first_idx: tensor(first.all(), &[n], device),
        num_faces_per_mesh: tensor(count.all(), &[n], device),
        clipped_faces_neighbor_idx: None,
        settings: Settings {
            image_size: [SIDE, SIDE],
            blur_radius: 1e-3,
            faces_per_pixel: K,
            perspective_correct: true,
            clip_barycentric_coords: true,
            cull_backfaces: false,
        },
    };
    let (slots, corners) = ([n, SIDE, SIDE, K], [n, SIDE, SIDE, K, 3]);
    let mut memory = scratch(operator::forward_scratch_bytes(&x).unwrap());
    let memory = memory.all_mut();
    let sizes = [memory.len()];
    let mut out = Outputs {
        pix_to_face: tensor_mut(pix_to_face, &slots, device),
        zbuf: tensor_mut(zbuf, &slots, device),
        bary_coords: tensor_mut(bary_coords, &corners, device),
        dists: tensor_mut(dists, &slots, device),
        scratch: tensor_mut(memory, &sizes, device),
    };
    operator::forward(&x, &mut out).unwrap();

    let x = GradInputs {
        inputs: x,
        pix_to_face: tensor(pix_to_face, &slots, device),
        grad_zbuf: None,
        grad_bary_coords: Some(tensor(grad, &corners, device)),
        grad_dists: None,
    };
    let mut memory = scratch(operator::backward_scratch_bytes(&x).unwrap());
    let memory = memory.all_mut();
    let sizes = [memory.len()];
    let mut out = Gradients {
        face_verts: tensor_mut(of_faces, &[faces, 3, 3], device),
        scratch: tensor_mut(memory, &sizes, device),
    };
    operator::backward(&x, &mut out).unwrap();
}

#[test]
fn rasterize_meshes() {
    const SIZES: [usize; 4] = [SLOTS, 3 * SLOTS, SLOTS, 9 * F];
    let mut random = Random(7);
    let mut face_verts = random.numbers::<f32>(9 * F, -1.0, 1.0);
    for depth in face_verts.iter_mut().skip(2).step_by(3) {
        *depth += 2.0;
    }
    let grad = random.numbers(3 * SLOTS, -1.0, 1.0);
    let (mut faces, mut expected) = (vec![0; SLOTS], SIZES.map(|size| vec![0.0; size]));
    let results = expected.each_mut().map(|values| &mut values[..]);
    run(alone(), 1, &face_verts, &grad, &mut faces, results);
    assert!(faces.iter().any(|&face| face >= 0));
    assert!(expected[3].iter().any(|&of| of != 0.0));

    // An image has as many tiles as blocks run.
    let (n, meshes) = (WIDE / (SIDE * SIDE) + 1, (WIDE - 2) / F);
    let (grad, face_verts) = (batch(n, &grad), batch(meshes, &face_verts));
    let [zbuf, bary_coords, dists, of_faces] = SIZES;
    let mut got = [n * zbuf, n * bary_coords, n * dists, meshes * of_faces].map(Sparse::new);
    let mut wide_faces = Sparse::<i64>::new(n * SLOTS);
    let results = got.each_mut().map(Sparse::all_mut);
    run(end(), n, face_verts.all(), grad.all(), wide_faces.all_mut(), results);
    let before = ((meshes - 1) * F) as i64;
    let faces: Vec<i64> = faces.iter().map(|&face| if face < 0 { face } else { face + before }).collect();
    assert_eq!(wide_faces.end(SLOTS), faces);
    for (got, expected) in got.iter_mut().zip(&expected) {
        assert_eq!(got.end(expected.len()), expected);
    }
}
