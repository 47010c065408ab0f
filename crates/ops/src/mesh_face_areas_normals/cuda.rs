// SPDX-License-Identifier: Apache-2.0
//! Grid, block, arguments.

use patina3d_core::inverse::{Inverse, Unsorted};
use patina3d_core::{DevicePtr, Gpu, Grid, Result};

use super::{GradInputs, Gradients, Inputs, MODULE, Outputs, Sizes};

const THREADS: u32 = 128;
/// Bytes of the gradient that a corner brings, at most.
const ROW: usize = 3 * size_of::<f64>();

patina3d_core::shared_struct! {
    /// `mesh_face_areas_normals.h` says what each field is.
    pub struct MeshFaceAreasNormalsParams {
        pub verts: DevicePtr,
        pub faces: DevicePtr,
        pub areas: DevicePtr,
        pub normals: DevicePtr,
        pub grad_areas: DevicePtr,
        pub grad_normals: DevicePtr,
        pub grad_verts: DevicePtr,
        pub corners: Inverse,
        pub v: i64,
        pub f: i64,
    }
}

impl MeshFaceAreasNormalsParams {
    fn new(x: &Inputs<'_>, sizes: Sizes) -> Self {
        let absent = DevicePtr::default();
        Self {
            verts: x.verts.device_ptr(),
            faces: x.faces.device_ptr(),
            areas: absent,
            normals: absent,
            grad_areas: absent,
            grad_normals: absent,
            grad_verts: absent,
            corners: Inverse::default(),
            v: sizes.v as i64,
            f: sizes.f as i64,
        }
    }
}

pub(super) fn forward(gpu: Gpu, x: &Inputs<'_>, sizes: Sizes, out: &mut Outputs<'_>) -> Result<()> {
    let mut params = MeshFaceAreasNormalsParams::new(x, sizes);
    params.areas = out.areas.device_ptr();
    params.normals = out.normals.device_ptr();
    let kernel = format!("mesh_face_areas_normals_forward_{}", x.verts.dtype().suffix());
    gpu.launch(&MODULE, &kernel, Grid::per_element(&kernel, sizes.f, THREADS)?, &params)
}

pub(super) fn scratch_bytes(sizes: Sizes) -> usize {
    Unsorted::bytes(sizes.v, 3 * sizes.f, ROW)
}

pub(super) fn backward(gpu: Gpu, x: &GradInputs<'_>, sizes: Sizes, out: &mut Gradients<'_>) -> Result<()> {
    let mut params = MeshFaceAreasNormalsParams::new(&x.inputs, sizes);
    params.grad_areas = DevicePtr::of(x.grad_areas);
    params.grad_normals = DevicePtr::of(x.grad_normals);
    params.grad_verts = out.verts.device_ptr();
    let unsorted = Unsorted::new(out.scratch.device_ptr(), sizes.v, 3 * sizes.f, 1, ROW);
    params.corners = unsorted.inverse();
    let dtype = x.inputs.verts.dtype().suffix();
    let kernel = "mesh_face_areas_normals_backward_targets";
    gpu.launch(&MODULE, kernel, Grid::per_element(kernel, sizes.f, THREADS)?, &params)?;
    params.corners = unsorted.sorted(gpu)?;
    let kernel = format!("mesh_face_areas_normals_backward_chunks_{dtype}");
    params.corners.segments.launch_chunks(gpu, &MODULE, &kernel, &params)?;
    let kernel = format!("mesh_face_areas_normals_backward_sum_{dtype}");
    gpu.launch(&MODULE, &kernel, Grid::per_element(&kernel, sizes.v, THREADS)?, &params)
}
