// SPDX-License-Identifier: Apache-2.0
//! Looking at every pair once, for both ways, gives the bits of the searches one way.

use patina3d_core::pool;

use super::every_pair;
use crate::knn::Norm;
use crate::knn::cpu::{Metric, Number, Rows, Way, search};

/// Numbers in [0, 1) that are the same every time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / (1_u64 << 24) as f64
    }
}

/// Distances as bits, and indices: of the queries, then of the points.
type Found = [(Vec<u64>, Vec<i64>); 2];

fn found<T: Number>(way: Way<'_, T>, metric: Metric, both: bool, threads: usize) -> Found {
    // What is not written shows.
    let rows = |points: &[T]| (vec![T::of(-7.0); points.len() / metric.d], vec![-7; points.len() / metric.d]);
    let (mut of_queries, mut of_points) = (rows(way.queries), rows(way.points));
    let rows_of_queries = Rows { dists: &mut of_queries.0[..], idx: &mut of_queries.1[..] };
    let rows_of_points = Rows { dists: &mut of_points.0[..], idx: &mut of_points.1[..] };
    pool::run(threads, usize::MAX, |threads| {
        if both {
            every_pair::search(threads, metric, way, rows_of_queries, rows_of_points);
        } else {
            let Way { queries, lengths1, points, lengths2, trees } = way;
            let back = Way { queries: points, lengths1: lengths2, points: queries, lengths2: lengths1, trees };
            search(threads, metric, &[way, back], vec![rows_of_queries, rows_of_points]);
        }
    });
    let bits = |dists: Vec<T>| dists.into_iter().map(|distance| distance.to_f64().to_bits()).collect();
    [(bits(of_queries.0), of_queries.1), (bits(of_points.0), of_points.1)]
}

fn compare<T: Number>(what: &str, queries: &[f64], points: &[f64], d: usize, lengths: [&[usize]; 2]) {
    let cast = |values: &[f64]| -> Vec<T> { values.iter().map(|&value| T::of(value)).collect() };
    let (queries, points) = (cast(queries), cast(points));
    let way = Way { queries: &queries, lengths1: lengths[0], points: &points, lengths2: lengths[1], trees: &[] };
    for norm in [Norm::SquaredL2, Norm::L1] {
        let metric = Metric { norm, d, k: 1, within: None };
        let want = found(way, metric, false, 1);
        for threads in [1, 2, 5] {
            assert!(found(way, metric, true, threads) == want, "{what}, D = {d}, {norm:?}, {threads} threads");
        }
    }
}

fn compare_both(what: &str, queries: &[f64], points: &[f64], d: usize, lengths: [&[usize]; 2]) {
    compare::<f32>(what, queries, points, d, lengths);
    compare::<f64>(what, queries, points, d, lengths);
}

#[test]
fn agrees_on_uniform_points() {
    let mut numbers = Numbers(1);
    for d in [1, 2, 3, 5, 9] {
        for (num_queries, num_points) in [(1, 1), (15, 17), (16, 64), (63, 200), (300, 65), (130, 400)] {
            let queries: Vec<f64> = (0..num_queries * d).map(|_| numbers.next()).collect();
            let points: Vec<f64> = (0..num_points * d).map(|_| numbers.next() * 1.5 - 0.25).collect();
            compare_both("uniform", &queries, &points, d, [&[num_queries], &[num_points]]);
        }
    }
}

#[test]
fn agrees_on_a_batch_of_any_lengths() {
    let mut numbers = Numbers(2);
    let queries: Vec<f64> = (0..4 * 100 * 3).map(|_| numbers.next()).collect();
    let points: Vec<f64> = (0..4 * 150 * 3).map(|_| numbers.next()).collect();
    compare_both("batch", &queries, &points, 3, [&[100, 0, 33, 17], &[150, 70, 0, 149]]);
    compare_both("nothing", &[], &points, 3, [&[0; 4], &[150; 4]]);
    compare_both("no clouds", &[], &[], 3, [&[], &[]]);
}

#[test]
fn agrees_on_ties() {
    // A lattice: from its points and from between them, many distances are equal to the bit.
    let lattice: Vec<f64> = (0..9 * 9 * 9).flat_map(|i| [i % 9, i / 9 % 9, i / 81].map(f64::from)).collect();
    let between: Vec<f64> = lattice.iter().rev().map(|x| x + 0.5).collect();
    compare_both("between", &between, &lattice, 3, [&[729], &[729]]);
    compare_both("one place", &[0.25; 3 * 300], &[0.75; 3 * 300], 3, [&[300], &[300]]);
}

#[test]
fn agrees_where_distances_are_not_finite() {
    let mut numbers = Numbers(3);
    let mut points: Vec<f64> = (0..3 * 300).map(|_| numbers.next()).collect();
    for (i, value) in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 3e38, -3e38, 1.7e308].into_iter().enumerate() {
        points[50 * i + i % 3] = value;
    }
    let queries: Vec<f64> = points[..3 * 260].iter().copied().skip(3).collect();
    compare_both("not finite", &queries, &points, 3, [&[259], &[300]]);
    compare_both("nothing finite", &queries, &[f64::NAN; 30], 3, [&[259], &[10]]);
}
