// SPDX-License-Identifier: Apache-2.0
//! A search tree over each cloud of a batch, built once and searched by [`crate::knn`] and its like as often as needed.
//!
//! Definition: `packages/ops/src/patina3d/ops/_reference/point_index.py`. Page: `docs/ops/point_index.md`.
//!
//! What a tree is, `patina3d_core::tree` says. A tree of the CPU and one of CUDA may hold the points in another order;
//! what a search finds is the same to the bit.

mod cpu;
mod cuda;

use patina3d_core::check::{argument, scratch};
use patina3d_core::geometry::Scalar;
use patina3d_core::simd::Vectorised;
use patina3d_core::tree::{DeviceTree, Layout, Tree};
use patina3d_core::{DType, Device, Error, Module, Result, Tensor, TensorMut};

use crate::knn::check_count;

const OPERATOR: &str = "PointIndex";

/// A padded batch of clouds.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// (N, P, D), float32 or float64.
    pub points: Tensor<'a>,
    /// How many points of each cloud count, (N,) int64; absent means all. Values are clamped to [0, P].
    pub lengths: Option<Tensor<'a>>,
}

/// The trees: arrays whose shapes follow from P and D (see [`Layout`]), one after the other.
#[derive(Debug)]
pub struct Outputs<'a> {
    /// The points in the order of the tree, (N, leaves, D, 16), of the dtype of the points.
    pub leaves: TensorMut<'a>,
    /// The boxes of the nodes, (N, nodes, 2, D, 16), of the same dtype.
    pub boxes: TensorMut<'a>,
    /// The numbers of the points, (N, nodes + leaves, 16) int32, to be read without a sign.
    pub ids: TensorMut<'a>,
    /// Bytes for the device, at least [`scratch_bytes`] of them.
    pub scratch: TensorMut<'a>,
}

/// Trees that [`forward`] built, as an argument of an operator that searches.
#[derive(Debug, Clone, Copy)]
pub struct Trees<'a> {
    /// (N, leaves, D, 16).
    pub leaves: Tensor<'a>,
    /// (N, nodes, 2, D, 16).
    pub boxes: Tensor<'a>,
    /// (N, nodes + leaves, 16).
    pub ids: Tensor<'a>,
}

/// Trees that fit the points they are said to be over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checked<'a> {
    trees: Trees<'a>,
    layout: Layout,
}

impl<'a> Trees<'a> {
    /// Checks that these are trees over `points` (N, P, D), which an operator calls `name`. Whether they were built from
    /// these very points nobody can see.
    pub(crate) fn check(self, operator: &'static str, name: &'static str, points: &Tensor<'a>) -> Result<Checked<'a>> {
        let [n, p, d] = *points.shape() else {
            return Err(Error::value(operator, name, "of shape (N, P, D)", format!("{:?}", points.shape())));
        };
        let layout = Layout::new(p, d);
        let batch = |rest: &[usize]| -> Vec<Option<usize>> { [n].iter().chain(rest).copied().map(Some).collect() };
        for (what, tensor, dtype, letters, shape) in [
            ("leaves", &self.leaves, points.dtype(), "(N, leaves, D, 16)", batch(&layout.points())),
            ("boxes", &self.boxes, points.dtype(), "(N, nodes, 2, D, 16)", batch(&layout.boxes())),
            ("ids", &self.ids, DType::I32, "(N, nodes + leaves, 16)", batch(&layout.ids())),
        ] {
            argument(operator, what, tensor).dtype(dtype)?.shape(letters, &shape)?.beside(name, points)?;
            if !tensor.device_ptr().0.is_multiple_of(ALIGNMENT) {
                return Err(Error::value(operator, what, format!("aligned to {ALIGNMENT} bytes"), "other memory"));
            }
        }
        Ok(Checked { trees: self, layout })
    }
}

/// What kernels load at once.
const ALIGNMENT: u64 = 16;

impl<'a> Checked<'a> {
    /// The tree over a cloud, in host memory.
    pub(crate) fn cloud<T: Scalar + Vectorised>(&self, cloud: usize) -> Result<Tree<'a, T>> {
        fn piece<T>(values: &[T], cloud: usize, size: usize) -> &[T] {
            values.get(cloud * size..(cloud + 1) * size).unwrap_or_default()
        }
        let points = piece(self.trees.leaves.as_slice()?, cloud, self.layout.points().iter().product());
        let boxes = piece(self.trees.boxes.as_slice()?, cloud, self.layout.boxes().iter().product());
        let ids = piece(self.trees.ids.as_slice()?, cloud, self.layout.ids().iter().product());
        Tree::new(self.layout, points, boxes, ids)
            .ok_or_else(|| Error::value(OPERATOR, "a tree", "one for each cloud", cloud.to_string()))
    }

    /// The trees as kernels see them.
    pub(crate) fn on_device(&self) -> DeviceTree {
        let Trees { leaves, boxes, ids } = self.trees;
        DeviceTree::new(&self.layout, leaves.device_ptr(), boxes.device_ptr(), ids.device_ptr())
    }
}

/// Checks the inputs; the one place that does. Returns N and the layout of each tree.
pub fn check(x: &Inputs<'_>) -> Result<(usize, Layout)> {
    argument(OPERATOR, "points", &x.points).real()?.shape("(N, P, D)", &[None, None, None])?;
    let (n, p, d) = (x.points.shape()[0], x.points.shape()[1], x.points.shape()[2]);
    if d == 0 {
        return Err(Error::value(OPERATOR, "points", "of at least one coordinate a point", "0"));
    }
    check_count(OPERATOR, "points", p)?;
    if let Some(lengths) = &x.lengths {
        argument(OPERATOR, "lengths", lengths)
            .dtype(DType::I64)?
            .shape("(N,)", &[Some(n)])?
            .beside("points", &x.points)?;
    }
    Ok((n, Layout::new(p, d)))
}

/// Bytes of scratch that [`forward`] needs.
pub fn scratch_bytes(x: &Inputs<'_>) -> Result<usize> {
    check(x)?;
    Ok(match x.points.device() {
        Device::Cpu { .. } => 0,
        Device::Gpu(_) => Batch::new(&x.points, x.lengths).scratch_bytes(),
    })
}

/// Builds the trees.
pub fn forward(x: &Inputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
    let (n, layout) = check(x)?;
    let trees = Trees { leaves: out.leaves.view(), boxes: out.boxes.view(), ids: out.ids.view() };
    trees.check(OPERATOR, "points", &x.points)?;
    scratch(OPERATOR, &out.scratch, scratch_bytes(x)?, "points", &x.points)?;
    if n == 0 {
        return Ok(());
    }
    match x.points.device() {
        Device::Cpu { threads } => match x.points.dtype() {
            DType::F64 => cpu::forward::<f64>(x, layout, threads, out),
            _ => cpu::forward::<f32>(x, layout, threads, out),
        },
        Device::Gpu(gpu) => cuda::forward(gpu, x, out, &layout),
    }
}

/// The kernels.
pub static MODULE: Module = patina3d_core::module!("point_index");

pub use cuda::PointIndexParams;
pub(crate) use cuda::{Batch, Orders};
