// SPDX-License-Identifier: Apache-2.0
//! Tree and scan give the same bits, whatever the points are.

use patina3d_core::tree::PointTree;

use super::{Block, Layout, Norm, Number, Rows, find};
use crate::knn::cpu::brute_force::Tiles;

/// Numbers in [0, 1) that are the same every time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / (1_u64 << 24) as f64
    }
}

fn first<T: Number>(
    layout: &Layout<T>,
    queries: &[T],
    points: &[T],
    d: usize,
    k: usize,
    limit: T,
) -> (Vec<u64>, Vec<i64>) {
    let slots = queries.len() / d * k;
    let (mut dists, mut idx) = (vec![T::of(7.0); slots], vec![7; slots]);
    let rows = Rows { dists: &mut dists, idx: &mut idx };
    find(layout, Block { queries, points, d, k, norm: Norm::SquaredL2, within: Some(limit), rows });
    (dists.into_iter().map(|distance| distance.to_f64().to_bits()).collect(), idx)
}

fn compare<T: Number>(what: &str, queries: &[f64], points: &[f64], d: usize) {
    let cast = |values: &[f64]| -> Vec<T> { values.iter().map(|&value| T::of(value)).collect() };
    let (queries, points) = (cast(queries), cast(points));
    let scan = Layout::Tiles(Tiles::new(&points, d));
    let tree = Layout::Tree(PointTree::new(&points, d, 1));
    for limit in [0.0, 1e-3, 0.25, 1.0, 2.0, 1e10, f64::INFINITY].map(T::of) {
        for k in [1, 2, 8, 33, 500] {
            let scanned = first(&scan, &queries, &points, d, k, limit);
            assert!(scanned == first(&tree, &queries, &points, d, k, limit), "{what}, D = {d}, K = {k}");
        }
    }
}

fn compare_both(what: &str, queries: &[f64], points: &[f64], d: usize) {
    compare::<f32>(what, queries, points, d);
    compare::<f64>(what, queries, points, d);
}

#[test]
fn tree_and_scan_agree_on_uniform_points() {
    let mut numbers = Numbers(1);
    for d in [1, 2, 3, 4, 6, 9] {
        for count in [1, 15, 16, 17, 255, 257, 700] {
            let points: Vec<f64> = (0..count * d).map(|_| numbers.next()).collect();
            let queries: Vec<f64> = (0..40 * d).map(|_| numbers.next() * 1.5 - 0.25).collect();
            compare_both("uniform", &queries, &points, d);
        }
    }
}

#[test]
fn tree_and_scan_agree_on_queries_far_apart() {
    // More candidates than queries are taken together for.
    let mut numbers = Numbers(2);
    let points: Vec<f64> = (0..3 * 2500).map(|_| numbers.next()).collect();
    compare_both("far apart", &points[..3 * 40], &points, 3);
}

#[test]
fn tree_and_scan_agree_on_a_few_points_of_many() {
    // Few candidates of a large cloud are sorted, many are marked; the first points fill the rows of large balls.
    let mut numbers = Numbers(6);
    let points: Vec<f64> = (0..3 * 50_000).map(|_| numbers.next()).collect();
    let queries: Vec<f64> = points[..3 * 40].iter().map(|x| 0.4 + 0.01 * x).collect();
    compare_both("few of many", &queries, &points, 3);
}

#[test]
fn tree_and_scan_agree_on_the_edge_of_the_ball() {
    // A lattice: from its points and from between them, many distances are the limit to the bit.
    let lattice: Vec<f64> = (0..9 * 9 * 9).flat_map(|i| [i % 9, i / 9 % 9, i / 81].map(f64::from)).collect();
    let between: Vec<f64> = lattice[..90].iter().map(|x| x + 0.5).collect();
    compare_both("lattice", &lattice[300..420], &lattice, 3);
    compare_both("between", &between, &lattice, 3);
    compare_both("one place", &[0.25; 9], &[0.75; 3 * 600], 3);
}

#[test]
fn tree_and_scan_agree_where_distances_are_not_finite() {
    let mut numbers = Numbers(3);
    let mut points: Vec<f64> = (0..3 * 300).map(|_| numbers.next()).collect();
    for (i, value) in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 3e38, -3e38, 1.7e308].into_iter().enumerate() {
        points[50 * i + i % 3] = value;
    }
    let queries: Vec<f64> = points[..3 * 260].iter().copied().skip(3).collect();
    compare_both("not finite", &queries, &points, 3);
    compare_both("nothing finite", &queries, &[f64::NAN; 30], 3);
    compare_both("no points", &queries[..9], &[], 3);
}
