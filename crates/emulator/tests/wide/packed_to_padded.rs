// SPDX-License-Identifier: Apache-2.0
//! More than 2^32 items, packed and padded.

use patina3d_core::Device;
use patina3d_ops::packed_to_padded::{self as operator, Inputs};

use crate::support::{Random, Sparse, tensor, tensor_mut};
use crate::{WIDE, alone, batch, end};

/// Items of the last element, and of the padding.
const ITEMS: usize = 900;
const M: usize = 1024;
const D: usize = 3;

/// Elements, of which all but the last begin at 0, and items of the packed form.
fn first_idxs(n: usize, f: usize) -> Sparse<i64> {
    let mut first_idxs = Sparse::new(n);
    first_idxs.end(1)[0] = (f - ITEMS) as i64;
    first_idxs
}

fn pad(device: Device, n: usize, packed: &[f32], padded: &mut [f32]) {
    let f = packed.len() / D;
    let begins = first_idxs(n, f);
    let x = Inputs { inputs: tensor(packed, &[f, D], device), first_idxs: tensor(begins.all(), &[n], device), size: M };
    operator::pad(&x, &mut tensor_mut(padded, &[n, M, D], device)).unwrap();
}

fn pack(device: Device, n: usize, padded: &[f32], packed: &mut [f32]) {
    let f = packed.len() / D;
    let begins = first_idxs(n, f);
    let inputs = tensor(padded, &[n, M, D], device);
    let x = Inputs { inputs, first_idxs: tensor(begins.all(), &[n], device), size: f };
    operator::pack(&x, &mut tensor_mut(packed, &[f, D], device)).unwrap();
}

#[test]
fn packed_to_padded_and_back() {
    let packed: Vec<f32> = Random(3).numbers(ITEMS * D, -1.0, 1.0);
    let (mut padded, mut back) = (vec![0.0; M * D], vec![0.0; ITEMS * D]);
    pad(alone(), 1, &packed, &mut padded);
    pack(alone(), 1, &padded, &mut back);
    assert_eq!(padded[..packed.len()], packed);
    assert_eq!(back, packed);

    let (n, pieces) = (WIDE / M + 1, WIDE / ITEMS + 1);
    let wide_packed = batch(pieces, &packed);
    let mut wide_padded = Sparse::new(n * M * D);
    pad(end(), n, wide_packed.all(), wide_padded.all_mut());
    assert_eq!(wide_padded.end(padded.len()), padded);
    let mut wide_back = Sparse::new(pieces * ITEMS * D);
    pack(end(), n, wide_padded.all(), wide_back.all_mut());
    assert_eq!(wide_back.end(packed.len()), packed);
}
