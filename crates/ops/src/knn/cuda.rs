// SPDX-License-Identifier: Apache-2.0
//! Grid, block, arguments.

use patina3d_core::inverse::{Inverse, Unsorted};
use patina3d_core::tree::DeviceTree;
use patina3d_core::{DevicePtr, Gpu, Grid, Result};

use super::{GradInputs, Gradients, Inputs, MODULE, Norm, Sizes, kept_tree_is_quicker};
use crate::point_index::{Batch, Checked, Orders};

pub(crate) const THREADS: u32 = 128;
/// Bytes of p2 that a block keeps on chip.
const TILE_BYTES: usize = 16 * 1024;
/// The sizes of the neighbour lists that live in registers, by brute force and down a tree.
const LISTS: [usize; 5] = [1, 4, 8, 16, 32];
pub(crate) const TREE_LISTS: [usize; 3] = [1, 8, 32];

/// A tree pays from this many points on, in at most so many dimensions. This rests on a count of operations, not on
/// timings: about then brute force reads more than the sort and the descents do; boxes overlap more with each dimension.
const TREE_POINTS: usize = 8192;
const TREE_DIMENSION: usize = 3;
/// From this many on queries go down a tree in an order in which those of a warp are near each other.
const ORDERED_QUERIES: usize = 4096;

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
        pub tree: DeviceTree,
        pub order: DevicePtr,
        pub n: i64,
        pub num_p1: i64,
        pub num_p2: i64,
        pub d: i64,
        pub k: i64,
        pub tile: i64,
        pub limit: f64,
        pub norm: i32,
        pub limited: i32,
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
            tree: DeviceTree::default(),
            order: absent,
            n: sizes.n as i64,
            num_p1: sizes.p1 as i64,
            num_p2: sizes.p2 as i64,
            d: sizes.d as i64,
            k: sizes.k as i64,
            tile: 0,
            limit: f64::INFINITY,
            norm: match x.norm {
                Norm::L1 => 1,
                Norm::SquaredL2 => 2,
            },
            limited: 0,
        }
    }
}

/// One thread a query of each search, and a tile of the other cloud on chip; how many points that is.
pub(crate) fn tiled(kernel: &str, searches: &[Sizes], bytes: usize) -> Result<(Grid, i64)> {
    let d = searches.first().map_or(1, |sizes| sizes.d);
    let tile = (TILE_BYTES / (bytes * d)).min(512);
    let blocks = searches.iter().map(|sizes| sizes.p1.div_ceil(THREADS as usize) * sizes.n).sum();
    let grid = Grid::of_blocks(kernel, [blocks, 1, 1], THREADS)?;
    Ok((grid.with_shared(tile * d * bytes), tile as i64))
}

/// What a search down a tree needs.
pub(crate) struct Descent<'a> {
    /// The trees, or what to build them of.
    kept: Option<Checked<'a>>,
    points: Batch,
    /// The queries, if they are to be ordered.
    queries: Option<Batch>,
}

impl<'a> Descent<'a> {
    /// Nothing where brute force is quicker. Only sizes decide, for lengths are on the device.
    pub(crate) fn new(x: &Inputs<'a>, sizes: Sizes) -> Result<Option<Self>> {
        let Sizes { n, p1, p2, d, k } = sizes;
        let kept = x.checked_trees()?;
        // What is sorted is numbered in 32 bits.
        let sortable = |points: usize| u32::try_from(n * points).is_ok();
        let built_is_quicker = d <= TREE_DIMENSION && p2 > TREE_POINTS && p1 > 0 && sortable(p2);
        if !kept_tree_is_quicker(p2, d, k) || (kept.is_none() && !built_is_quicker) {
            return Ok(None);
        }
        let queries = (n * p1 >= ORDERED_QUERIES && sortable(p1)).then(|| Batch::new(&x.p1, x.lengths1));
        Ok(Some(Self { kept, points: Batch::new(&x.p2, x.lengths2), queries }))
    }

    /// Bytes of the trees to be built.
    fn tree_bytes(&self) -> usize {
        if self.kept.is_some() { 0 } else { self.points.tree_bytes() }
    }

    /// What is to be sorted.
    fn batches(&self) -> impl Iterator<Item = Batch> {
        self.kept.is_none().then_some(self.points).into_iter().chain(self.queries)
    }

    /// The trees, and the order of the queries if they have one.
    pub(crate) fn prepare(&self, gpu: Gpu, memory: &mut Memory) -> Result<(DeviceTree, DevicePtr)> {
        let tree = if let Some(trees) = &self.kept {
            trees.on_device()
        } else {
            let tree = self.points.trees_in(memory.trees);
            self.points.build(gpu, tree, memory.orders.of(gpu, self.points)?)?;
            tree
        };
        let order = self.queries.map_or(Ok(DevicePtr::default()), |queries| memory.orders.of(gpu, queries))?;
        Ok((tree, order))
    }
}

/// Memory for descents one after the other: the trees of each in the place of the last one's, and the order of each batch.
pub(crate) struct Memory {
    trees: DevicePtr,
    orders: Orders,
}

impl Memory {
    pub(crate) fn new<'a>(scratch: DevicePtr, descents: impl IntoIterator<Item = &'a Descent<'a>> + Clone) -> Self {
        let orders = scratch.after(most_tree_bytes(descents.clone()));
        Self { trees: scratch, orders: Orders::new(orders, descents.into_iter().flat_map(Descent::batches)) }
    }

    pub(crate) fn bytes<'a>(descents: impl IntoIterator<Item = &'a Descent<'a>> + Clone) -> usize {
        most_tree_bytes(descents.clone()) + Orders::bytes(descents.into_iter().flat_map(Descent::batches))
    }
}

fn most_tree_bytes<'a>(descents: impl IntoIterator<Item = &'a Descent<'a>>) -> usize {
    descents.into_iter().map(Descent::tree_bytes).max().unwrap_or(0)
}

pub(crate) fn forward_scratch_bytes(x: &Inputs<'_>, sizes: Sizes) -> Result<usize> {
    Ok(Memory::bytes(&Descent::new(x, sizes)?))
}

/// Fills `dists` and `idx`, (N, P1, K). Only distances below `within` count, if there is such a limit; slots without a
/// neighbour then hold -1.
pub(crate) fn forward(
    gpu: Gpu,
    x: &Inputs<'_>,
    sizes: Sizes,
    within: Option<f64>,
    [dists, idx, scratch]: [DevicePtr; 3],
) -> Result<()> {
    let descent = Descent::new(x, sizes)?;
    let mut memory = Memory::new(scratch, &descent);
    search(gpu, x, sizes, within, [dists, idx], descent.as_ref(), &mut memory)
}

/// [`forward`] down trees or, without, by brute force.
pub(crate) fn search(
    gpu: Gpu,
    x: &Inputs<'_>,
    sizes: Sizes,
    within: Option<f64>,
    [dists, idx]: [DevicePtr; 2],
    descent: Option<&Descent<'_>>,
    memory: &mut Memory,
) -> Result<()> {
    if sizes.k == 0 {
        return Ok(());
    }
    let (dtype, bytes) = (x.p1.dtype().suffix(), x.p1.dtype().bytes());
    let mut params = KnnParams::new(x, sizes);
    params.dists = dists;
    params.idx = idx;
    params.limit = within.unwrap_or(f64::INFINITY);
    params.limited = i32::from(within.is_some());
    if let Some(descent) = descent {
        (params.tree, params.order) = descent.prepare(gpu, memory)?;
        let kernel = format!("knn_forward_tree_{}_{dtype}", list(&TREE_LISTS, sizes.k));
        return gpu.launch(&MODULE, &kernel, Grid::per_element(&kernel, sizes.n * sizes.p1, THREADS)?, &params);
    }
    let kernel = format!("knn_forward_{}_{dtype}", list(&LISTS, sizes.k));
    let (grid, tile) = tiled(&kernel, &[sizes], bytes)?;
    params.tile = tile;
    gpu.launch(&MODULE, &kernel, grid, &params)
}

/// The name of the smallest list for K neighbours.
pub(crate) fn list(sizes: &[usize], k: usize) -> String {
    sizes.iter().find(|&&list| k <= list).map_or_else(|| "long_list".to_owned(), |list| format!("list{list}"))
}

pub(super) fn scratch_bytes(sizes: Sizes) -> usize {
    Unsorted::bytes(sizes.n * sizes.p2, sizes.n * sizes.p1 * sizes.k, sizes.d * size_of::<f64>())
}

/// The gradient of `p1` is a sum over a row; that of `p2` over the pairs of each point, in order.
pub(super) fn backward(gpu: Gpu, x: &GradInputs<'_>, sizes: Sizes, out: &mut Gradients<'_>) -> Result<()> {
    let dtype = x.inputs.p1.dtype().suffix();
    let mut params = KnnParams::new(&x.inputs, sizes);
    params.idx = x.idx.device_ptr();
    params.grad_dists = x.grad_dists.device_ptr();
    let (queries, points) = (sizes.n * sizes.p1, sizes.n * sizes.p2);
    let slots = queries * sizes.k;
    if let Some(grad) = &out.p1 {
        params.grad_p1 = grad.device_ptr();
        let kernel = format!("knn_backward_p1_{dtype}");
        gpu.launch(&MODULE, &kernel, Grid::per_element(&kernel, queries, THREADS)?, &params)?;
    }
    if let Some(grad) = &out.p2 {
        params.grad_p2 = grad.device_ptr();
        let row = sizes.d * size_of::<f64>();
        let unsorted = Unsorted::new(out.scratch.device_ptr(), points, slots, sizes.d, row);
        params.inverse = unsorted.inverse();
        let kernel = "knn_backward_targets";
        gpu.launch(&MODULE, kernel, Grid::per_element(kernel, slots, THREADS)?, &params)?;
        params.inverse = unsorted.sorted(gpu)?;
        let kernel = format!("knn_backward_chunks_{dtype}");
        params.inverse.segments.launch_chunks(gpu, &MODULE, &kernel, &params)?;
        let kernel = format!("knn_backward_p2_{dtype}");
        gpu.launch(&MODULE, &kernel, Grid::per_element(&kernel, points * sizes.d, THREADS)?, &params)?;
    }
    Ok(())
}
