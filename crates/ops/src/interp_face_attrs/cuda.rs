// SPDX-License-Identifier: Apache-2.0
//! Grid, block, arguments.

use patina3d_core::{DevicePtr, Gpu, Grid, Result, TensorMut};

use super::{GradInputs, Gradients, Inputs, MODULE, Sizes};

const THREADS: u32 = 256;
const WARP: usize = 32;

patina3d_core::shared_struct! {
    /// `interp_face_attrs.h` says what each field is.
    pub struct InterpFaceAttrsParams {
        pub pix_to_face: DevicePtr,
        pub barycentric_coords: DevicePtr,
        pub face_attributes: DevicePtr,
        pub out: DevicePtr,
        pub grad: DevicePtr,
        pub grad_barycentric_coords: DevicePtr,
        pub grad_face_attributes: DevicePtr,
        pub sums: DevicePtr,
        pub summands: DevicePtr,
        pub pixels: i64,
        pub pixels_of_image: i64,
        pub k: i64,
        pub f: i64,
        pub d: i64,
    }
}

impl InterpFaceAttrsParams {
    fn new(x: &Inputs<'_>, sizes: Sizes) -> Self {
        let absent = DevicePtr::default();
        let [n, h, w, k] = sizes.slots;
        Self {
            pix_to_face: x.pix_to_face.device_ptr(),
            barycentric_coords: x.barycentric_coords.device_ptr(),
            face_attributes: x.face_attributes.device_ptr(),
            out: absent,
            grad: absent,
            grad_barycentric_coords: absent,
            grad_face_attributes: absent,
            sums: absent,
            summands: absent,
            pixels: (n * h * w) as i64,
            pixels_of_image: (h * w) as i64,
            k: k as i64,
            f: sizes.f as i64,
            d: sizes.d as i64,
        }
    }

    fn launch(&self, gpu: Gpu, x: &Inputs<'_>, pass: &str, elements: usize) -> Result<()> {
        let kernel = format!("interp_face_attrs_{pass}_{}", x.barycentric_coords.dtype().suffix());
        gpu.launch(&MODULE, &kernel, Grid::per_element(&kernel, elements, THREADS)?, self)
    }
}

pub(super) fn forward(gpu: Gpu, x: &Inputs<'_>, sizes: Sizes, out: &mut TensorMut<'_>) -> Result<()> {
    let mut params = InterpFaceAttrsParams::new(x, sizes);
    params.out = out.device_ptr();
    params.launch(gpu, x, "forward", sizes.num_slots() * sizes.d)
}

/// Values of a face.
fn components(sizes: Sizes) -> usize {
    3 * sizes.d
}

/// A sum for each value of each face, and the number of summands of each face.
pub(super) fn scratch_bytes(sizes: Sizes) -> usize {
    (components(sizes) + 1) * size_of::<u64>() * sizes.f
}

pub(super) fn backward(gpu: Gpu, x: &GradInputs<'_>, sizes: Sizes, out: &mut Gradients<'_>) -> Result<()> {
    let mut params = InterpFaceAttrsParams::new(&x.inputs, sizes);
    params.grad = x.grad.device_ptr();
    let launch =
        |params: &InterpFaceAttrsParams, pass: &str, elements: usize| params.launch(gpu, &x.inputs, pass, elements);
    if let Some(of_weights) = &out.barycentric_coords {
        params.grad_barycentric_coords = of_weights.device_ptr();
        launch(&params, "backward_weights", sizes.num_slots())?;
    }
    if let Some(of_values) = &out.face_attributes {
        let values = components(sizes) * sizes.f;
        params.grad_face_attributes = of_values.device_ptr();
        params.sums = out.scratch.device_ptr();
        params.summands = params.sums.after(size_of::<u64>() * values);
        launch(&params, "backward_values_clear", values)?;
        if values > 0 {
            let [n, h, w, _] = sizes.slots;
            let threads = n * (h * w).next_multiple_of(WARP);
            launch(&params, "backward_values_measure", threads)?;
            launch(&params, "backward_values_add", threads)?;
        }
        launch(&params, "backward_values_finish", values)?;
    }
    Ok(())
}
