// SPDX-License-Identifier: Apache-2.0
//! Between the packed and the padded form of a batch: [`pad`] gives each element of a packed tensor a row of equal width,
//! [`pack`] takes the rows back. Each is the other's gradient.
//!
//! Definition: `packages/structures/src/patina3d/structures/_reference/packed_to_padded.py`. Page:
//! `docs/ops/packed_to_padded.md`.
//!
//! Element n is the items `first_idxs[n] .. first_idxs[n + 1]` of the packed form, the last one up to its end; of an
//! element longer than the padding only the first `max_size` items are there. What has no counterpart is 0. Items are
//! moved as bytes: any type, any bits.

mod cpu;
mod cuda;

use patina3d_core::check::argument;
use patina3d_core::tensor::MAX_RANK;
use patina3d_core::{DType, Device, Error, Module, Result, Tensor, TensorMut};

/// The public name of [`pad`].
pub const PAD: &str = "packed_to_padded";
/// The public name of [`pack`].
pub const PACK: &str = "padded_to_packed";

/// A number of items from a signed number; `name` is that of the argument.
pub fn count(operator: &'static str, name: &'static str, number: i64) -> Result<usize> {
    usize::try_from(number).map_err(|_| Error::value(operator, name, "at least 0", number.to_string()))
}

/// What both directions read.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// [`pad`]: (F, ...), [`pack`]: (N, M, ...); any type.
    pub inputs: Tensor<'a>,
    /// Where each element begins in the packed form, (N,) int64, ascending, in [0, F].
    pub first_idxs: Tensor<'a>,
    /// [`pad`]: M, the items of a padded element. [`pack`]: F, the items of the packed form.
    pub size: usize,
}

/// The sizes of a problem.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    /// Elements.
    n: usize,
    /// Items of the packed form.
    f: usize,
    /// Items of a padded element.
    m: usize,
    /// Bytes of an item.
    item: usize,
}

/// Checks the inputs of [`pad`]; gives the shape of its result, (N, M, ...).
pub fn check_pad(x: &Inputs<'_>) -> Result<Vec<usize>> {
    Ok(pad_sizes(x)?.1)
}

/// Checks the inputs of [`pack`]; gives the shape of its result, (F, ...).
pub fn check_pack(x: &Inputs<'_>) -> Result<Vec<usize>> {
    Ok(pack_sizes(x)?.1)
}

fn pad_sizes(x: &Inputs<'_>) -> Result<(Sizes, Vec<usize>)> {
    check_first_idxs(PAD, x)?;
    let [f, rest @ ..] = x.inputs.shape() else {
        return Err(Error::value(PAD, "inputs", "of shape (F, ...)", "()"));
    };
    if x.inputs.rank() == MAX_RANK {
        return Err(Error::value(PAD, "inputs", format!("of fewer than {MAX_RANK} axes"), MAX_RANK.to_string()));
    }
    let sizes = Sizes { n: x.first_idxs.numel(), f: *f, m: x.size, item: item_bytes(rest, x) };
    Ok((sizes, shape(PAD, "max_size", x, &[sizes.n, sizes.m], rest)?))
}

fn pack_sizes(x: &Inputs<'_>) -> Result<(Sizes, Vec<usize>)> {
    check_first_idxs(PACK, x)?;
    let n = x.first_idxs.numel();
    let [rows, m, rest @ ..] = x.inputs.shape() else {
        return Err(Error::value(PACK, "inputs", "of shape (N, M, ...)", format!("{} axes", x.inputs.rank())));
    };
    if *rows != n {
        let expected = format!("of as many elements as first_idxs, {n}");
        return Err(Error::value(PACK, "inputs", expected, rows.to_string()));
    }
    let sizes = Sizes { n, f: x.size, m: *m, item: item_bytes(rest, x) };
    Ok((sizes, shape(PACK, "num_inputs", x, &[sizes.f], rest)?))
}

fn check_first_idxs(operator: &'static str, x: &Inputs<'_>) -> Result<()> {
    argument(operator, "first_idxs", &x.first_idxs)
        .dtype(DType::I64)?
        .shape("(N,)", &[None])?
        .beside("inputs", &x.inputs)?;
    Ok(())
}

fn item_bytes(axes: &[usize], x: &Inputs<'_>) -> usize {
    axes.iter().product::<usize>() * x.inputs.dtype().bytes()
}

/// The shape of the result, if that can be addressed.
fn shape(
    operator: &'static str,
    name: &'static str,
    x: &Inputs<'_>,
    batch: &[usize],
    item: &[usize],
) -> Result<Vec<usize>> {
    let shape = [batch, item].concat();
    let bytes = shape.iter().try_fold(x.inputs.dtype().bytes(), |bytes, &size| bytes.checked_mul(size));
    match bytes {
        Some(bytes) if isize::try_from(bytes).is_ok() => Ok(shape),
        _ => Err(Error::value(operator, name, "so small that the result can be addressed", x.size.to_string())),
    }
}

fn check_output(operator: &'static str, x: &Inputs<'_>, shape: &[usize], out: &TensorMut<'_>) -> Result<()> {
    let sizes: Vec<_> = shape.iter().copied().map(Some).collect();
    argument(operator, "the result", &out.view())
        .dtype(x.inputs.dtype())?
        .shape("of the result", &sizes)?
        .beside("inputs", &x.inputs)?;
    Ok(())
}

/// Packed to padded: `out[n, i] = inputs[first_idxs[n] + i]`, 0 beyond the element.
pub fn pad(x: &Inputs<'_>, out: &mut TensorMut<'_>) -> Result<()> {
    let (sizes, shape) = pad_sizes(x)?;
    check_output(PAD, x, &shape, out)?;
    match x.inputs.device() {
        Device::Cpu { threads } => cpu::pad(x, sizes, threads, out),
        Device::Gpu(gpu) => cuda::launch(gpu, "pad", x, sizes, sizes.n * sizes.m, out),
    }
}

/// Padded to packed: `out[first_idxs[n] + i] = inputs[n, i]`, 0 for items of no element and beyond M.
pub fn pack(x: &Inputs<'_>, out: &mut TensorMut<'_>) -> Result<()> {
    let (sizes, shape) = pack_sizes(x)?;
    check_output(PACK, x, &shape, out)?;
    match x.inputs.device() {
        Device::Cpu { threads } => cpu::pack(x, sizes, threads, out),
        Device::Gpu(gpu) => cuda::launch(gpu, "pack", x, sizes, sizes.f, out),
    }
}

/// The kernels.
pub static MODULE: Module = patina3d_core::module!("packed_to_padded");

pub use cuda::PackedToPaddedParams;
