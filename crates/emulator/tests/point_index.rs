// SPDX-License-Identifier: Apache-2.0
//! What `cuda.rs` and `point_index.h`, `tree.rs` and `tree.cuh` both assume; and the order of points in a tree of a device.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use patina3d_core::geometry::Scalar;
use patina3d_core::launch::Params;
use patina3d_core::morton::code;
use patina3d_core::tree::DeviceTree;
use patina3d_core::{Device, Element};
use patina3d_ops::point_index::{self as operator, Inputs, Outputs, PointIndexParams};
use support::{ORDERS, Random, Sparse, emulated, tensor, tensor_mut};

#[test]
fn the_structs_have_one_layout() {
    for (name, layout) in
        [(DeviceTree::NAME, DeviceTree::layout()), (PointIndexParams::NAME, PointIndexParams::layout())]
    {
        let rust: Vec<_> = layout.into_iter().map(|(field, at)| (field.to_owned(), at)).collect();
        assert_eq!(patina3d_emulator::layout(name).unwrap(), rust, "{name}");
    }
}

const N: usize = 3;
const P: usize = 300;

/// The numbers of the points of each cloud in the order of its leaves; points that do not count come after them.
fn order_in_leaves<T: Element + Default + Copy + bytemuck::Pod>(
    device: Device,
    d: usize,
    points: &[T],
    lengths: &[i64],
) -> Vec<Vec<usize>> {
    let x = Inputs { points: tensor(points, &[N, P, d], device), lengths: Some(tensor(lengths, &[N], device)) };
    let layout = operator::check(&x).unwrap().1;
    let ([leaves, _, width], [nodes, ends, _, _], [ids, _]) = (layout.points(), layout.boxes(), layout.ids());
    let shapes = ([N, leaves, d, width], [N, nodes, ends, d, width], [N, ids, width]);
    let mut of_leaves = Sparse::<T>::new(shapes.0.iter().product());
    let mut of_boxes = Sparse::<T>::new(shapes.1.iter().product());
    let mut of_ids = Sparse::<i32>::new(shapes.2.iter().product());
    let mut scratch = Sparse::<u8>::new(operator::scratch_bytes(&x).unwrap());
    let bytes = [scratch.all().len()];
    let mut out = Outputs {
        leaves: tensor_mut(of_leaves.all_mut(), &shapes.0, device),
        boxes: tensor_mut(of_boxes.all_mut(), &shapes.1, device),
        ids: tensor_mut(of_ids.all_mut(), &shapes.2, device),
        scratch: tensor_mut(scratch.all_mut(), &bytes, device),
    };
    operator::forward(&x, &mut out).unwrap();
    let of_cloud = |ids: &[i32]| ids[nodes * width..].iter().map_while(|&id| usize::try_from(id).ok()).collect();
    of_ids.all().chunks_exact(ids * width).map(of_cloud).collect()
}

/// The points that count and are finite, in the order of their Morton codes of 30 bits along the first axes.
fn order_of_codes<T: Scalar, const AXES: usize>(d: usize, points: &[T], length: i64) -> Vec<usize> {
    let count = length.clamp(0, P as i64) as usize;
    let cloud: Vec<&[T]> = points.chunks_exact(d).take(count).collect();
    let mut order: Vec<usize> = (0..count).filter(|&i| cloud[i].iter().all(|x| x.is_finite())).collect();
    let end = |low: bool| -> [T; AXES] {
        std::array::from_fn(|axis| {
            let numbers = order.iter().map(|&i| cloud[i][axis]);
            numbers.reduce(|a, b| if (b < a) == low { b } else { a }).unwrap_or(T::ZERO)
        })
    };
    let (low, high) = (end(true), end(false));
    order.sort_by_key(|&i| code(std::array::from_fn(|axis| cloud[i][axis]), low, high, 30 / AXES as u32));
    order
}

fn agrees<T: Scalar + Element + Default + bytemuck::Pod>() {
    let lengths = [P as i64, 123, 0];
    for d in [1, 2, 3, 4] {
        let mut random = Random(51);
        let mut points: Vec<T> = random.numbers(N * P * d, -1.0, 1.0);
        // A flat and longish box: cells along its axes are as long, not as many.
        for point in points.chunks_exact_mut(d) {
            point[0] = T::of(40.0) * point[0];
            point[d - 1] = point[d - 1] + T::of(1e3);
        }
        for at in [5, 77, N * P * d / 2] {
            points[at] = T::of(random.pick(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY]));
        }
        let expected: Vec<Vec<usize>> = points
            .chunks_exact(P * d)
            .zip(lengths)
            .map(|(cloud, length)| match d {
                1 => order_of_codes::<T, 1>(d, cloud, length),
                2 => order_of_codes::<T, 2>(d, cloud, length),
                _ => order_of_codes::<T, 3>(d, cloud, length),
            })
            .collect();
        for order in ORDERS {
            assert_eq!(order_in_leaves(emulated(order), d, &points, &lengths), expected, "{d} axes, {order:?}");
        }
    }
}

#[test]
fn points_lie_in_the_order_of_their_codes() {
    agrees::<f32>();
    agrees::<f64>();
}
