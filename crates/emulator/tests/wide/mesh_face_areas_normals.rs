// SPDX-License-Identifier: Apache-2.0
//! More than 2^32 faces and vertices.

use patina3d_core::Device;
use patina3d_ops::mesh_face_areas_normals::{self as operator, Inputs, Outputs};

use crate::support::{Random, Sparse, tensor, tensor_mut};
use crate::{WIDE, alone, batch, end};

const V: usize = 100;
const F: usize = 300;

fn run(device: Device, verts: &[f32], faces: &[i64], areas: &mut [f32], normals: &mut [f32]) {
    let f = areas.len();
    let x = Inputs { verts: tensor(verts, &[verts.len() / 3, 3], device), faces: tensor(faces, &[f, 3], device) };
    let mut out = Outputs { areas: tensor_mut(areas, &[f], device), normals: tensor_mut(normals, &[f, 3], device) };
    operator::forward(&x, &mut out).unwrap();
}

#[test]
fn mesh_face_areas_normals() {
    let mut random = Random(4);
    let verts = random.numbers(3 * V, -1.0, 1.0);
    let mut faces: Vec<i64> = (0..3 * F).map(|_| ((random.next() >> 11) % V as u64) as i64).collect();
    let (mut areas, mut normals) = (vec![0.0; F], vec![0.0; 3 * F]);
    run(alone(), &verts, &faces, &mut areas, &mut normals);

    let (meshes, clouds) = (WIDE / F + 2, WIDE / V + 2);
    for corner in &mut faces {
        *corner += ((clouds - 1) * V) as i64;
    }
    let (verts, faces) = (batch(clouds, &verts), batch(meshes, &faces));
    let (mut wide_areas, mut wide_normals) = (Sparse::new(meshes * F), Sparse::new(meshes * F * 3));
    run(end(), verts.all(), faces.all(), wide_areas.all_mut(), wide_normals.all_mut());
    assert_eq!(wide_areas.end(F), areas);
    assert_eq!(wide_normals.end(3 * F), normals);
}
