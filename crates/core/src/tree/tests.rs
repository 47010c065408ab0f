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
