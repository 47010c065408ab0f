// SPDX-License-Identifier: Apache-2.0
//! Grid, block, arguments.

use patina3d_core::inverse::Inverse;
use patina3d_core::{DevicePtr, Gpu, Grid, Result};

use super::{GradInputs, Gradients, Inputs, MODULE, Norm, Sizes};

const THREADS: u32 = 128;
/// Bytes of p2 that a block keeps on chip.
const TILE_BYTES: usize = 16 * 1024;
/// The sizes of the neighbour lists that live in registers.
const LISTS: [usize; 5] = [1, 4, 8, 16, 32];

patina3d_core::shared_struct! {
    /// `knn.h` says what each field is.
    pub struct KnnParams {
        pub p1: DevicePtr,
        pub p2: DevicePtr,
        pub lengths1: DevicePtr,
        pub lengths2: DevicePtr,
        pub dists: DevicePtr,
        pub idx: DevicePtr,
        pub grad_dists: DevicePtr,
        pub grad_p1: DevicePtr,
        pub grad_p2: DevicePtr,
        pub inverse: Inverse,
        pub n: i64,
        pub num_p1: i64,
        pub num_p2: i64,
        pub d: i64,
        pub k: i64,
        pub tile: i64,
        pub norm: i32,
        pub reserved: i32,
    }
}

impl KnnParams {
    fn new(x: &Inputs<'_>, sizes: Sizes) -> Self {
        let absent = DevicePtr::default();
        Self {
            p1: x.p1.device_ptr(),
            p2: x.p2.device_ptr(),
            lengths1: DevicePtr::of(x.lengths1),
            lengths2: DevicePtr::of(x.lengths2),
            dists: absent,
            idx: absent,
            grad_dists: absent,
            grad_p1: absent,
            grad_p2: absent,
            inverse: Inverse::default(),
            n: sizes.n as i64,
            num_p1: sizes.p1 as i64,
            num_p2: sizes.p2 as i64,
            d: sizes.d as i64,
            k: sizes.k as i64,
            tile: 0,
            norm: match x.norm {
                Norm::L1 => 1,
                Norm::SquaredL2 => 2,
            },
            reserved: 0,
        }
    }
}

/// Fills `dists` and `idx`, (N, P1, K).
pub(crate) fn forward(gpu: Gpu, x: &Inputs<'_>, sizes: Sizes, dists: DevicePtr, idx: DevicePtr) -> Result<()> {
    if sizes.k == 0 {
        return Ok(());
    }
    let (dtype, bytes) = (x.p1.dtype().suffix(), x.p1.dtype().bytes());
    let tile = (TILE_BYTES / (bytes * sizes.d)).min(512);
    let mut params = KnnParams::new(x, sizes);
    params.dists = dists;
    params.idx = idx;
    params.tile = tile as i64;
    let list = LISTS.into_iter().find(|&list| sizes.k <= list);
    let how = list.map_or_else(|| "long_list".to_owned(), |list| format!("list{list}"));
    let kernel = format!("knn_forward_{how}_{dtype}");
    let grid = Grid::of_blocks(&kernel, [sizes.p1.div_ceil(THREADS as usize) * sizes.n, 1, 1], THREADS)?;
    gpu.launch(&MODULE, &kernel, grid.with_shared(tile * sizes.d * bytes), &params)
}

pub(super) fn scratch_bytes(sizes: Sizes) -> usize {
    Inverse::bytes(sizes.n * sizes.p2, sizes.n * sizes.p1 * sizes.k, sizes.d * size_of::<f64>())
}

/// The gradient of `p1` is a sum over a row; that of `p2` over the pairs of each point, in order.
pub(super) fn backward(gpu: Gpu, x: &GradInputs<'_>, sizes: Sizes, out: &mut Gradients<'_>) -> Result<()> {
    let dtype = x.inputs.p1.dtype().suffix();
    let mut params = KnnParams::new(&x.inputs, sizes);
    params.idx = x.idx.device_ptr();
    params.grad_dists = x.grad_dists.device_ptr();
    let queries = sizes.n * sizes.p1;
    let points = sizes.n * sizes.p2;
    if let Some(grad) = &out.p1 {
        params.grad_p1 = grad.device_ptr();
        let kernel = format!("knn_backward_p1_{dtype}");
        gpu.launch(&MODULE, &kernel, Grid::per_element(&kernel, queries, THREADS)?, &params)?;
    }
    if let Some(grad) = &out.p2 {
        params.grad_p2 = grad.device_ptr();
        let row = sizes.d * size_of::<f64>();
        params.inverse = Inverse::new(out.scratch.device_ptr(), points, queries * sizes.k, sizes.d, row);
        let kernel = "knn_backward_targets";
        gpu.launch(&MODULE, kernel, Grid::per_element(kernel, queries, THREADS)?, &params)?;
        params.inverse = params.inverse.sorted(gpu)?;
        let kernel = format!("knn_backward_chunks_{dtype}");
        params.inverse.segments.launch_chunks(gpu, &MODULE, &kernel, &params)?;
        let kernel = format!("knn_backward_p2_{dtype}");
        gpu.launch(&MODULE, &kernel, Grid::per_element(&kernel, points * sizes.d, THREADS)?, &params)?;
    }
    Ok(())
}
