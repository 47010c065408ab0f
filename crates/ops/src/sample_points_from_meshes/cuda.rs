// SPDX-License-Identifier: Apache-2.0
//! Grid, block, arguments.

use patina3d_core::scan;
use patina3d_core::{DType, DevicePtr, Gpu, Grid, Result};

use super::{GradInputs, Gradients, Inputs, MODULE, Outputs, Sizes};

const THREADS: u32 = 256;

patina3d_core::shared_struct! {
    /// `sample_points_from_meshes.h` says what each field is.
    #[derive(Default)]
    pub struct SamplePointsFromMeshesParams {
        pub verts: DevicePtr,
        pub faces: DevicePtr,
        pub first_idxs: DevicePtr,
        pub seed: DevicePtr,
        pub greatest: DevicePtr,
        pub sums: DevicePtr,
        pub points: DevicePtr,
        pub sampled_faces: DevicePtr,
        pub weights: DevicePtr,
        pub grad_points: DevicePtr,
        pub grad_verts: DevicePtr,
        pub fixed: DevicePtr,
        pub summands: DevicePtr,
        pub v: i64,
        pub f: i64,
        pub n: i64,
        pub s: i64,
    }
}

impl SamplePointsFromMeshesParams {
    fn new(sizes: Sizes) -> Self {
        let Sizes { v, f, n, s } = sizes;
        Self { v: v as i64, f: f as i64, n: n as i64, s: s as i64, ..Self::default() }
    }

    fn launch(&self, gpu: Gpu, pass: &str, elements: usize) -> Result<()> {
        let kernel = format!("sample_points_from_meshes_{pass}");
        gpu.launch(&MODULE, &kernel, Grid::per_element(&kernel, elements, THREADS)?, self)
    }

    fn launch_for(&self, gpu: Gpu, dtype: DType, pass: &str, elements: usize) -> Result<()> {
        self.launch(gpu, &format!("{pass}_{}", dtype.suffix()), elements)
    }
}

fn words(count: usize) -> usize {
    count * size_of::<u64>()
}

pub(super) fn scratch_bytes(sizes: Sizes) -> usize {
    words(sizes.n + sizes.f + 1) + scan::bytes(sizes.f)
}

pub(super) fn forward(gpu: Gpu, x: &Inputs<'_>, sizes: Sizes, out: &mut Outputs<'_>) -> Result<()> {
    let greatest = out.scratch.device_ptr();
    let sums = greatest.after(words(sizes.n));
    let params = SamplePointsFromMeshesParams {
        verts: x.verts.device_ptr(),
        faces: x.faces.device_ptr(),
        first_idxs: x.first_idxs.device_ptr(),
        seed: x.seed.device_ptr(),
        greatest,
        sums,
        points: out.points.device_ptr(),
        sampled_faces: out.faces.device_ptr(),
        weights: out.weights.device_ptr(),
        ..SamplePointsFromMeshesParams::new(sizes)
    };
    let dtype = x.verts.dtype();
    params.launch(gpu, "clear", sizes.n)?;
    params.launch_for(gpu, dtype, "areas", sizes.f)?;
    params.launch(gpu, "chances", sizes.f)?;
    // All meshes at once: sums that wrap around still have the right differences.
    scan::launch::<u64>(gpu, sums, sums, sizes.f, sums.after(words(sizes.f + 1)))?;
    params.launch_for(gpu, dtype, "draw", sizes.samples())
}

/// A sum for each coordinate of each vertex, and the number of summands of each vertex.
pub(super) fn backward_scratch_bytes(sizes: Sizes) -> usize {
    words((3 + 1) * sizes.v)
}

pub(super) fn backward(gpu: Gpu, x: &GradInputs<'_>, sizes: Sizes, out: &mut Gradients<'_>) -> Result<()> {
    let fixed = out.scratch.device_ptr();
    let params = SamplePointsFromMeshesParams {
        faces: x.faces.device_ptr(),
        sampled_faces: x.sampled_faces.device_ptr(),
        weights: x.weights.device_ptr(),
        grad_points: x.grad_points.device_ptr(),
        grad_verts: out.verts.device_ptr(),
        fixed,
        summands: fixed.after(words(3 * sizes.v)),
        ..SamplePointsFromMeshesParams::new(sizes)
    };
    let dtype = x.weights.dtype();
    params.launch_for(gpu, dtype, "backward_clear", 3 * sizes.v)?;
    params.launch_for(gpu, dtype, "backward_measure", sizes.samples())?;
    params.launch_for(gpu, dtype, "backward_add", sizes.samples())?;
    params.launch_for(gpu, dtype, "backward_finish", 3 * sizes.v)
}
