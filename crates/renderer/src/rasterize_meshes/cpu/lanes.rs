// SPDX-License-Identifier: Apache-2.0
//! A vector with operators, so that formulas over pixels read like formulas over numbers.
//!
//! What handles vectors must be inlined into the loop that `simd::dispatch` compiles for an instruction set. Closures are
//! not inlined for sure, so none takes or makes `Lanes`, and neither does an iterator or `array::map`.

use std::ops::{Add, Div, Mul, Sub};

use patina3d_core::simd::Simd;

/// One number for each pixel of a block.
#[derive(Clone, Copy)]
pub(super) struct Lanes<S: Simd> {
    simd: S,
    vector: S::Vector,
}

impl<S: Simd> Lanes<S> {
    #[inline(always)]
    pub(super) fn splat(simd: S, value: S::Real) -> Self {
        Self { simd, vector: simd.splat(value) }
    }

    #[inline(always)]
    pub(super) fn splat2(simd: S, [x, y]: [S::Real; 2]) -> [Self; 2] {
        [Self::splat(simd, x), Self::splat(simd, y)]
    }

    #[inline(always)]
    pub(super) fn load(simd: S, values: &[S::Real]) -> Self {
        Self { simd, vector: simd.load(values) }
    }

    #[inline(always)]
    pub(super) fn store(self, values: &mut [S::Real]) {
        self.simd.store(self.vector, values);
    }

    /// The greater; `other` where either is NaN.
    #[inline(always)]
    pub(super) fn max(self, other: Self) -> Self {
        Self { vector: self.simd.max(self.vector, other.vector), ..self }
    }

    /// The lesser; `other` where either is NaN.
    #[inline(always)]
    pub(super) fn min(self, other: Self) -> Self {
        Self { vector: self.simd.min(self.vector, other.vector), ..self }
    }

    /// One bit a lane; none for NaN.
    #[inline(always)]
    pub(super) fn less(self, other: Self) -> u32 {
        self.simd.less(self.vector, other.vector)
    }
}

macro_rules! operator {
    ($trait:ident, $name:ident) => {
        impl<S: Simd> $trait for Lanes<S> {
            type Output = Self;

            #[inline(always)]
            fn $name(self, other: Self) -> Self {
                Self { vector: self.simd.$name(self.vector, other.vector), ..self }
            }
        }
    };
}
operator!(Add, add);
operator!(Sub, sub);
operator!(Mul, mul);
operator!(Div, div);
