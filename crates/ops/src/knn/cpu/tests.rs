// SPDX-License-Identifier: Apache-2.0
//! Tree and brute force give the same bits, whatever the points are.

use patina3d_core::pool;
use patina3d_core::tree::Tree;

use super::{Block, Layout, Metric, Norm, Number, Plan, Rows, Way, search_with};

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

/// Distances as bits, and indices, of a batch whose queries are searched in the order of memory or in another.
fn searched<T: Number>(ordered: bool, way: Way<'_, T>, metric: Metric, threads: usize) -> (Vec<u64>, Vec<i64>) {
    let Metric { d, k, .. } = metric;
    // What is not written shows.
    let slots = way.queries.len() / d * k;
    let (mut dists, mut idx) = (vec![T::of(-7.0); slots], vec![-7; slots]);
    let rows = vec![Rows { dists: &mut dists, idx: &mut idx }];
    pool::run(threads, usize::MAX, |threads| {
        let plan = |queries: &[T], points: &[T], _: Option<Tree<'_, T>>| {
            let layout = Layout::new(points, d, true, threads);
            if ordered { Plan::ordered(layout, queries, d, threads) } else { Plan::unordered(layout) }
        };
        search_with(threads, metric, &[way], rows, plan, Layout::search);
    });
    (dists.into_iter().map(|distance| distance.to_f64().to_bits()).collect(), idx)
}

#[test]
fn the_order_of_queries_does_not_matter() {
    fn compare<T: Number>(queries: &[f64], d: usize, lengths1: &[usize]) {
        let mut numbers = Numbers(5);
        let points: Vec<T> = (0..lengths1.len() * 100 * d).map(|_| T::of(numbers.next())).collect();
        let queries: Vec<T> = queries.iter().map(|&value| T::of(value)).collect();
        let lengths2 = vec![90; lengths1.len()];
        let way = Way { queries: &queries, lengths1, points: &points, lengths2: &lengths2, trees: &[] };
        for (k, within) in [(1, None), (8, Some(0.02)), (40, None)] {
            let metric = Metric { norm: Norm::SquaredL2, d, k, within };
            let want = searched(false, way, metric, 1);
            for threads in [1, 2, 5] {
                assert!(searched(true, way, metric, threads) == want, "D = {d}, K = {k}, {threads} threads");
            }
        }
    }

    let mut numbers = Numbers(4);
    for (d, count, lengths) in [(3, 65, [65, 0]), (3, 127, [100, 127]), (5, 300, [300, 1]), (1, 1000, [999, 130])] {
        let mut queries: Vec<f64> = (0..2 * count * d).map(|_| numbers.next()).collect();
        compare::<f32>(&queries, d, &lengths);
        for (i, value) in queries.iter_mut().enumerate() {
            if i % 7 == 0 || i > count * d {
                *value = [f64::NAN, f64::INFINITY][i % 2];
            }
        }
        compare::<f64>(&queries, d, &lengths);
    }
}
