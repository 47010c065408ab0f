// SPDX-License-Identifier: Apache-2.0
//! Grid, block, arguments.

use patina3d_core::{DevicePtr, Gpu, Grid, Result, TensorMut};

use super::{GradInputs, Gradients, Inputs, MODULE, Sizes};

const THREADS: u32 = 128;

patina3d_core::shared_struct! {
    /// `blending.h` says what each field is.
    pub struct BlendingParams {
        pub colors: DevicePtr,
        pub dists: DevicePtr,
        pub zbuf: DevicePtr,
        pub pix_to_face: DevicePtr,
        pub background: DevicePtr,
        pub znear: DevicePtr,
        pub zfar: DevicePtr,
        pub image: DevicePtr,
        pub grad_image: DevicePtr,
        pub grad_colors: DevicePtr,
        pub grad_dists: DevicePtr,
        pub grad_zbuf: DevicePtr,
        pub grad_background: DevicePtr,
        pub pixels: i64,
        pub pixels_of_image: i64,
        pub k: i64,
        pub c: i64,
        pub sigma: f64,
        pub gamma: f64,
        pub least: f64,
        pub one_background: i32,
        pub one_znear: i32,
        pub one_zfar: i32,
        pub reserved: i32,
    }
}

impl BlendingParams {
    fn new(x: &Inputs<'_>, sizes: Sizes) -> Self {
        let absent = DevicePtr::default();
        let [_, h, w] = sizes.pixels;
        Self {
            colors: x.colors.device_ptr(),
            dists: x.dists.device_ptr(),
            zbuf: x.zbuf.device_ptr(),
            pix_to_face: x.pix_to_face.device_ptr(),
            background: x.background.device_ptr(),
            znear: x.znear.device_ptr(),
            zfar: x.zfar.device_ptr(),
            image: absent,
            grad_image: absent,
            grad_colors: absent,
            grad_dists: absent,
            grad_zbuf: absent,
            grad_background: absent,
            pixels: sizes.num_pixels() as i64,
            pixels_of_image: (h * w) as i64,
            k: sizes.k as i64,
            c: sizes.c as i64,
            sigma: x.settings.sigma,
            gamma: x.settings.gamma,
            least: x.settings.least,
            one_background: (x.background.shape()[0] == 1).into(),
            one_znear: (x.znear.numel() == 1).into(),
            one_zfar: (x.zfar.numel() == 1).into(),
            reserved: 0,
        }
    }

    /// A thread a pixel.
    fn launch(&self, gpu: Gpu, x: &Inputs<'_>, pass: &str) -> Result<()> {
        let kernel = format!("blending_{pass}_{}", x.colors.dtype().suffix());
        gpu.launch(&MODULE, &kernel, Grid::per_element(&kernel, self.pixels as usize, THREADS)?, self)
    }
}

pub(super) fn forward(gpu: Gpu, x: &Inputs<'_>, sizes: Sizes, out: &mut TensorMut<'_>) -> Result<()> {
    let mut params = BlendingParams::new(x, sizes);
    params.image = out.device_ptr();
    params.launch(gpu, x, "forward")
}

pub(super) fn backward(gpu: Gpu, x: &GradInputs<'_>, sizes: Sizes, out: &mut Gradients<'_>) -> Result<()> {
    let of = |grad: &Option<TensorMut<'_>>| grad.as_ref().map_or_else(DevicePtr::default, TensorMut::device_ptr);
    let mut params = BlendingParams::new(&x.inputs, sizes);
    params.image = x.image.device_ptr();
    params.grad_image = x.grad_image.device_ptr();
    params.grad_colors = of(&out.colors);
    params.grad_dists = of(&out.dists);
    params.grad_zbuf = of(&out.zbuf);
    params.grad_background = of(&out.background);
    params.launch(gpu, &x.inputs, "backward")
}
