// SPDX-License-Identifier: Apache-2.0
//! What is found, and how much is looked at.

use super::*;
use crate::simd::{self, Body};

/// Collects the numbers of all points below a distance.
struct Within<'a, S: Simd, const D: usize> {
    simd: S,
    query: &'a Query<'a, S, D>,
    bound: S::Real,
    found: Vec<u32>,
    leaves: usize,
}

impl<S: Simd<Real = f32>, const D: usize> Visitor<S> for Within<'_, S, D> {
    fn bound(&self) -> f32 {
        self.bound
    }
    fn visit(&mut self, points: &[f32], ids: &[u32; WIDTH]) {
        let mut distances = [0.0; WIDTH];
        let bits = self.query.below::<WIDTH, false>(self.simd, points, self.bound, &mut distances);
        self.found.extend((0..WIDTH).filter(|lane| bits >> lane & 1 == 1).map(|lane| ids[lane]));
        self.leaves += 1;
    }
}

struct Find<'a> {
    tree: &'a PointTree<f32>,
    query: [f32; 3],
    bound: f32,
}

impl Body<f32> for Find<'_> {
    type Output = (Vec<u32>, usize);

    #[inline(always)]
    fn run<S: Simd<Real = f32>>(self, simd: S) -> (Vec<u32>, usize) {
        let query = Query::<S, 3>::new(simd, &self.query);
        let mut within = Within { simd, query: &query, bound: self.bound, found: Vec::new(), leaves: 0 };
        self.tree.search::<S, _, 3, false>(simd, &query, &mut within);
        within.found.sort_unstable();
        (within.found, within.leaves)
    }
}

/// Points of a lattice of `side` places along each axis.
fn lattice(side: usize) -> Vec<f32> {
    (0..side.pow(3)).flat_map(|i| [i % side, i / side % side, i / side / side].map(|x| x as f32)).collect()
}

#[test]
fn every_point_below_the_bound_is_shown_once() {
    for side in [1, 2, 3, 7, 17, 26] {
        let points = lattice(side);
        let tree = PointTree::new(&points, 3, 1);
        for query in [[0.0; 3], [1.5, 2.0, 0.5], [-4.0, 30.0, 3.0]] {
            for bound in [1.0, 4.5, 30.0, f32::INFINITY] {
                let (found, leaves) = simd::dispatch(Find { tree: &tree, query, bound });
                let distance =
                    |point: &[f32]| (0..3).fold(0.0, |d, i| (query[i] - point[i]).mul_add(query[i] - point[i], d));
                let expected: Vec<u32> = (0_u32..)
                    .zip(points.chunks(3))
                    .filter(|(_, point)| distance(point) < bound)
                    .map(|(i, _)| i)
                    .collect();
                assert_eq!(found, expected, "{side} {query:?} {bound}");
                assert!(leaves <= points.len() / 3 / WIDTH + 1);
            }
        }
    }
}

/// Keeps the least number of the points at the least distance.
struct First<'a, S: Simd, const D: usize> {
    simd: S,
    query: &'a Query<'a, S, D>,
    distance: f32,
    number: u32,
    leaves: usize,
}

impl<S: Simd<Real = f32>, const D: usize> Visitor<S> for First<'_, S, D> {
    fn bound(&self) -> f32 {
        self.distance.next_up()
    }
    fn excludes(&self, distance: f32, number: u32) -> bool {
        distance >= self.distance && number >= self.number
    }
    fn visit(&mut self, points: &[f32], ids: &[u32; WIDTH]) {
        let mut distances = [0.0; WIDTH];
        let bits = self.query.below::<WIDTH, false>(self.simd, points, self.bound(), &mut distances);
        for lane in (0..WIDTH).filter(|lane| bits >> lane & 1 == 1) {
            if distances[lane] < self.distance || (distances[lane] <= self.distance && ids[lane] < self.number) {
                (self.distance, self.number) = (distances[lane], ids[lane]);
            }
        }
        self.leaves += 1;
    }
}

struct FindFirst<'a>(&'a PointTree<f32>);

impl Body<f32> for FindFirst<'_> {
    type Output = (u32, usize);

    #[inline(always)]
    fn run<S: Simd<Real = f32>>(self, simd: S) -> (u32, usize) {
        let query = Query::<S, 3>::new(simd, &[0.0; 3]);
        let mut first = First { simd, query: &query, distance: f32::INFINITY, number: u32::MAX, leaves: 0 };
        self.0.search::<S, _, 3, false>(simd, &query, &mut first);
        (first.number, first.leaves)
    }
}

#[test]
fn ties_that_come_too_late_are_passed_over() {
    let one_place = vec![2.0; 3 * 10_000];
    assert_eq!(simd::dispatch(FindFirst(&PointTree::new(&one_place, 3, 1))), (0, 1));
    // Corners of a cube around the query, again and again: the first of each corner stands in another part of the tree.
    let corners: Vec<f32> =
        (0..10_000).flat_map(|i| [i >> 2 & 1, i >> 1 & 1, i & 1].map(|x| (x * 2 - 1) as f32)).rev().collect();
    let (number, leaves) = simd::dispatch(FindFirst(&PointTree::new(&corners, 3, 1)));
    assert!(number == 0 && leaves <= 40, "{number} after {leaves} leaves");
}

#[test]
fn a_smaller_cloud_fits_a_larger_layout() {
    let points = lattice(7);
    let layout = Layout::new(5000, 3);
    let (mut leaves, mut boxes) =
        (vec![7.0; layout.points().iter().product()], vec![7.0; layout.boxes().iter().product()]);
    let mut ids = vec![7; layout.ids().iter().product()];
    TreeMut { points: &mut leaves, boxes: &mut boxes, ids: &mut ids }.build(layout, &points, 1);
    assert!(Tree::new(layout, &leaves, &boxes, &ids[1..]).is_none());
    let tree = PointTree { layout, points: leaves, boxes, ids };
    let found = simd::dispatch(Find { tree: &tree, query: [3.0; 3], bound: 1.5 });
    assert_eq!(found.0, simd::dispatch(Find { tree: &PointTree::new(&points, 3, 1), query: [3.0; 3], bound: 1.5 }).0);
    assert_eq!(found.0.len(), 7);
}

#[test]
fn few_leaves_are_shown() {
    let tree = PointTree::new(&lattice(26), 3, 1);
    let (found, leaves) = simd::dispatch(Find { tree: &tree, query: [12.2, 13.1, 7.9], bound: 1.5 });
    assert!(found.len() > 3 && leaves < 40, "{} points in {leaves} leaves of {}", found.len(), 26 * 26 * 26 / WIDTH);
}

#[test]
fn threads_build_the_same_tree() {
    let points = lattice(26);
    let (one, two) = (PointTree::new(&points, 3, 1), PointTree::new(&points, 3, 2));
    assert!(one == two);
}
