// SPDX-License-Identifier: Apache-2.0
//! One face: whether it can be drawn, where, and what it is at a block of pixels. The formulas are those of
//! `patina3d_core::geometry`, on vectors; a test compares them bit by bit.

use std::ops::Range;

use patina3d_core::geometry::{CLIP_EPSILON, EPSILON, Vec2, Vec3, edge_function, greater, lesser, magnitude};
use patina3d_core::simd::Simd;

use super::lanes::Lanes;
use super::{Number, Rule};

/// The box of a face grown by the reach of the blur: its low and its high corner. `None` for a face that is drawn
/// nowhere.
#[inline(always)]
pub(super) fn bounds<T: Number>(face: &[T], rule: &Rule<T>) -> Option<[Vec2<T>; 2]> {
    let (v, z) = corners(face);
    let area = edge_function(v[0], v[1], v[2]);
    let solid = magnitude(area) > T::of(EPSILON) && area.is_finite();
    let finite = z.iter().all(|z| z.is_finite())
        && [(0, 1), (0, 2), (1, 2)].iter().all(|&(a, b)| length2(v[a], v[b]).is_finite());
    let behind = lesser(lesser(z[0], z[1]), z[2]) < T::of(EPSILON);
    if !solid || !finite || behind || (rule.cull_backfaces && area < T::of(0.0)) {
        return None;
    }
    let low = |axis: usize| lesser(lesser(v[0][axis], v[1][axis]), v[2][axis]) - rule.reach;
    let high = |axis: usize| greater(greater(v[0][axis], v[1][axis]), v[2][axis]) + rule.reach;
    Some([[low(0), low(1)], [high(0), high(1)]])
}

/// The squared length of an edge.
#[inline(always)]
fn length2<T: Number>(a: Vec2<T>, b: Vec2<T>) -> T {
    let [x, y] = [b[0] - a[0], b[1] - a[1]];
    x * x + y * y
}

/// (x, y) and z of the vertices.
#[inline(always)]
fn corners<T: Number>(face: &[T]) -> ([Vec2<T>; 3], Vec3<T>) {
    ([[face[0], face[1]], [face[3], face[4]], [face[6], face[7]]], [face[2], face[5], face[8]])
}

/// The pixels along one axis whose centres lie in the closed interval; centres descend.
#[inline(always)]
pub(super) fn covered<T: Number>(centres: &[T], low: T, high: T) -> Range<usize> {
    let (Some(&first), Some(&last)) = (centres.first(), centres.last()) else { return 0..0 };
    let per_unit = if centres.len() > 1 { T::of((centres.len() - 1) as f64) / (first - last) } else { T::of(0.0) };
    // The guess is one off at most; the walk makes it exact.
    let walk = |bound: T, before: &dyn Fn(T) -> bool| {
        let mut index = (((first - bound) * per_unit).to_f64() as usize).min(centres.len());
        while index > 0 && !before(centres[index - 1]) {
            index -= 1;
        }
        while index < centres.len() && before(centres[index]) {
            index += 1;
        }
        index
    };
    let start = walk(high, &|centre| centre > high);
    let end = walk(low, &|centre| centre >= low);
    start..end.max(start)
}

/// A face that can be drawn.
pub(super) struct Face<T> {
    v: [Vec2<T>; 3],
    z: Vec3<T>,
    low: Vec2<T>,
    high: Vec2<T>,
    /// What the edge functions are divided by.
    area: T,
    /// The sign of `area`.
    sign: T,
    /// A pixel whose edge function i times `sign` is below the negative of this is too far beyond that edge to hit.
    beyond: Vec3<T>,
}

impl<T: Number> Face<T> {
    #[inline(always)]
    pub(super) fn new(face: &[T], rule: &Rule<T>) -> Option<Self> {
        let [low, high] = bounds(face, rule)?;
        let (v, z) = corners(face);
        let zero = T::of(0.0);
        let area = edge_function(v[2], v[0], v[1]) + T::of(EPSILON);
        let sign = if area < zero { T::of(-1.0) } else { T::of(1.0) };
        Some(Self { v, z, low, high, area, sign, beyond: beyond(v, low, high, area, rule) })
    }

    /// The pixels of the box.
    #[inline(always)]
    pub(super) fn covered(&self, columns: &[T], rows: &[T]) -> [Range<usize>; 2] {
        [covered(columns, self.low[0], self.high[0]), covered(rows, self.low[1], self.high[1])]
    }

    /// The lanes whose pixel is in the box.
    #[inline(always)]
    pub(super) fn boxed<S: Simd<Real = T>>(&self, simd: S, p: [Lanes<S>; 2]) -> u32 {
        let (low, high) = (Lanes::splat2(simd, self.low), Lanes::splat2(simd, self.high));
        !(p[0].less(low[0]) | p[1].less(low[1]) | high[0].less(p[0]) | high[1].less(p[1]))
    }

    /// The face at the pixels of a block that `lanes` names; `None` where it hits none of them.
    #[inline(always)]
    pub(super) fn sample<S: Simd<Real = T>>(
        &self,
        simd: S,
        rule: &Rule<T>,
        p: [Lanes<S>; 2],
        lanes: u32,
        z_below: Lanes<S>,
    ) -> Option<Samples<S>> {
        let zero = Lanes::splat(simd, T::of(0.0));
        let from = [minus(simd, p, self.v[0]), minus(simd, p, self.v[1]), minus(simd, p, self.v[2])];
        let edges = [self.edge(simd, from, 1, 2), self.edge(simd, from, 2, 0), self.edge(simd, from, 0, 1)];
        let sign = Lanes::splat(simd, self.sign);
        let mut hit = lanes;
        for i in 0..3 {
            hit &= !(edges[i] * sign).less(Lanes::splat(simd, -self.beyond[i]));
        }
        if hit == 0 {
            return None;
        }

        let area = Lanes::splat(simd, self.area);
        let mut u = [edges[0] / area, edges[1] / area, edges[2] / area];
        let [z0, z1, z2] = self.z;
        let z01 = Lanes::splat(simd, z0 * z1);
        let [z0, z1, z2] = [Lanes::splat(simd, z0), Lanes::splat(simd, z1), Lanes::splat(simd, z2)];
        if rule.perspective_correct {
            u = over_sum([u[0] * z1 * z2, z0 * u[1] * z2, z01 * u[2]], Lanes::splat(simd, T::of(EPSILON)));
        }
        let inside = zero.less(u[0]) & zero.less(u[1]) & zero.less(u[2]);
        if rule.blur <= T::of(0.0) {
            hit &= inside;
            if hit == 0 {
                return None;
            }
        }
        if rule.clip_barycentric_coords {
            u = over_sum([u[0].max(zero), u[1].max(zero), u[2].max(zero)], Lanes::splat(simd, T::of(CLIP_EPSILON)));
        }
        let z = u[0] * z0 + u[1] * z1 + u[2] * z2;
        hit &= z.less(z_below) & !z.less(zero);
        if hit == 0 {
            return None;
        }

        let dist2 = self.dist2(simd, p, from, 0, 1);
        let dist2 = dist2.min(self.dist2(simd, p, from, 0, 2)).min(self.dist2(simd, p, from, 1, 2));
        let near = dist2.less(Lanes::splat(simd, rule.blur));
        hit &= dist2.less(Lanes::splat(simd, T::of(f64::INFINITY))) & (inside | near);
        if hit == 0 { None } else { Some(Samples { hit, inside, z, bary: u, dist2 }) }
    }

    /// `edge_function(p, v[a], v[b])`, where `from` holds p minus each vertex.
    #[inline(always)]
    fn edge<S: Simd<Real = T>>(&self, simd: S, from: [[Lanes<S>; 2]; 3], a: usize, b: usize) -> Lanes<S> {
        let [x, y] = Lanes::splat2(simd, [self.v[b][0] - self.v[a][0], self.v[b][1] - self.v[a][1]]);
        from[a][0] * y - from[a][1] * x
    }

    /// `point_segment_dist2(p, v[a], v[b])`
    #[inline(always)]
    fn dist2<S: Simd<Real = T>>(
        &self,
        simd: S,
        p: [Lanes<S>; 2],
        from: [[Lanes<S>; 2]; 3],
        a: usize,
        b: usize,
    ) -> Lanes<S> {
        let along = [self.v[b][0] - self.v[a][0], self.v[b][1] - self.v[a][1]];
        let length2 = length2(self.v[a], self.v[b]);
        let [x, y] = Lanes::splat2(simd, along);
        let one = Lanes::splat(simd, T::of(1.0));
        let t = if length2 <= T::of(EPSILON) {
            one
        } else {
            let t = (x * from[a][0] + y * from[a][1]) / Lanes::splat(simd, length2);
            t.max(Lanes::splat(simd, T::of(0.0))).min(one)
        };
        let [start_x, start_y] = Lanes::splat2(simd, self.v[a]);
        let (x, y) = (start_x + t * x - p[0], start_y + t * y - p[1]);
        x * x + y * y
    }
}

#[inline(always)]
fn minus<S: Simd>(simd: S, p: [Lanes<S>; 2], v: Vec2<S::Real>) -> [Lanes<S>; 2] {
    let [x, y] = Lanes::splat2(simd, v);
    [p[0] - x, p[1] - y]
}

/// Divided by their sum, or by `least` where that is more.
#[inline(always)]
fn over_sum<S: Simd>([a, b, c]: [Lanes<S>; 3], least: Lanes<S>) -> [Lanes<S>; 3] {
    let sum = (a + b + c).max(least);
    [a / sum, b / sum, c / sum]
}

/// Margins of the test that spares the exact formulas: beyond an edge by more than this, as an edge function, neither the
/// rounding of the edge function nor that of the distance can make a hit of the pixel.
#[inline(always)]
fn beyond<T: Number>(v: [Vec2<T>; 3], low: Vec2<T>, high: Vec2<T>, area: T, rule: &Rule<T>) -> Vec3<T> {
    let zero = T::of(0.0);
    if rule.blur <= zero {
        // To be inside, the three edge functions must have the sign of the area.
        return [zero; 3];
    }
    if (edge_function(v[0], v[1], v[2]) < zero) != (area < zero) {
        // So thin that rounding decided the sign.
        return [T::of(f64::INFINITY); 3];
    }
    let farthest =
        greater(greater(magnitude(low[0]), magnitude(high[0])), greater(magnitude(low[1]), magnitude(high[1])));
    let products = T::of(2.0) * (high[0] - low[0]) * (high[1] - low[1]);
    let distance = rule.reach * T::of(1.001) + T::of(64.0) * T::ULP * farthest;
    [[1, 2], [2, 0], [0, 1]].map(|[a, b]| distance * length2(v[a], v[b]).sqrt() + T::of(16.0) * T::ULP * products)
}

/// What a face is at the pixels of a block.
#[derive(Clone, Copy)]
pub(super) struct Samples<S: Simd> {
    /// The lanes that it hits.
    pub(super) hit: u32,
    /// The lanes that it contains, whether it hits them or not.
    pub(super) inside: u32,
    pub(super) z: Lanes<S>,
    pub(super) bary: [Lanes<S>; 3],
    pub(super) dist2: Lanes<S>,
}

impl<S: Simd> Samples<S> {
    /// The lanes where this half of a quad yields to the other.
    #[inline(always)]
    pub(super) fn beaten_by(&self, other: &Self, other_is_lower: bool) -> u32 {
        let closer = other.dist2.less(self.dist2);
        let tied = !closer & !self.dist2.less(other.dist2);
        let nearer = closer | if other_is_lower { tied } else { 0 };
        other.hit & ((other.inside & !self.inside) | (!(other.inside ^ self.inside) & nearer))
    }
}
