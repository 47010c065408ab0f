// SPDX-License-Identifier: Apache-2.0
//! A triangle in space: its area, its normal, and the gradients of both.
//!
//! With edges e1 = v1 - v0 and e2 = v2 - v0 and c = e1 x e2 the area is |c| / 2 and the normal c / |c|. Each edge is first
//! divided by a power of two near its length, so a result that is representable neither overflows nor vanishes on the way,
//! at any scale where the edges are representable themselves. `triangle.cuh` holds the same functions under the same names, with the same order of operations, hence the
//! same bits.

use crate::geometry::{Scalar, Vec3, dot3, greater, lesser, magnitude};

/// A cross product this small, in units in the last place of the product of the lengths, is rounding noise.
pub const NOISE_ULPS: f64 = 4.0;

/// Real numbers whose bits we know.
pub trait Binary: Scalar {
    /// The power of two at or below a number that is not negative; that of the least normal number for smaller ones.
    #[must_use]
    fn power_of_two(self) -> Self;
}

impl Binary for f32 {
    #[inline(always)]
    fn power_of_two(self) -> Self {
        greater(Self::from_bits(self.to_bits() & 0x7f80_0000), Self::MIN_POSITIVE)
    }
}

impl Binary for f64 {
    #[inline(always)]
    fn power_of_two(self) -> Self {
        greater(Self::from_bits(self.to_bits() & 0x7ff0_0000_0000_0000), Self::MIN_POSITIVE)
    }
}

/// What area, normal and their gradients are made of.
#[derive(Debug, Clone, Copy)]
pub struct Triangle<T> {
    /// Edges from the first corner, divided by their scales.
    edge1: Vec3<T>,
    edge2: Vec3<T>,
    /// Powers of two.
    scale1: T,
    scale2: T,
    /// The length of the scaled edges' cross product, and its direction, 0 where the length is.
    length: T,
    direction: Vec3<T>,
    degenerate: bool,
}

#[inline(always)]
fn minus<T: Scalar>(a: Vec3<T>, b: Vec3<T>) -> Vec3<T> {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

#[inline(always)]
fn times<T: Scalar>(factor: T, a: Vec3<T>) -> Vec3<T> {
    [factor * a[0], factor * a[1], factor * a[2]]
}

#[inline(always)]
fn plus<T: Scalar>(a: Vec3<T>, b: Vec3<T>) -> Vec3<T> {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

#[inline(always)]
fn cross<T: Scalar>(a: Vec3<T>, b: Vec3<T>) -> Vec3<T> {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// The power of two at or below the largest coordinate.
#[inline(always)]
fn scale_of<T: Binary>(edge: Vec3<T>) -> T {
    greater(greater(magnitude(edge[0]), magnitude(edge[1])), magnitude(edge[2])).power_of_two()
}

impl<T: Binary> Triangle<T> {
    /// Of its corners.
    #[inline(always)]
    pub fn new(v: [Vec3<T>; 3]) -> Self {
        let (edge1, edge2) = (minus(v[1], v[0]), minus(v[2], v[0]));
        let (scale1, scale2) = (scale_of(edge1), scale_of(edge2));
        // Exact: the inverse of a power of two is one.
        let (edge1, edge2) = (times(T::of(1.0) / scale1, edge1), times(T::of(1.0) / scale2, edge2));
        let c = cross(edge1, edge2);
        let length2 = dot3(c, c);
        let length = length2.sqrt();
        let direction = if length == T::ZERO { [T::ZERO; 3] } else { [c[0] / length, c[1] / length, c[2] / length] };
        let noise = T::of(NOISE_ULPS) * T::ULP;
        let degenerate = length2 <= noise * noise * dot3(edge1, edge1) * dot3(edge2, edge2);
        Self { edge1, edge2, scale1, scale2, length, direction, degenerate }
    }

    /// |c| / 2
    #[inline(always)]
    pub fn area(&self) -> T {
        T::of(0.5) * self.length * greater(self.scale1, self.scale2) * lesser(self.scale1, self.scale2)
    }

    /// The area where `T` may be too narrow for it.
    #[inline(always)]
    pub fn wide_area(&self) -> f64 {
        let (scale1, scale2) = (self.scale1.to_f64(), self.scale2.to_f64());
        0.5 * self.length.to_f64() * greater(scale1, scale2) * lesser(scale1, scale2)
    }

    /// The unit normal; 0 where |c| is within rounding of zero, at most [`NOISE_ULPS`] units in the last place of
    /// |e1| |e2|.
    #[inline(always)]
    pub fn normal(&self) -> Vec3<T> {
        if self.degenerate { [T::ZERO; 3] } else { self.direction }
    }

    /// Gradients of the corners.
    #[inline(always)]
    pub fn backward(&self, grad_area: T, grad_normal: Vec3<T>) -> [Vec3<T>; 3] {
        let Self { edge1, edge2, scale1, scale2, length, direction, degenerate } = *self;
        // Along the normal nothing changes but the length.
        let across = minus(grad_normal, times(dot3(direction, grad_normal), direction));
        let turn = if degenerate { [T::ZERO; 3] } else { [across[0] / length, across[1] / length, across[2] / length] };
        let half = T::of(0.5) * grad_area;
        let of1 = plus(times(half * scale2, cross(edge2, direction)), times(T::of(1.0) / scale1, cross(edge2, turn)));
        let of2 = plus(times(half * scale1, cross(direction, edge1)), times(T::of(1.0) / scale2, cross(turn, edge1)));
        [times(-T::of(1.0), plus(of1, of2)), of1, of2]
    }
}
