// SPDX-License-Identifier: Apache-2.0
//! Grid, block, arguments; down trees, the searches of [`crate::knn`].

use patina3d_core::inverse::{Inverse, Unsorted};
use patina3d_core::{DevicePtr, Gpu, Grid, Result, Tensor, TensorMut};

use super::{GradInputs, Gradients, Inputs, MODULE, Outputs, Sizes};
use crate::knn::cuda::{Descent, Memory, THREADS, tiled};
use crate::knn::{self, Norm};

patina3d_core::shared_struct! {
    /// `chamfer.h` says what each field is.
    pub struct ChamferSide {
        pub points: DevicePtr,
        pub lengths: DevicePtr,
        pub idx: DevicePtr,
        pub dists: DevicePtr,
        pub num_points: i64,
    }
}

patina3d_core::shared_struct! {
    /// `chamfer.h` says what each field is.
    pub struct ChamferParams {
        pub side: ChamferSide,
        pub other: ChamferSide,
        pub grad: DevicePtr,
        pub inverse: Inverse,
        pub n: i64,
        pub d: i64,
        pub tile: i64,
        pub norm: i32,
        pub reserved: i32,
    }
}

impl ChamferParams {
    /// Of x and y, whose distances (or their gradients) and indices these are.
    fn new(x: &Inputs<'_>, sizes: Sizes, [of_x, of_y]: [[DevicePtr; 2]; 2]) -> Self {
        let side = |points: Tensor<'_>, lengths, [dists, idx]: [DevicePtr; 2], padded: usize| ChamferSide {
            points: points.device_ptr(),
            lengths: DevicePtr::of(lengths),
            idx,
            dists,
            num_points: padded as i64,
        };
        Self {
            side: side(x.x, x.x_lengths, of_x, sizes.p1),
            other: side(x.y, x.y_lengths, of_y, sizes.p2),
            grad: DevicePtr::default(),
            inverse: Inverse::default(),
            n: sizes.n as i64,
            d: sizes.d as i64,
            tile: 0,
            norm: match x.norm {
                Norm::L1 => 1,
                Norm::SquaredL2 => 2,
            },
            reserved: 0,
        }
    }
}

/// Of either way; nothing where brute force is quicker.
fn descents<'a>(x: &Inputs<'a>, sizes: Sizes) -> Result<[Option<Descent<'a>>; 2]> {
    let ([from_x, from_y], [sizes_x, sizes_y]) = (x.ways(), sizes.ways());
    Ok([Descent::new(&from_x, sizes_x)?, Descent::new(&from_y, sizes_y)?])
}

pub(super) fn forward_scratch_bytes(x: &Inputs<'_>, sizes: Sizes) -> Result<usize> {
    Ok(Memory::bytes(descents(x, sizes)?.iter().flatten()))
}

/// By brute force both ways in one launch. Down trees one way after the other; the order that a cloud's tree is built in
/// is that of its points as queries.
pub(super) fn forward(gpu: Gpu, x: &Inputs<'_>, sizes: Sizes, out: &mut Outputs<'_>) -> Result<()> {
    let found = [&out.x, &out.y].map(|nearest| [&nearest.dists, &nearest.idx].map(TensorMut::device_ptr));
    let descents = descents(x, sizes)?;
    if descents.iter().all(Option::is_none) {
        let (dtype, bytes) = (x.x.dtype().suffix(), x.x.dtype().bytes());
        let kernel = format!("chamfer_forward_{dtype}");
        let (grid, tile) = tiled(&kernel, &sizes.ways(), bytes)?;
        return gpu.launch(&MODULE, &kernel, grid, &ChamferParams { tile, ..ChamferParams::new(x, sizes, found) });
    }
    let mut memory = Memory::new(out.scratch.device_ptr(), descents.iter().flatten());
    for (((way, sizes), found), descent) in x.ways().iter().zip(sizes.ways()).zip(found).zip(&descents) {
        knn::cuda::search(gpu, way, sizes, None, found, descent.as_ref(), &mut memory)?;
    }
    Ok(())
}

/// The sides take turns in the same memory.
pub(super) fn scratch_bytes(sizes: Sizes) -> usize {
    let Sizes { n, p1, p2, d } = sizes;
    let row = d * size_of::<f64>();
    Unsorted::bytes(n * p1, n * p2, row).max(Unsorted::bytes(n * p2, n * p1, row))
}

/// Each point sums over those that chose it, in order, and adds the term of its own choice.
pub(super) fn backward(gpu: Gpu, x: &GradInputs<'_>, sizes: Sizes, out: &mut Gradients<'_>) -> Result<()> {
    let of_x = [x.grad_dists_x, x.idx_x].map(|tensor| tensor.device_ptr());
    let of_y = [x.grad_dists_y, x.idx_y].map(|tensor| tensor.device_ptr());
    let both = ChamferParams::new(&x.inputs, sizes, [of_x, of_y]);
    let (p1, p2) = (sizes.n * sizes.p1, sizes.n * sizes.p2);
    for (side, other, grad, points, others) in
        [(both.side, both.other, &out.x, p1, p2), (both.other, both.side, &out.y, p2, p1)]
    {
        let Some(grad) = grad else { continue };
        let unsorted = Unsorted::new(out.scratch.device_ptr(), points, others, sizes.d, sizes.d * size_of::<f64>());
        let inverse = unsorted.inverse();
        let mut params = ChamferParams { side, other, grad: grad.device_ptr(), inverse, ..both };
        let dtype = x.inputs.x.dtype().suffix();
        let kernel = "chamfer_backward_targets";
        gpu.launch(&MODULE, kernel, Grid::per_element(kernel, others, THREADS)?, &params)?;
        params.inverse = unsorted.sorted(gpu)?;
        let kernel = format!("chamfer_backward_chunks_{dtype}");
        params.inverse.segments.launch_chunks(gpu, &MODULE, &kernel, &params)?;
        let kernel = format!("chamfer_backward_{dtype}");
        gpu.launch(&MODULE, &kernel, Grid::per_element(&kernel, points * sizes.d, THREADS)?, &params)?;
    }
    Ok(())
}
