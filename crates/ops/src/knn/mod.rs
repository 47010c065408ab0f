// SPDX-License-Identifier: Apache-2.0
//! K nearest neighbours: for each point of one cloud, the K points of the other that come first in the order
//! (distance, index).
//!
//! Definition: `packages/ops/src/patina3d/ops/_reference/knn.py`. Page: `docs/ops/knn.md`.
//!
//! A distance is accumulated axis by axis with one rounding each (`d = fma(x, x, d)` for the squared norm, `d = |x| + d`
//! for the other), on every device; with the total order this makes the result unique to the bit.

pub(crate) mod cpu;
pub(crate) mod cuda;

use patina3d_core::check::{argument, scratch};
use patina3d_core::tree::Tree;
use patina3d_core::{DType, Device, Error, Module, Result, Tensor, TensorMut};

use crate::point_index::{Checked, Trees};

/// The name in errors.
pub const OPERATOR: &str = "knn_points";

/// What distance means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// Sum of absolute differences.
    L1,
    /// Sum of squared differences.
    SquaredL2,
}

impl Norm {
    /// 1 or 2.
    pub fn new(norm: i64) -> Result<Self> {
        match norm {
            1 => Ok(Self::L1),
            2 => Ok(Self::SquaredL2),
            other => Err(Error::value(OPERATOR, "norm", "1 or 2", other.to_string())),
        }
    }
}

/// A number of neighbours from a signed number.
pub fn count(operator: &'static str, k: i64) -> Result<usize> {
    usize::try_from(k).map_err(|_| Error::value(operator, "K", "at least 0", k.to_string()))
}

/// Two padded batches of clouds.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// Queries, (N, P1, D), float32 or float64.
    pub p1: Tensor<'a>,
    /// Points to find, (N, P2, D), of the same dtype.
    pub p2: Tensor<'a>,
    /// How many queries of each cloud count, (N,) int64; absent means all. Values are clamped to [0, P1].
    pub lengths1: Option<Tensor<'a>>,
    /// How many points of each cloud count, (N,) int64; absent means all. Values are clamped to [0, P2].
    pub lengths2: Option<Tensor<'a>>,
    /// Trees over `p2` with `lengths2`, if they have been built already. They are searched where that is quicker.
    pub trees: Option<Trees<'a>>,
    /// What distance means.
    pub norm: Norm,
    /// Neighbours to keep, any number.
    pub k: usize,
}

impl<'a> Inputs<'a> {
    /// The trees, if they fit.
    fn checked_trees(&self) -> Result<Option<Checked<'a>>> {
        self.trees.map(|trees| trees.check(OPERATOR, "p2", &self.p2)).transpose()
    }

    /// The tree of each cloud in host memory, if there are any and they may be quicker than brute force.
    pub(crate) fn kept_trees<T: cpu::Number>(&self, clouds: usize) -> Result<Vec<Tree<'a, T>>> {
        let (points, d) = (self.p2.shape()[1], self.p2.shape()[2]);
        let trees = self.checked_trees()?.filter(|_| kept_tree_is_quicker(points, d, self.k));
        let Some(trees) = trees else { return Ok(Vec::new()) };
        (0..clouds).map(|cloud| trees.cloud(cloud)).collect()
    }
}

/// The neighbours. Slots at and beyond `min(K, lengths2)` and rows at and beyond `lengths1` are 0.
#[derive(Debug)]
pub struct Outputs<'a> {
    /// Distances, (N, P1, K), ascending, of the dtype of the inputs.
    pub dists: TensorMut<'a>,
    /// Indices into the cloud of `p2`, (N, P1, K) int64.
    pub idx: TensorMut<'a>,
    /// Bytes for the device, at least [`forward_scratch_bytes`] of them.
    pub scratch: TensorMut<'a>,
}

impl Outputs<'_> {
    /// Checks that the outputs fit the sizes and the inputs, of which `like` is one.
    pub(crate) fn check(&self, operator: &'static str, sizes: Sizes, like: &Tensor<'_>) -> Result<()> {
        let slots = sizes.neighbours().map(Some);
        argument(operator, "dists", &self.dists.view())
            .dtype(like.dtype())?
            .shape("(N, P1, K)", &slots)?
            .beside("p1", like)?;
        argument(operator, "idx", &self.idx.view())
            .dtype(DType::I64)?
            .shape("(N, P1, K)", &slots)?
            .beside("p1", like)?;
        Ok(())
    }
}

/// What the backward pass reads.
#[derive(Debug, Clone, Copy)]
pub struct GradInputs<'a> {
    /// The forward's inputs.
    pub inputs: Inputs<'a>,
    /// The forward's `idx`; a number outside [0, P2) marks a slot without a neighbour.
    pub idx: Tensor<'a>,
    /// Gradient of `dists`, (N, P1, K).
    pub grad_dists: Tensor<'a>,
}

/// What the backward pass writes.
#[derive(Debug)]
pub struct Gradients<'a> {
    /// Gradient of `p1`, if it is asked for.
    pub p1: Option<TensorMut<'a>>,
    /// Gradient of `p2`, if it is asked for.
    pub p2: Option<TensorMut<'a>>,
    /// Bytes for the device, at least [`scratch_bytes`] of them; none are needed without a gradient of `p2`.
    pub scratch: TensorMut<'a>,
}

/// The sizes of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Clouds.
    pub n: usize,
    /// Queries of a padded cloud.
    pub p1: usize,
    /// Points of a padded cloud.
    pub p2: usize,
    /// Dimension.
    pub d: usize,
    /// Neighbours.
    pub k: usize,
}

impl Sizes {
    /// The shape of `dists` and `idx`.
    pub fn neighbours(&self) -> [usize; 3] {
        [self.n, self.p1, self.k]
    }
}

/// A padded batch of clouds among an operator's arguments.
pub(crate) struct Clouds<'x, 'a> {
    /// What the operator calls the points, and their letters.
    pub(crate) points: (&'static str, &'static str, &'x Tensor<'a>),
    /// What it calls the lengths.
    pub(crate) lengths: (&'static str, Option<&'x Tensor<'a>>),
}

/// Checks two batches that belong together; their N, P1, P2 and D.
pub(crate) fn check_clouds(
    operator: &'static str,
    [a, b]: [Clouds<'_, '_>; 2],
) -> Result<(usize, usize, usize, usize)> {
    let (name, letters, like) = a.points;
    argument(operator, name, like).real()?.shape(letters, &[None, None, None])?;
    let (n, p1, d) = (like.shape()[0], like.shape()[1], like.shape()[2]);
    if d == 0 {
        return Err(Error::value(operator, name, "of at least one coordinate a point", "0"));
    }
    let (other, letters, points) = b.points;
    argument(operator, other, points)
        .dtype(like.dtype())?
        .shape(letters, &[Some(n), None, Some(d)])?
        .beside(name, like)?;
    for (what, lengths) in [a.lengths, b.lengths] {
        if let Some(lengths) = lengths {
            argument(operator, what, lengths).dtype(DType::I64)?.shape("(N,)", &[Some(n)])?.beside(name, like)?;
        }
    }
    Ok((n, p1, points.shape()[1], d))
}

/// Checks that the points of a cloud that is searched can be numbered.
pub(crate) fn check_count(operator: &'static str, name: &'static str, points: usize) -> Result<()> {
    if points >= u32::MAX as usize {
        return Err(Error::value(operator, name, "of fewer than 2^32 - 1 points a cloud", points.to_string()));
    }
    Ok(())
}

/// Checks that K slots for each of N P1 queries can be addressed.
pub(crate) fn check_slots(operator: &'static str, n: usize, p1: usize, k: usize) -> Result<()> {
    let slots = n.max(1).checked_mul(p1.max(1)).and_then(|rows| rows.checked_mul(k));
    if slots.is_none_or(|slots| slots > isize::MAX as usize / 8) {
        return Err(Error::value(operator, "K", "so small that the result can be addressed", k.to_string()));
    }
    Ok(())
}

/// Checks the forward's inputs; the one place that does.
pub fn check(x: &Inputs<'_>) -> Result<Sizes> {
    let queries = Clouds { points: ("p1", "(N, P1, D)", &x.p1), lengths: ("lengths1", x.lengths1.as_ref()) };
    let points = Clouds { points: ("p2", "(N, P2, D)", &x.p2), lengths: ("lengths2", x.lengths2.as_ref()) };
    let (n, p1, p2, d) = check_clouds(OPERATOR, [queries, points])?;
    check_count(OPERATOR, "p2", p2)?;
    x.checked_trees()?;
    check_slots(OPERATOR, n, p1, x.k)?;
    Ok(Sizes { n, p1, p2, d, k: x.k })
}

/// Bytes of scratch that [`forward`] needs.
pub fn forward_scratch_bytes(x: &Inputs<'_>) -> Result<usize> {
    let sizes = check(x)?;
    match x.p1.device() {
        Device::Cpu { .. } => Ok(0),
        Device::Gpu(_) => cuda::forward_scratch_bytes(x, sizes),
    }
}

/// Whether a tree that somebody keeps finds the neighbours sooner than brute force does: not where many dimensions make its
/// boxes overlap, nor where much of the cloud is asked for.
pub(crate) fn kept_tree_is_quicker(points: usize, d: usize, k: usize) -> bool {
    d <= 8 && points >= k.saturating_mul(8)
}

/// Finds the neighbours.
pub fn forward(x: &Inputs<'_>, out: &mut Outputs<'_>) -> Result<()> {
    let sizes = check(x)?;
    out.check(OPERATOR, sizes, &x.p1)?;
    scratch(OPERATOR, &out.scratch, forward_scratch_bytes(x)?, "p1", &x.p1)?;
    match x.p1.device() {
        Device::Cpu { threads } => match x.p1.dtype() {
            DType::F64 => cpu::forward::<f64>(x, sizes, threads, out),
            _ => cpu::forward::<f32>(x, sizes, threads, out),
        },
        Device::Gpu(gpu) => {
            let [dists, idx, scratch] = [&out.dists, &out.idx, &out.scratch].map(TensorMut::device_ptr);
            cuda::forward(gpu, x, sizes, None, [dists, idx, scratch])
        }
    }
}

/// Bytes of scratch that [`backward`] needs for the gradient of `p2`.
pub fn scratch_bytes(x: &GradInputs<'_>) -> Result<usize> {
    let sizes = check(&x.inputs)?;
    Ok(match x.inputs.p1.device() {
        Device::Cpu { .. } => 0,
        Device::Gpu(_) => cuda::scratch_bytes(sizes),
    })
}

/// The gradients of `sum(grad_dists * dists)`, summands in ascending order of (query, slot). At equal coordinates the
/// gradient of the absolute difference is 0.
pub fn backward(x: &GradInputs<'_>, out: &mut Gradients<'_>) -> Result<()> {
    let sizes = check(&x.inputs)?;
    let (like, slots) = (&x.inputs.p1, sizes.neighbours().map(Some));
    argument(OPERATOR, "idx", &x.idx).dtype(DType::I64)?.shape("(N, P1, K)", &slots)?.beside("p1", like)?;
    argument(OPERATOR, "the gradient of dists", &x.grad_dists)
        .dtype(like.dtype())?
        .shape("(N, P1, K)", &slots)?
        .beside("p1", like)?;
    for (name, letters, grad, rows) in [
        ("the gradient of p1", "(N, P1, D)", &out.p1, sizes.p1),
        ("the gradient of p2", "(N, P2, D)", &out.p2, sizes.p2),
    ] {
        if let Some(grad) = grad {
            argument(OPERATOR, name, &grad.view())
                .dtype(like.dtype())?
                .shape(letters, &[sizes.n, rows, sizes.d].map(Some))?
                .beside("p1", like)?;
        }
    }
    if out.p2.is_some() {
        scratch(OPERATOR, &out.scratch, scratch_bytes(x)?, "p1", like)?;
    }
    match like.device() {
        Device::Cpu { threads } => match like.dtype() {
            DType::F64 => cpu::backward::<f64>(x, sizes, threads, out),
            _ => cpu::backward::<f32>(x, sizes, threads, out),
        },
        Device::Gpu(gpu) => cuda::backward(gpu, x, sizes, out),
    }
}

/// The kernels.
pub static MODULE: Module = patina3d_core::module!("knn");

pub use cuda::KnnParams;
