// SPDX-License-Identifier: Apache-2.0
//! Grid, block, arguments.

use patina3d_core::{DType, DevicePtr, Gpu, Grid, Result};

use super::{GradInputs, Gradients, Inputs, MODULE, Outputs, Sizes};

/// A block has a tile of 16 x 16 pixels, a thread a pixel; or 256 faces or numbers, a thread each.
const TILE: usize = 16;
const THREADS: u32 = 256;
/// The lengths of the lists of faces that live in registers.
const LISTS: [usize; 3] = [1, 8, 16];
/// Faces that have a box together.
const GROUP: usize = 32;
/// Numbers of a face: three vertices of x, y and z.
const COMPONENTS: usize = 9;

patina3d_core::shared_struct! {
    /// `rasterize_meshes.h` says what each field is.
    pub struct RasterizeMeshesParams {
        pub face_verts: DevicePtr,
        pub first_face: DevicePtr,
        pub num_faces: DevicePtr,
        pub neighbor: DevicePtr,
        pub pix_to_face: DevicePtr,
        pub zbuf: DevicePtr,
        pub bary_coords: DevicePtr,
        pub dists: DevicePtr,
        pub boxes: DevicePtr,
        pub group_boxes: DevicePtr,
        pub grad_zbuf: DevicePtr,
        pub grad_bary_coords: DevicePtr,
        pub grad_dists: DevicePtr,
        pub grad_face_verts: DevicePtr,
        pub sums: DevicePtr,
        pub summands: DevicePtr,
        pub n: i64,
        pub f: i64,
        pub h: i64,
        pub w: i64,
        pub k: i64,
        pub blur_radius: f64,
        pub perspective_correct: i32,
        pub clip_barycentric_coords: i32,
        pub cull_backfaces: i32,
        pub reserved: i32,
    }
}

impl RasterizeMeshesParams {
    fn new(x: &Inputs<'_>, sizes: Sizes) -> Self {
        let absent = DevicePtr::default();
        Self {
            face_verts: x.face_verts.device_ptr(),
            first_face: x.mesh_to_face_first_idx.device_ptr(),
            num_faces: x.num_faces_per_mesh.device_ptr(),
            neighbor: DevicePtr::of(x.clipped_faces_neighbor_idx),
            pix_to_face: absent,
            zbuf: absent,
            bary_coords: absent,
            dists: absent,
            boxes: absent,
            group_boxes: absent,
            grad_zbuf: absent,
            grad_bary_coords: absent,
            grad_dists: absent,
            grad_face_verts: absent,
            sums: absent,
            summands: absent,
            n: sizes.n as i64,
            f: sizes.f as i64,
            h: sizes.h as i64,
            w: sizes.w as i64,
            k: sizes.k as i64,
            blur_radius: x.settings.blur_radius,
            perspective_correct: x.settings.perspective_correct.into(),
            clip_barycentric_coords: x.settings.clip_barycentric_coords.into(),
            cull_backfaces: x.settings.cull_backfaces.into(),
            reserved: 0,
        }
    }
}

fn per_element(gpu: Gpu, kernel: &str, elements: usize, params: &RasterizeMeshesParams) -> Result<()> {
    gpu.launch(&MODULE, kernel, Grid::per_element(kernel, elements, THREADS)?, params)
}

fn per_tile(gpu: Gpu, kernel: &str, sizes: Sizes, params: &RasterizeMeshesParams) -> Result<()> {
    let tiles = sizes.n * sizes.h.div_ceil(TILE) * sizes.w.div_ceil(TILE);
    gpu.launch(&MODULE, kernel, Grid::of_blocks(kernel, [tiles, 1, 1], THREADS)?, params)
}

fn box_bytes(dtype: DType) -> usize {
    4 * dtype.bytes()
}

/// The box of each face and of each group of faces.
pub(super) fn forward_scratch_bytes(x: &Inputs<'_>, sizes: Sizes) -> usize {
    box_bytes(x.face_verts.dtype()) * (sizes.f + sizes.f.div_ceil(GROUP))
}

pub(super) fn forward(gpu: Gpu, x: &Inputs<'_>, sizes: Sizes, out: &mut Outputs<'_>) -> Result<()> {
    if sizes.num_slots() == 0 {
        return Ok(());
    }
    let dtype = x.face_verts.dtype().suffix();
    let mut params = RasterizeMeshesParams::new(x, sizes);
    params.pix_to_face = out.pix_to_face.device_ptr();
    params.zbuf = out.zbuf.device_ptr();
    params.bary_coords = out.bary_coords.device_ptr();
    params.dists = out.dists.device_ptr();
    params.boxes = out.scratch.device_ptr();
    params.group_boxes = params.boxes.after(box_bytes(x.face_verts.dtype()) * sizes.f);
    let list = LISTS.into_iter().find(|&list| sizes.k <= list);
    let how = list.map_or_else(|| "long_list".to_owned(), |list| format!("list{list}"));
    per_element(gpu, &format!("rasterize_meshes_setup_{dtype}"), sizes.f, &params)?;
    per_tile(gpu, &format!("rasterize_meshes_forward_{how}_{dtype}"), sizes, &params)
}

/// A sum for each number of each face, and the number of summands of each face.
pub(super) fn backward_scratch_bytes(_: &GradInputs<'_>, sizes: Sizes) -> usize {
    (COMPONENTS + 1) * size_of::<u64>() * sizes.f
}

pub(super) fn backward(gpu: Gpu, x: &GradInputs<'_>, sizes: Sizes, out: &mut Gradients<'_>) -> Result<()> {
    let dtype = x.inputs.face_verts.dtype().suffix();
    let mut params = RasterizeMeshesParams::new(&x.inputs, sizes);
    params.pix_to_face = x.pix_to_face.device_ptr();
    params.grad_zbuf = DevicePtr::of(x.grad_zbuf);
    params.grad_bary_coords = DevicePtr::of(x.grad_bary_coords);
    params.grad_dists = DevicePtr::of(x.grad_dists);
    params.grad_face_verts = out.face_verts.device_ptr();
    params.sums = out.scratch.device_ptr();
    params.summands = params.sums.after(COMPONENTS * size_of::<u64>() * sizes.f);
    let numbers = COMPONENTS * sizes.f;
    per_element(gpu, &format!("rasterize_meshes_backward_clear_{dtype}"), numbers, &params)?;
    if sizes.f > 0 && sizes.num_slots() > 0 {
        per_tile(gpu, &format!("rasterize_meshes_backward_measure_{dtype}"), sizes, &params)?;
        per_tile(gpu, &format!("rasterize_meshes_backward_add_{dtype}"), sizes, &params)?;
    }
    per_element(gpu, &format!("rasterize_meshes_backward_finish_{dtype}"), numbers, &params)
}
