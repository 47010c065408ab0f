// SPDX-License-Identifier: Apache-2.0
//! Plane geometry that operators share: barycentric coordinates and distances of a pixel to a projected triangle.
//!
//! `geometry.cuh` holds the same functions under the same names in the same order. Both write every operation out and
//! fuse none, so both give the same bits; `crates/emulator/tests/device_math.rs` compares them.
//!
//! Each `_backward` is the exact derivative of its forward with the point held fixed, clamped terms included: where a
//! denominator or coordinate is clamped, its gradient is zero. At the bound itself the gradient passes, as in
//! `torch.clamp`. Finite input has finite gradients, as long as nothing overflows: a triangle whose area is no more than
//! the rounding error of the products that it is the difference of has none.

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::tensor::Real;

/// Areas, depths and squared lengths up to this count as zero in the forward formulas.
pub const EPSILON: f64 = 1e-8;

/// The least sum that clipped barycentric coordinates are divided by.
pub const CLIP_EPSILON: f64 = 1e-5;

/// A real number with arithmetic.
pub trait Scalar:
    Real + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Neg<Output = Self>
{
    /// 0
    const ZERO: Self;
    /// The limit above.
    const INFINITY: Self;
    /// The distance from 1 to the next number.
    const ULP: Self;

    /// The nearest number.
    fn of(value: f64) -> Self;
    /// The same number.
    fn to_f64(self) -> f64;
    /// Neither infinite nor NaN.
    fn is_finite(self) -> bool;
    /// The next larger number.
    #[must_use]
    fn next_up(self) -> Self;
    /// |self|
    #[must_use]
    fn abs(self) -> Self;
    /// The square root.
    #[must_use]
    fn sqrt(self) -> Self;
    /// self a + b, rounded once.
    #[must_use]
    fn mul_add(self, a: Self, b: Self) -> Self;
}

macro_rules! scalar {
    ($real:ty) => {
        impl Scalar for $real {
            const ZERO: Self = 0.0;
            const INFINITY: Self = <$real>::INFINITY;
            const ULP: Self = <$real>::EPSILON;

            #[inline(always)]
            fn of(value: f64) -> Self {
                value as $real
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self.into()
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                self.is_finite()
            }
            #[inline(always)]
            fn next_up(self) -> Self {
                self.next_up()
            }
            #[inline(always)]
            fn abs(self) -> Self {
                self.abs()
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                self.sqrt()
            }
            #[inline(always)]
            fn mul_add(self, a: Self, b: Self) -> Self {
                self.mul_add(a, b)
            }
        }
    };
}
scalar!(f32);
scalar!(f64);

/// A point or vector of the plane: x, y.
pub type Vec2<T> = [T; 2];

/// One number for each vertex of a triangle.
pub type Vec3<T> = [T; 3];

/// The greater; `b` where either is NaN.
#[inline(always)]
pub fn greater<T: Scalar>(a: T, b: T) -> T {
    if a > b { a } else { b }
}

/// The lesser; `b` where either is NaN.
#[inline(always)]
pub fn lesser<T: Scalar>(a: T, b: T) -> T {
    if a < b { a } else { b }
}

/// |a|
#[inline(always)]
pub fn magnitude<T: Scalar>(a: T) -> T {
    if a < T::of(0.0) { -a } else { a }
}

/// The scalar product.
#[inline(always)]
pub fn dot3<T: Scalar>(a: Vec3<T>, b: Vec3<T>) -> T {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// The NDC coordinate of the centre of pixel `index` of `size` along one axis of an image whose other axis has `other`
/// pixels. The shorter side spans `[-1, 1]`; index 0 is the +X (left) or +Y (top) end.
#[inline(always)]
pub fn pixel_center<T: Scalar>(index: usize, size: usize, other: usize) -> T {
    let count = T::of(size as f64);
    let range = if size > other { count * T::of(2.0) / T::of(other as f64) } else { T::of(2.0) };
    let offset = range / T::of(2.0);
    -offset + (range * T::of((size - 1 - index) as f64) + offset) / count
}

/// Twice the signed area of the triangle p a b: `(p.x - a.x)(b.y - a.y) - (p.y - a.y)(b.x - a.x)`.
#[inline(always)]
pub fn edge_function<T: Scalar>(p: Vec2<T>, a: Vec2<T>, b: Vec2<T>) -> T {
    (p[0] - a[0]) * (b[1] - a[1]) - (p[1] - a[1]) * (b[0] - a[0])
}

/// Gradients of p, a and b.
#[inline(always)]
pub fn edge_function_backward<T: Scalar>(p: Vec2<T>, a: Vec2<T>, b: Vec2<T>, grad: T) -> [Vec2<T>; 3] {
    [
        [grad * (b[1] - a[1]), grad * (a[0] - b[0])],
        [grad * (p[1] - b[1]), grad * (b[0] - p[0])],
        [grad * (a[1] - p[1]), grad * (p[0] - a[0])],
    ]
}

/// Barycentric coordinates of p: `e(p, v_{i+1}, v_{i+2}) / (e(v2, v0, v1) + EPSILON)`.
#[inline(always)]
pub fn barycentric_coordinates<T: Scalar>(p: Vec2<T>, v: Vec3<Vec2<T>>) -> Vec3<T> {
    let area = edge_function(v[2], v[0], v[1]) + T::of(EPSILON);
    [edge_function(p, v[1], v[2]) / area, edge_function(p, v[2], v[0]) / area, edge_function(p, v[0], v[1]) / area]
}

/// Gradients of the vertices; zero where the area is no more than the rounding error of its two products.
#[inline(always)]
pub fn barycentric_coordinates_backward<T: Scalar>(p: Vec2<T>, v: Vec3<Vec2<T>>, grad: Vec3<T>) -> Vec3<Vec2<T>> {
    let area = edge_function(v[2], v[0], v[1]) + T::of(EPSILON);
    let products =
        magnitude((v[2][0] - v[0][0]) * (v[1][1] - v[0][1])) + magnitude((v[2][1] - v[0][1]) * (v[1][0] - v[0][0]));
    // Written so that NaN is degenerate too.
    let sound = magnitude(area) > T::ULP * products;
    if !sound {
        return [[T::of(0.0); 2]; 3];
    }
    let w =
        [edge_function(p, v[1], v[2]) / area, edge_function(p, v[2], v[0]) / area, edge_function(p, v[0], v[1]) / area];
    let grad_area = -(dot3(grad, w) / area);
    let [_, v1_of_w0, v2_of_w0] = edge_function_backward(p, v[1], v[2], grad[0] / area);
    let [_, v2_of_w1, v0_of_w1] = edge_function_backward(p, v[2], v[0], grad[1] / area);
    let [_, v0_of_w2, v1_of_w2] = edge_function_backward(p, v[0], v[1], grad[2] / area);
    let [v2_of_area, v0_of_area, v1_of_area] = edge_function_backward(v[2], v[0], v[1], grad_area);
    [
        [v0_of_w1[0] + v0_of_w2[0] + v0_of_area[0], v0_of_w1[1] + v0_of_w2[1] + v0_of_area[1]],
        [v1_of_w0[0] + v1_of_w2[0] + v1_of_area[0], v1_of_w0[1] + v1_of_w2[1] + v1_of_area[1]],
        [v2_of_w0[0] + v2_of_w1[0] + v2_of_area[0], v2_of_w0[1] + v2_of_w1[1] + v2_of_area[1]],
    ]
}

/// Barycentric coordinates before projection from those after it: `w_i z_j z_k / max(sum, EPSILON)`.
#[inline(always)]
pub fn perspective_correct<T: Scalar>(w: Vec3<T>, z: Vec3<T>) -> Vec3<T> {
    let top = [w[0] * z[1] * z[2], z[0] * w[1] * z[2], z[0] * z[1] * w[2]];
    let sum = greater(top[0] + top[1] + top[2], T::of(EPSILON));
    [top[0] / sum, top[1] / sum, top[2] / sum]
}

/// Gradients of w and z.
#[inline(always)]
pub fn perspective_correct_backward<T: Scalar>(w: Vec3<T>, z: Vec3<T>, grad: Vec3<T>) -> (Vec3<T>, Vec3<T>) {
    let top = [w[0] * z[1] * z[2], z[0] * w[1] * z[2], z[0] * z[1] * w[2]];
    let total = top[0] + top[1] + top[2];
    let sum = greater(total, T::of(EPSILON));
    let u = [top[0] / sum, top[1] / sum, top[2] / sum];
    let of_sum = if total >= T::of(EPSILON) { dot3(grad, u) } else { T::of(0.0) };
    let g = [(grad[0] - of_sum) / sum, (grad[1] - of_sum) / sum, (grad[2] - of_sum) / sum];
    (
        [g[0] * z[1] * z[2], g[1] * z[0] * z[2], g[2] * z[0] * z[1]],
        [
            g[1] * w[1] * z[2] + g[2] * w[2] * z[1],
            g[0] * w[0] * z[2] + g[2] * w[2] * z[0],
            g[0] * w[0] * z[1] + g[1] * w[1] * z[0],
        ],
    )
}

/// Negative coordinates to 0, divided by `max(sum, CLIP_EPSILON)`.
#[inline(always)]
pub fn clip_barycentric<T: Scalar>(u: Vec3<T>) -> Vec3<T> {
    let zero = T::of(0.0);
    let c = [greater(u[0], zero), greater(u[1], zero), greater(u[2], zero)];
    let sum = greater(c[0] + c[1] + c[2], T::of(CLIP_EPSILON));
    [c[0] / sum, c[1] / sum, c[2] / sum]
}

/// Gradient of u.
#[inline(always)]
pub fn clip_barycentric_backward<T: Scalar>(u: Vec3<T>, grad: Vec3<T>) -> Vec3<T> {
    let zero = T::of(0.0);
    let c = [greater(u[0], zero), greater(u[1], zero), greater(u[2], zero)];
    let total = c[0] + c[1] + c[2];
    let sum = greater(total, T::of(CLIP_EPSILON));
    let clipped = [c[0] / sum, c[1] / sum, c[2] / sum];
    let of_sum = if total >= T::of(CLIP_EPSILON) { dot3(grad, clipped) } else { zero };
    [
        if u[0] >= zero { (grad[0] - of_sum) / sum } else { zero },
        if u[1] >= zero { (grad[1] - of_sum) / sum } else { zero },
        if u[2] >= zero { (grad[2] - of_sum) / sum } else { zero },
    ]
}

/// Where on the segment a b, from 0 to 1, the point nearest to p lies; 1 (the end b) where the squared length is at most
/// EPSILON.
#[inline(always)]
fn nearest_on_segment<T: Scalar>(p: Vec2<T>, a: Vec2<T>, b: Vec2<T>) -> T {
    let ab = [b[0] - a[0], b[1] - a[1]];
    let length2 = ab[0] * ab[0] + ab[1] * ab[1];
    if length2 <= T::of(EPSILON) {
        return T::of(1.0);
    }
    let t = (ab[0] * (p[0] - a[0]) + ab[1] * (p[1] - a[1])) / length2;
    lesser(greater(t, T::of(0.0)), T::of(1.0))
}

/// From p to the point at t of the segment a b.
#[inline(always)]
fn to_segment<T: Scalar>(p: Vec2<T>, a: Vec2<T>, b: Vec2<T>, t: T) -> Vec2<T> {
    [a[0] + t * (b[0] - a[0]) - p[0], a[1] + t * (b[1] - a[1]) - p[1]]
}

/// Squared distance of p to the segment a b.
#[inline(always)]
pub fn point_segment_dist2<T: Scalar>(p: Vec2<T>, a: Vec2<T>, b: Vec2<T>) -> T {
    let d = to_segment(p, a, b, nearest_on_segment(p, a, b));
    d[0] * d[0] + d[1] * d[1]
}

/// Gradients of a and b. Moving the nearest point along the segment changes nothing to first order, so t counts as fixed.
#[inline(always)]
pub fn point_segment_dist2_backward<T: Scalar>(p: Vec2<T>, a: Vec2<T>, b: Vec2<T>, grad: T) -> [Vec2<T>; 2] {
    let t = nearest_on_segment(p, a, b);
    let d = to_segment(p, a, b, t);
    let (of_a, of_b) = (T::of(2.0) * grad * (T::of(1.0) - t), T::of(2.0) * grad * t);
    [[of_a * d[0], of_a * d[1]], [of_b * d[0], of_b * d[1]]]
}

/// Squared distance of p to the border of a triangle.
#[inline(always)]
pub fn point_triangle_dist2<T: Scalar>(p: Vec2<T>, v: Vec3<Vec2<T>>) -> T {
    let d01 = point_segment_dist2(p, v[0], v[1]);
    let d02 = point_segment_dist2(p, v[0], v[2]);
    let d12 = point_segment_dist2(p, v[1], v[2]);
    lesser(lesser(d01, d02), d12)
}

/// Gradients of the vertices. Of equally near segments the first of 01, 02, 12 has the gradient.
#[inline(always)]
pub fn point_triangle_dist2_backward<T: Scalar>(p: Vec2<T>, v: Vec3<Vec2<T>>, grad: T) -> Vec3<Vec2<T>> {
    let d01 = point_segment_dist2(p, v[0], v[1]);
    let d02 = point_segment_dist2(p, v[0], v[2]);
    let d12 = point_segment_dist2(p, v[1], v[2]);
    let zero = [T::of(0.0); 2];
    if d01 <= d02 && d01 <= d12 {
        let [a, b] = point_segment_dist2_backward(p, v[0], v[1], grad);
        [a, b, zero]
    } else if d02 <= d12 {
        let [a, b] = point_segment_dist2_backward(p, v[0], v[2], grad);
        [a, zero, b]
    } else {
        let [a, b] = point_segment_dist2_backward(p, v[1], v[2], grad);
        [zero, a, b]
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these results are exact")]
mod tests {
    use super::*;

    /// A function of some numbers and the gradient that its `_backward` gives for the sum of its results with weights.
    fn check<const N: usize>(at: [f64; N], value: impl Fn([f64; N]) -> f64, gradient: [f64; N]) {
        for i in 0..N {
            let step = |h: f64| {
                let mut moved = at;
                moved[i] += h;
                value(moved)
            };
            let numeric = (step(1e-6) - step(-1e-6)) / 2e-6;
            assert!(
                (gradient[i] - numeric).abs() <= 1e-6 * (1.0 + numeric.abs()),
                "{i}: {} and {numeric}",
                gradient[i]
            );
        }
    }

    fn triangle(x: [f64; 6]) -> Vec3<Vec2<f64>> {
        [[x[0], x[1]], [x[2], x[3]], [x[4], x[5]]]
    }

    fn flat(v: Vec3<Vec2<f64>>) -> [f64; 6] {
        [v[0][0], v[0][1], v[1][0], v[1][1], v[2][0], v[2][1]]
    }

    const CORNERS: [f64; 6] = [-0.3, -0.2, 0.8, 0.1, 0.2, 0.9];
    const WEIGHTS: [f64; 3] = [0.7, -1.3, 0.4];
    /// Inside; beyond each edge; beyond each corner.
    const POINTS: [Vec2<f64>; 7] =
        [[0.2, 0.3], [0.3, -0.4], [0.9, 0.7], [-0.6, 0.5], [-0.8, -0.6], [1.5, 0.0], [0.2, 1.6]];

    #[test]
    fn backwards_are_derivatives() {
        let [w0, w1, _] = WEIGHTS;
        for p in POINTS {
            let of = flat(barycentric_coordinates_backward(p, triangle(CORNERS), WEIGHTS));
            check(CORNERS, |x| dot3(barycentric_coordinates(p, triangle(x)), WEIGHTS), of);
            let of = flat(point_triangle_dist2_backward(p, triangle(CORNERS), w0));
            check(CORNERS, |x| w0 * point_triangle_dist2(p, triangle(x)), of);
            let [of_p, of_a, of_b] = edge_function_backward(p, [CORNERS[0], CORNERS[1]], [CORNERS[2], CORNERS[3]], w1);
            let at = [p[0], p[1], CORNERS[0], CORNERS[1], CORNERS[2], CORNERS[3]];
            let value = |x: [f64; 6]| w1 * edge_function([x[0], x[1]], [x[2], x[3]], [x[4], x[5]]);
            check(at, value, flat([of_p, of_a, of_b]));
        }
        for w in [[0.2, 0.5, 0.3], [-0.4, 0.6, 0.8], [-2.0, 0.4, 0.1]] {
            check(w, |x| dot3(clip_barycentric(x), WEIGHTS), clip_barycentric_backward(w, WEIGHTS));
        }
        for w in [[0.2, 0.5, 0.3], [-0.4, 0.6, 0.8]] {
            let z = [1.5, 0.7, 2.5];
            let (of_w, of_z) = perspective_correct_backward(w, z, WEIGHTS);
            check(w, |x| dot3(perspective_correct(x, z), WEIGHTS), of_w);
            check(z, |x| dot3(perspective_correct(w, x), WEIGHTS), of_z);
        }
    }

    #[test]
    fn clamped_denominators_count_as_constants() {
        // Below its bound a sum no longer divides: the gradient is that of the numerators.
        let tiny = [-1.0, 2e-6, 3e-6];
        let expected = [0.0, WEIGHTS[1] / CLIP_EPSILON, WEIGHTS[2] / CLIP_EPSILON];
        assert_eq!(clip_barycentric_backward(tiny, WEIGHTS), expected);
        let ([of_w, ..], _) = perspective_correct_backward([-1.0, 0.5, 0.2], [1.0; 3], WEIGHTS);
        assert_eq!(of_w, WEIGHTS[0] / EPSILON);
    }

    #[test]
    fn degenerate_triangles_have_finite_gradients() {
        let point = [0.5_f32, 0.25];
        let line = [[0.1_f32, 0.1], [0.3, 0.3], [0.7, 0.7]];
        for v in [[[0.0; 2]; 3], [point; 3], line, [[1e4, 0.0], [-1e4, 0.0], [2e4, 1e-5]]] {
            let of_bary = barycentric_coordinates_backward(point, v, [1.0, -2.0, 3.0]);
            let of_dist = point_triangle_dist2_backward(point, v, 1.0);
            assert!(
                [of_bary, of_dist].iter().flatten().flatten().all(|x| x.is_finite()),
                "{v:?}: {of_bary:?} {of_dist:?}"
            );
        }
        let (of_w, of_z) = perspective_correct_backward([0.3_f32, 0.3, 0.4], [0.0; 3], [1.0, -2.0, 3.0]);
        assert!(of_w.iter().chain(&of_z).all(|x| x.is_finite()));
    }

    #[test]
    fn pixels_count_from_the_left_and_the_longer_side_is_longer() {
        assert_eq!([0, 1].map(|i| pixel_center::<f64>(i, 2, 2)), [0.5, -0.5]);
        assert_eq!([0, 3].map(|i| pixel_center::<f64>(i, 4, 2)), [1.5, -1.5]);
        assert_eq!([0, 1].map(|i| pixel_center::<f64>(i, 2, 4)), [0.5, -0.5]);
    }
}
