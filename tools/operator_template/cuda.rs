// SPDX-License-Identifier: Apache-2.0
//! Grid, block, arguments.

use patina3d_core::{DType, DevicePtr, Gpu, Grid, Real, Result};

use super::{GradInputs, Gradients, Inputs, MODULE, Outputs};

const THREADS: u32 = 256;

patina3d_core::shared_struct! {
    /// `__op__.h` says what each field is.
    pub struct __Op__Params {
        pub x: DevicePtr,
        pub y: DevicePtr,
        pub grad_y: DevicePtr,
        pub grad_x: DevicePtr,
        pub count: i64,
    }
}

impl __Op__Params {
    fn new(x: &Inputs<'_>) -> Self {
        let absent = DevicePtr::default();
        Self { x: x.x.device_ptr(), y: absent, grad_y: absent, grad_x: absent, count: x.x.numel() as i64 }
    }
}

pub(super) fn forward(gpu: Gpu, x: &Inputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
    launch(gpu, "forward", x, __Op__Params { y: out.y.device_ptr(), ..__Op__Params::new(x) })
}

pub(super) fn backward(gpu: Gpu, x: &GradInputs<'_>, out: &mut Gradients<'_>) -> Result<()> {
    let (grad_y, grad_x) = (x.grad_y.device_ptr(), out.x.device_ptr());
    launch(gpu, "backward", &x.inputs, __Op__Params { grad_y, grad_x, ..__Op__Params::new(&x.inputs) })
}

fn launch(gpu: Gpu, pass: &str, x: &Inputs<'_>, params: __Op__Params) -> Result<()> {
    let dtype = if x.x.dtype() == DType::F64 { f64::SUFFIX } else { f32::SUFFIX };
    let kernel = format!("__op___{pass}_{dtype}");
    gpu.launch(&MODULE, &kernel, Grid::per_element(&kernel, x.x.numel(), THREADS)?, &params)
}
