// SPDX-License-Identifier: Apache-2.0
//! Tree and brute force give the same bits, whatever the points are.

use super::{Block, Layout, Norm, Number, Rows};

/// Numbers in [0, 1) that are the same every time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / (1_u64 << 24) as f64
    }
}

fn neighbours<T: Number>(
    tree: bool,
    queries: &[T],
    points: &[T],
    d: usize,
    k: usize,
    norm: Norm,
) -> (Vec<u64>, Vec<i64>) {
    let rows = queries.len() / d;
    let (mut dists, mut idx) = (vec![T::ZERO; rows * k], vec![0; rows * k]);
    let rows = Rows { dists: &mut dists, idx: &mut idx };
    Layout::new(points, d, tree, 1).search(Block { queries, points, d, k, norm, within: None, rows });
    (dists.into_iter().map(|distance| distance.to_f64().to_bits()).collect(), idx)
}

fn compare<T: Number>(what: &str, queries: &[f64], points: &[f64], d: usize) {
    let cast = |values: &[f64]| -> Vec<T> { values.iter().map(|&value| T::of(value)).collect() };
    let (queries, points) = (cast(queries), cast(points));
    for norm in [Norm::SquaredL2, Norm::L1] {
        for k in [1, 2, 8, 16, 17, 33, 70] {
            let brute_force = neighbours(false, &queries, &points, d, k, norm);
            let tree = neighbours(true, &queries, &points, d, k, norm);
            assert!(brute_force == tree, "{what}, D = {d}, K = {k}, {norm:?}");
        }
    }
}

fn compare_both(what: &str, queries: &[f64], points: &[f64], d: usize) {
    compare::<f32>(what, queries, points, d);
    compare::<f64>(what, queries, points, d);
}

#[test]
fn tree_and_brute_force_agree_on_uniform_points() {
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
fn tree_and_brute_force_agree_on_ties() {
    // A lattice: from its points and from between them, many distances are equal to the bit.
    let lattice: Vec<f64> = (0..9 * 9 * 9).flat_map(|i| [i % 9, i / 9 % 9, i / 81].map(f64::from)).collect();
    let between: Vec<f64> = lattice[..90].iter().map(|x| x + 0.5).collect();
    compare_both("lattice", &lattice[300..420], &lattice, 3);
    compare_both("between", &between, &lattice, 3);
    compare_both("one place", &[0.25; 9], &[0.75; 3 * 300], 3);
}

#[test]
fn tree_and_brute_force_agree_far_from_the_origin_and_on_lines() {
    let mut numbers = Numbers(2);
    let line: Vec<f64> = (0..400).flat_map(|_| [1e6, numbers.next() * 1e-2 + 1e6, -3.0]).collect();
    compare_both("line", &line[..90], &line, 3);
    let clusters: Vec<f64> = (0..3 * 500).map(|i| numbers.next() * 1e-3 + f64::from(i / 300 % 3) * 1e4).collect();
    compare_both("clusters", &clusters[..90], &clusters, 3);
    let wide: Vec<f64> = (0..3 * 500).map(|_| 10_f64.powf(numbers.next() * 60.0 - 30.0)).collect();
    compare_both("wide", &wide[..90], &wide, 3);
}

#[test]
fn tree_and_brute_force_agree_where_distances_are_not_finite() {
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
