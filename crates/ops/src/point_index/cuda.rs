// SPDX-License-Identifier: Apache-2.0
//! Grid, block, arguments. A search that builds its own tree, or wants its queries in order, starts here too.

use patina3d_core::sort::{self, Pairs, Values, bits_below};
use patina3d_core::tree::{DeviceTree, Layout};
use patina3d_core::{DType, DevicePtr, Gpu, Grid, Result, Tensor};

use super::{Inputs, MODULE, Outputs};

const THREADS: u32 = 256;
/// Points that a thread looks at for the bounds of its cloud.
const POINTS_OF_THREAD: usize = 8;
const WARP: usize = 32;
/// Bits of a place along the curve, that of points off it included.
const PLACE_BITS: u32 = 31;
/// Least and greatest coordinate along at most three axes, 64 bits each.
const BOUNDS_BYTES: usize = 8 * 2 * 3;
const ALIGNMENT: usize = 16;

patina3d_core::shared_struct! {
    /// `point_index.h` says what each field is.
    pub struct PointIndexParams {
        pub points: DevicePtr,
        pub lengths: DevicePtr,
        pub bounds: DevicePtr,
        pub keys: DevicePtr,
        pub order: DevicePtr,
        pub tree: DeviceTree,
        pub n: i64,
        pub num_points: i64,
        pub d: i64,
        pub level: i32,
        pub narrow: i32,
    }
}

/// A padded batch of clouds on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Batch {
    points: DevicePtr,
    lengths: DevicePtr,
    n: usize,
    p: usize,
    d: usize,
    dtype: DType,
}

impl Batch {
    /// Of points (N, P, D) and lengths (N,), which have been checked.
    pub(crate) fn new(points: &Tensor<'_>, lengths: Option<Tensor<'_>>) -> Self {
        let size = |axis: usize| points.shape().get(axis).copied().unwrap_or(0);
        Self {
            points: points.device_ptr(),
            lengths: DevicePtr::of(lengths),
            n: size(0),
            p: size(1),
            d: size(2),
            dtype: points.dtype(),
        }
    }

    /// The bits that rows are sorted by.
    fn bits(&self) -> u32 {
        PLACE_BITS + bits_below(self.n)
    }

    /// Bytes of each of the two columns of rows that [`Self::order`] writes by turns.
    fn column_bytes(&self) -> usize {
        (self.n * self.p * size_of::<u32>()).next_multiple_of(ALIGNMENT)
    }

    /// Where the arrays of [`Self::order`] end in its workspace: bounds, two columns of keys, what the sort needs.
    fn workspace(&self) -> [usize; 4] {
        let rows = self.n * self.p;
        let key = if self.bits() <= u32::BITS { size_of::<u32>() } else { size_of::<u64>() };
        let mut end = 0;
        [self.n * BOUNDS_BYTES, rows * key, rows * key, sort::bytes(rows, self.bits())].map(|size| {
            end += size.next_multiple_of(ALIGNMENT);
            end
        })
    }

    /// Bytes of scratch memory for [`Self::order`].
    pub(crate) fn scratch_bytes(&self) -> usize {
        Orders::bytes([*self])
    }

    /// Bytes of scratch memory for trees.
    pub(crate) fn tree_bytes(&self) -> usize {
        self.tree_places()[2]
    }

    /// Where boxes and ids begin after the leaves, and the end.
    fn tree_places(&self) -> [usize; 3] {
        let layout = Layout::new(self.p, self.d);
        let bytes = self.n * self.dtype.bytes();
        let leaves = bytes * layout.points().iter().product::<usize>();
        let boxes = bytes * layout.boxes().iter().product::<usize>();
        let ids = self.n * size_of::<u32>() * layout.ids().iter().product::<usize>();
        [leaves, leaves + boxes, (leaves + boxes + ids).next_multiple_of(ALIGNMENT)]
    }

    /// Trees in scratch memory, to be built.
    pub(crate) fn trees_in(&self, memory: DevicePtr) -> DeviceTree {
        let [boxes, ids, _] = self.tree_places();
        DeviceTree::new(&Layout::new(self.p, self.d), memory, memory.after(boxes), memory.after(ids))
    }

    /// The numbers of all rows of the batch, cloud by cloud, near ones near each other: u32, in one of two columns. Those that
    /// do not count, or are not finite, are the last of their cloud. The workspace is free afterwards.
    fn order(&self, gpu: Gpu, columns: DevicePtr, workspace: DevicePtr) -> Result<DevicePtr> {
        let [keys, other_keys, sorting, _] = self.workspace().map(|place| workspace.after(place));
        let (order, other_order) = (columns, columns.after(self.column_bytes()));
        let narrow = self.bits() <= u32::BITS;
        let params = PointIndexParams { bounds: workspace, keys, narrow: i32::from(narrow), ..self.params() };
        let rows = self.n * self.p;
        let warps = self.n * self.p.div_ceil(WARP * POINTS_OF_THREAD);
        launch(gpu, "clear", self.n * BOUNDS_BYTES / size_of::<u64>(), &params)?;
        launch(gpu, &format!("bounds_{}", self.dtype.suffix()), warps * WARP, &params)?;
        launch(gpu, &format!("keys_{}", self.dtype.suffix()), rows, &params)?;
        let (pairs, other) = (Pairs { keys, values: order }, Pairs { keys: other_keys, values: other_order });
        let sort = if narrow { sort::launch::<u32, u32> } else { sort::launch::<u64, u32> };
        Ok(sort(gpu, pairs, Values::Numbers, other, rows, self.bits(), sorting)?.values)
    }

    /// Fills trees with the points in this [`Self::order`].
    pub(crate) fn build(&self, gpu: Gpu, tree: DeviceTree, order: DevicePtr) -> Result<()> {
        let mut params = PointIndexParams { order, tree, ..self.params() };
        let (layout, width) = (Layout::new(self.p, self.d), patina3d_core::tree::WIDTH);
        launch(gpu, &format!("leaves_{}", self.dtype.suffix()), self.n * layout.leaves() * width, &params)?;
        for level in (0..layout.levels()).rev() {
            params.level = level as i32;
            let boxes = self.n * layout.nodes_of(level) * width;
            launch(gpu, &format!("nodes_{}", self.dtype.suffix()), boxes, &params)?;
        }
        Ok(())
    }

    fn params(&self) -> PointIndexParams {
        let absent = DevicePtr::default();
        PointIndexParams {
            points: self.points,
            lengths: self.lengths,
            bounds: absent,
            keys: absent,
            order: absent,
            tree: DeviceTree::default(),
            n: self.n as i64,
            num_points: self.p as i64,
            d: self.d as i64,
            level: 0,
            narrow: 0,
        }
    }
}

/// The orders of the batches of some searches: each batch is sorted once, be it for its tree or as queries.
pub(crate) struct Orders {
    known: Vec<(Batch, DevicePtr)>,
    workspace: DevicePtr,
    free: DevicePtr,
}

impl Orders {
    /// Of these batches, in scratch memory of [`Self::bytes`].
    pub(crate) fn new(scratch: DevicePtr, batches: impl IntoIterator<Item = Batch>) -> Self {
        let (_, workspace) = Self::sizes(batches);
        Self { known: Vec::new(), workspace: scratch, free: scratch.after(workspace) }
    }

    /// Bytes of scratch memory for the orders of these batches.
    pub(crate) fn bytes(batches: impl IntoIterator<Item = Batch>) -> usize {
        let (columns, workspace) = Self::sizes(batches);
        workspace + columns
    }

    /// Bytes of all columns, and of the workspace that the sorts take turns in.
    fn sizes(batches: impl IntoIterator<Item = Batch>) -> (usize, usize) {
        let mut known = Vec::new();
        for batch in batches {
            if !known.contains(&batch) {
                known.push(batch);
            }
        }
        let workspace = known.iter().map(|batch| batch.workspace()[3]).max().unwrap_or(0);
        (known.iter().map(|batch| 2 * batch.column_bytes()).sum(), workspace)
    }

    /// [`Batch::order`].
    pub(crate) fn of(&mut self, gpu: Gpu, batch: Batch) -> Result<DevicePtr> {
        if let Some(&(_, order)) = self.known.iter().find(|(known, _)| *known == batch) {
            return Ok(order);
        }
        let order = batch.order(gpu, self.free, self.workspace)?;
        self.free = self.free.after(2 * batch.column_bytes());
        self.known.push((batch, order));
        Ok(order)
    }
}

fn launch(gpu: Gpu, pass: &str, threads: usize, params: &PointIndexParams) -> Result<()> {
    let kernel = format!("point_index_{pass}");
    gpu.launch(&MODULE, &kernel, Grid::per_element(&kernel, threads, THREADS)?, params)
}

pub(super) fn forward(gpu: Gpu, x: &Inputs<'_>, out: &mut Outputs<'_>, layout: &Layout) -> Result<()> {
    let tree = DeviceTree::new(layout, out.leaves.device_ptr(), out.boxes.device_ptr(), out.ids.device_ptr());
    if tree.leaves == 0 {
        return Ok(());
    }
    let batch = Batch::new(&x.points, x.lengths);
    let order = Orders::new(out.scratch.device_ptr(), [batch]).of(gpu, batch)?;
    batch.build(gpu, tree, order)
}
