// SPDX-License-Identifier: Apache-2.0
//! Grid, block, arguments.

use patina3d_core::{DType, DevicePtr, Gpu, Grid, Real, Result, Tensor};

use super::{GradInputs, Gradients, Inputs, MODULE, Norm, Outputs, Sizes};

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
        pub first: DevicePtr,
        pub cursor: DevicePtr,
        pub pairs: DevicePtr,
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
        let pointer = |tensor: Option<Tensor<'_>>| tensor.map_or_else(DevicePtr::default, |t| t.device_ptr());
        let absent = DevicePtr::default();
        Self {
            p1: x.p1.device_ptr(),
            p2: x.p2.device_ptr(),
            lengths1: pointer(x.lengths1),
            lengths2: pointer(x.lengths2),
            dists: absent,
            idx: absent,
            grad_dists: absent,
            grad_p1: absent,
            grad_p2: absent,
            first: absent,
            cursor: absent,
            pairs: absent,
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

fn suffix(dtype: DType) -> (&'static str, usize) {
    if dtype == DType::F64 { (f64::SUFFIX, 8) } else { (f32::SUFFIX, 4) }
}

pub(super) fn forward(gpu: Gpu, x: &Inputs<'_>, sizes: Sizes, out: &mut Outputs<'_>) -> Result<()> {
    if sizes.k == 0 {
        return Ok(());
    }
    let (dtype, bytes) = suffix(x.p1.dtype());
    let tile = (TILE_BYTES / (bytes * sizes.d)).min(512);
    let mut params = KnnParams::new(x, sizes);
    params.dists = out.dists.device_ptr();
    params.idx = out.idx.device_ptr();
    params.tile = tile as i64;
    let list = LISTS.into_iter().find(|&list| sizes.k <= list);
    let how = list.map_or_else(|| "long_list".to_owned(), |list| format!("list{list}"));
    let kernel = format!("knn_forward_{how}_{dtype}");
    let grid = Grid::of_blocks(&kernel, [sizes.p1.div_ceil(THREADS as usize) * sizes.n, 1, 1], THREADS)?;
    gpu.launch(&MODULE, &kernel, grid.with_shared(tile * sizes.d * bytes), &params)
}

/// `first`, `cursor` and `pairs`.
pub(super) fn scratch_bytes(sizes: Sizes) -> usize {
    8 * sizes.n * (2 * sizes.p2 + 1 + sizes.p1 * sizes.k)
}

/// The gradient of `p1` is a sum over a row. That of `p2` needs the inverse of `idx`: count the pairs of each point,
/// scan the counts, drop each pair into its point's segment (in any order: the places come from atomics), sort each
/// segment, and add it up in order.
pub(super) fn backward(gpu: Gpu, x: &GradInputs<'_>, sizes: Sizes, out: &mut Gradients<'_>) -> Result<()> {
    let (dtype, _) = suffix(x.inputs.p1.dtype());
    let mut params = KnnParams::new(&x.inputs, sizes);
    params.idx = x.idx.device_ptr();
    params.grad_dists = x.grad_dists.device_ptr();
    params.grad_p1 = out.p1.device_ptr();
    params.grad_p2 = out.p2.device_ptr();
    let scratch = out.scratch.device_ptr().0;
    params.first = DevicePtr(scratch);
    params.cursor = DevicePtr(scratch + 8 * (sizes.n * (sizes.p2 + 1)) as u64);
    params.pairs = DevicePtr(params.cursor.0 + 8 * (sizes.n * sizes.p2) as u64);

    let queries = sizes.n * sizes.p1;
    let points = sizes.n * sizes.p2;
    let run = |kernel: &str, elements: usize, threads: u32| {
        gpu.launch(&MODULE, kernel, Grid::per_element(kernel, elements, threads)?, &params)
    };
    run(&format!("knn_backward_p1_{dtype}"), queries, THREADS)?;
    run("knn_backward_clear", points, THREADS)?;
    run("knn_backward_count", queries, THREADS)?;
    // One block a cloud.
    run("knn_backward_scan", sizes.n * 256, 256)?;
    run("knn_backward_fill", queries, THREADS)?;
    run(&format!("knn_backward_p2_{dtype}"), points, THREADS)
}
