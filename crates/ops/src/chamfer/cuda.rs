// SPDX-License-Identifier: Apache-2.0
//! The search of [`crate::knn`] for either way; grid, block and arguments of the gradients.

use patina3d_core::inverse::Inverse;
use patina3d_core::{DevicePtr, Gpu, Grid, Result, Tensor, TensorMut};

use super::{GradInputs, Gradients, Inputs, MODULE, Outputs, Sizes};
use crate::knn::{self, Norm};

const THREADS: u32 = 128;

patina3d_core::shared_struct! {
    /// `chamfer.h` says what each field is.
    pub struct ChamferParams {
        pub points: DevicePtr,
        pub lengths: DevicePtr,
        pub idx: DevicePtr,
        pub grad_dists: DevicePtr,
        pub grad: DevicePtr,
        pub others: DevicePtr,
        pub other_lengths: DevicePtr,
        pub other_idx: DevicePtr,
        pub other_grad_dists: DevicePtr,
        pub inverse: Inverse,
        pub n: i64,
        pub num_points: i64,
        pub num_others: i64,
        pub d: i64,
        pub norm: i32,
        pub reserved: i32,
    }
}

/// Either way takes its turn in the same memory.
pub(super) fn forward_scratch_bytes(x: &Inputs<'_>, sizes: Sizes) -> Result<usize> {
    let mut most = 0;
    for (way, sizes) in x.ways().iter().zip(sizes.ways()) {
        most = most.max(knn::cuda::forward_scratch_bytes(way, sizes)?);
    }
    Ok(most)
}

pub(super) fn forward(gpu: Gpu, x: &Inputs<'_>, sizes: Sizes, out: &mut Outputs<'_>) -> Result<()> {
    for ((way, sizes), nearest) in x.ways().iter().zip(sizes.ways()).zip([&out.x, &out.y]) {
        let [dists, idx, scratch] = [&nearest.dists, &nearest.idx, &out.scratch].map(TensorMut::device_ptr);
        knn::cuda::forward(gpu, way, sizes, None, dists, idx, scratch)?;
    }
    Ok(())
}

/// The sides take turns in the same memory.
pub(super) fn scratch_bytes(sizes: Sizes) -> usize {
    let Sizes { n, p1, p2, d } = sizes;
    let row = d * size_of::<f64>();
    Inverse::bytes(n * p1, n * p2, row).max(Inverse::bytes(n * p2, n * p1, row))
}

/// Each point sums over those that chose it, in order, and adds the term of its own choice.
pub(super) fn backward(gpu: Gpu, x: &GradInputs<'_>, sizes: Sizes, out: &mut Gradients<'_>) -> Result<()> {
    let inputs = &x.inputs;
    let of_x = Side {
        points: inputs.x,
        lengths: inputs.x_lengths,
        idx: x.idx_x,
        grad_dists: x.grad_dists_x,
        padded: sizes.p1,
    };
    let of_y = Side {
        points: inputs.y,
        lengths: inputs.y_lengths,
        idx: x.idx_y,
        grad_dists: x.grad_dists_y,
        padded: sizes.p2,
    };
    for (of, other, grad) in [(&of_x, &of_y, &out.x), (&of_y, &of_x, &out.y)] {
        let Some(grad) = grad else { continue };
        let (points, others) = (sizes.n * of.padded, sizes.n * other.padded);
        let row = sizes.d * size_of::<f64>();
        let mut params = ChamferParams {
            points: of.points.device_ptr(),
            lengths: DevicePtr::of(of.lengths),
            idx: of.idx.device_ptr(),
            grad_dists: of.grad_dists.device_ptr(),
            grad: grad.device_ptr(),
            others: other.points.device_ptr(),
            other_lengths: DevicePtr::of(other.lengths),
            other_idx: other.idx.device_ptr(),
            other_grad_dists: other.grad_dists.device_ptr(),
            inverse: Inverse::new(out.scratch.device_ptr(), points, others, sizes.d, row),
            n: sizes.n as i64,
            num_points: of.padded as i64,
            num_others: other.padded as i64,
            d: sizes.d as i64,
            norm: match inputs.norm {
                Norm::L1 => 1,
                Norm::SquaredL2 => 2,
            },
            reserved: 0,
        };
        let dtype = inputs.x.dtype().suffix();
        let kernel = "chamfer_backward_targets";
        gpu.launch(&MODULE, kernel, Grid::per_element(kernel, others, THREADS)?, &params)?;
        params.inverse = params.inverse.sorted(gpu)?;
        let kernel = format!("chamfer_backward_chunks_{dtype}");
        params.inverse.segments.launch_chunks(gpu, &MODULE, &kernel, &params)?;
        let kernel = format!("chamfer_backward_{dtype}");
        gpu.launch(&MODULE, &kernel, Grid::per_element(&kernel, points * sizes.d, THREADS)?, &params)?;
    }
    Ok(())
}

/// One of the two batches.
struct Side<'a> {
    points: Tensor<'a>,
    lengths: Option<Tensor<'a>>,
    idx: Tensor<'a>,
    grad_dists: Tensor<'a>,
    padded: usize,
}
