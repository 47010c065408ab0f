// SPDX-License-Identifier: Apache-2.0
//! Grid, block, arguments. The nearest are found by the search of [`crate::knn`] with the radius as its bound.

use patina3d_core::tree::DeviceTree;
use patina3d_core::{DevicePtr, Gpu, Grid, Result, TensorMut};

use super::{GatherInputs, Inputs, MODULE, Order, Outputs, Sizes};
use crate::knn;
use crate::knn::cuda::{Descent, Memory, THREADS, TREE_LISTS, list, tiled};

patina3d_core::shared_struct! {
    /// `ball_query.h` says what each field is.
    #[derive(Default)]
    pub struct BallQueryParams {
        pub p1: DevicePtr,
        pub p2: DevicePtr,
        pub lengths1: DevicePtr,
        pub lengths2: DevicePtr,
        pub dists: DevicePtr,
        pub idx: DevicePtr,
        pub knn: DevicePtr,
        pub tree: DeviceTree,
        pub order: DevicePtr,
        pub n: i64,
        pub num_p1: i64,
        pub num_p2: i64,
        pub d: i64,
        pub k: i64,
        pub tile: i64,
        pub limit: f64,
    }
}

pub(super) fn forward(gpu: Gpu, x: &Inputs<'_>, sizes: Sizes, out: &mut Outputs<'_>) -> Result<()> {
    let [dists, idx, scratch] = [&out.dists, &out.idx, &out.scratch].map(TensorMut::device_ptr);
    match x.order {
        Order::Nearest => knn::cuda::forward(gpu, &x.neighbours(), sizes, Some(x.limit()), [dists, idx, scratch]),
        Order::Index => first(gpu, x, sizes, [dists, idx, scratch]),
    }
}

fn first(gpu: Gpu, x: &Inputs<'_>, sizes: Sizes, [dists, idx, scratch]: [DevicePtr; 3]) -> Result<()> {
    if sizes.k == 0 {
        return Ok(());
    }
    let (dtype, bytes) = (x.p1.dtype().suffix(), x.p1.dtype().bytes());
    let mut params = BallQueryParams {
        p1: x.p1.device_ptr(),
        p2: x.p2.device_ptr(),
        lengths1: DevicePtr::of(x.lengths1),
        lengths2: DevicePtr::of(x.lengths2),
        dists,
        idx,
        n: sizes.n as i64,
        num_p1: sizes.p1 as i64,
        num_p2: sizes.p2 as i64,
        d: sizes.d as i64,
        k: sizes.k as i64,
        limit: x.limit(),
        ..BallQueryParams::default()
    };
    let descent = Descent::new(&x.neighbours(), sizes)?;
    if let Some(descent) = &descent {
        (params.tree, params.order) = descent.prepare(gpu, &mut Memory::new(scratch, [descent]))?;
        let kernel = format!("ball_query_forward_tree_{}_{dtype}", list(&TREE_LISTS, sizes.k));
        return gpu.launch(&MODULE, &kernel, Grid::per_element(&kernel, sizes.n * sizes.p1, THREADS)?, &params);
    }
    let kernel = format!("ball_query_forward_{dtype}");
    let (grid, tile) = tiled(&kernel, &[sizes], bytes)?;
    params.tile = tile;
    gpu.launch(&MODULE, &kernel, grid, &params)
}

/// A thread a coordinate.
pub(super) fn gather(gpu: Gpu, x: &GatherInputs<'_>, shape: [usize; 4], out: &mut TensorMut<'_>) -> Result<()> {
    let [n, p1, k, d] = shape.map(|size| size as i64);
    let params = BallQueryParams {
        p2: x.points.device_ptr(),
        idx: x.idx.device_ptr(),
        knn: out.device_ptr(),
        n,
        num_p1: p1,
        num_p2: x.points.shape()[1] as i64,
        d,
        k,
        ..BallQueryParams::default()
    };
    let kernel = format!("ball_query_gather_{}", x.points.dtype().suffix());
    gpu.launch(&MODULE, &kernel, Grid::per_element(&kernel, shape.iter().product(), THREADS)?, &params)
}
