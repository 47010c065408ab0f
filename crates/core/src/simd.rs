// SPDX-License-Identifier: Apache-2.0
//! One body, several vector widths: a loop written over [`Simd`] is compiled for each instruction set and the widest
//! that the processor has is chosen at run time.
//!
//! Every operation is the IEEE operation of its name, `mul_add` with one rounding, so results do not depend on the
//! instruction set.
#![expect(unsafe_code, reason = "vector intrinsics are called under the instruction set that `dispatch` detected")]

use crate::tensor::Real;

/// A vector instruction set for one element type. Only [`dispatch`] makes one, after it saw that the processor has it.
pub trait Simd: Copy + Send + Sync {
    /// The element.
    type Real: Real;
    /// A vector of `LANES` elements.
    type Vector: Copy;
    /// Elements in a vector; at most 16.
    const LANES: usize;

    /// All lanes equal.
    fn splat(self, value: Self::Real) -> Self::Vector;
    /// The first `LANES` elements of a slice, which must be that long.
    fn load(self, values: &[Self::Real]) -> Self::Vector;
    /// Writes `LANES` elements to the start of a slice, which must be that long.
    fn store(self, vector: Self::Vector, values: &mut [Self::Real]);
    /// a + b
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a - b
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a b
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a / b
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a b + c, rounded once
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// |a|
    fn abs(self, a: Self::Vector) -> Self::Vector;
    /// The lesser of each lane; b where either is NaN.
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The greater of each lane; b where either is NaN.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// x where a < b, else y; y where a or b is NaN.
    fn select_less(self, a: Self::Vector, b: Self::Vector, x: Self::Vector, y: Self::Vector) -> Self::Vector;
    /// Bit i is set where a < b in lane i; never for NaN.
    fn less(self, a: Self::Vector, b: Self::Vector) -> u32;
    /// The least lane of a vector without NaN.
    fn least(self, a: Self::Vector) -> Self::Real;
}

/// A loop to compile for each instruction set.
pub trait Body<T: Real> {
    /// What it returns.
    type Output;
    /// The loop. Mark it `#[inline(always)]`, and what it calls per element too.
    fn run<S: Simd<Real = T>>(self, simd: S) -> Self::Output;
}

/// Element types that [`dispatch`] knows.
pub trait Vectorised: Real {
    /// Runs `body` with the widest instruction set of this processor.
    fn dispatch<B: Body<Self>>(body: B) -> B::Output;
}

/// Runs `body` with the widest instruction set of this processor.
pub fn dispatch<T: Vectorised, B: Body<T>>(body: B) -> B::Output {
    T::dispatch(body)
}

/// The instruction set that [`dispatch`] chooses here: what `doctor()` reports.
pub fn instruction_set() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if x86::has_avx512() {
            return "AVX-512";
        }
        if x86::has_avx2() {
            return "AVX2";
        }
    }
    "portable"
}

macro_rules! portable {
    ($real:ty) => {
        impl Vectorised for $real {
            fn dispatch<B: Body<Self>>(body: B) -> B::Output {
                #[cfg(target_arch = "x86_64")]
                {
                    if x86::has_avx512() {
                        // SAFETY: the processor has AVX-512.
                        return unsafe { x86::run_avx512::<Self, B, _>(body, x86::Avx512::<Self>::new()) };
                    }
                    if x86::has_avx2() {
                        // SAFETY: the processor has AVX2 and FMA.
                        return unsafe { x86::run_avx2::<Self, B, _>(body, x86::Avx2::<Self>::new()) };
                    }
                }
                body.run(Portable::<Self>(std::marker::PhantomData))
            }
        }

        impl Simd for Portable<$real> {
            type Real = $real;
            type Vector = [$real; 8];
            const LANES: usize = 8;

            #[inline(always)]
            fn splat(self, value: $real) -> [$real; 8] {
                [value; 8]
            }
            #[inline(always)]
            fn load(self, values: &[$real]) -> [$real; 8] {
                std::array::from_fn(|i| values[i])
            }
            #[inline(always)]
            fn store(self, vector: [$real; 8], values: &mut [$real]) {
                values[..8].copy_from_slice(&vector);
            }
            #[inline(always)]
            fn add(self, a: [$real; 8], b: [$real; 8]) -> [$real; 8] {
                std::array::from_fn(|i| a[i] + b[i])
            }
            #[inline(always)]
            fn sub(self, a: [$real; 8], b: [$real; 8]) -> [$real; 8] {
                std::array::from_fn(|i| a[i] - b[i])
            }
            #[inline(always)]
            fn mul(self, a: [$real; 8], b: [$real; 8]) -> [$real; 8] {
                std::array::from_fn(|i| a[i] * b[i])
            }
            #[inline(always)]
            fn div(self, a: [$real; 8], b: [$real; 8]) -> [$real; 8] {
                std::array::from_fn(|i| a[i] / b[i])
            }
            #[inline(always)]
            fn mul_add(self, a: [$real; 8], b: [$real; 8], c: [$real; 8]) -> [$real; 8] {
                std::array::from_fn(|i| a[i].mul_add(b[i], c[i]))
            }
            #[inline(always)]
            fn abs(self, a: [$real; 8]) -> [$real; 8] {
                a.map(<$real>::abs)
            }
            #[inline(always)]
            fn min(self, a: [$real; 8], b: [$real; 8]) -> [$real; 8] {
                std::array::from_fn(|i| if a[i] < b[i] { a[i] } else { b[i] })
            }
            #[inline(always)]
            fn max(self, a: [$real; 8], b: [$real; 8]) -> [$real; 8] {
                std::array::from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
            }
            #[inline(always)]
            fn select_less(self, a: [$real; 8], b: [$real; 8], x: [$real; 8], y: [$real; 8]) -> [$real; 8] {
                std::array::from_fn(|i| if a[i] < b[i] { x[i] } else { y[i] })
            }
            #[inline(always)]
            fn less(self, a: [$real; 8], b: [$real; 8]) -> u32 {
                (0..8).fold(0, |mask, i| mask | (u32::from(a[i] < b[i]) << i))
            }
            #[inline(always)]
            fn least(self, a: [$real; 8]) -> $real {
                let halves = self.min(a, [a[4], a[5], a[6], a[7], a[0], a[1], a[2], a[3]]);
                halves[..4].iter().fold(<$real>::INFINITY, |least, &lane| if lane < least { lane } else { least })
            }
        }
    };
}

/// Arrays of eight lanes; the compiler's own vectorisation does what the target's baseline allows.
#[derive(Clone, Copy)]
struct Portable<T>(std::marker::PhantomData<T>);

portable!(f32);
portable!(f64);

#[cfg(target_arch = "x86_64")]
mod x86 {
    #[allow(clippy::wildcard_imports, reason = "fifty intrinsics, each named where it is used")]
    use std::arch::x86_64::*;
    use std::marker::PhantomData;

    use super::{Body, Simd};
    use crate::tensor::Real;

    /// Exactly the features that `run_avx512` enables.
    pub(super) fn has_avx512() -> bool {
        has_avx2() && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq")
    }

    /// Exactly the features that `run_avx2` enables.
    pub(super) fn has_avx2() -> bool {
        is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt")
    }

    /// # Safety
    /// The processor must have AVX-512 F and DQ.
    #[target_feature(enable = "avx512f,avx512dq,avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) unsafe fn run_avx512<T: Real, B: Body<T>, S: Simd<Real = T>>(body: B, simd: S) -> B::Output {
        body.run(simd)
    }

    /// # Safety
    /// The processor must have AVX2 and FMA.
    #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) unsafe fn run_avx2<T: Real, B: Body<T>, S: Simd<Real = T>>(body: B, simd: S) -> B::Output {
        body.run(simd)
    }

    /// Proof that the processor has AVX-512.
    #[derive(Clone, Copy)]
    pub(super) struct Avx512<T>(PhantomData<T>);

    /// Proof that the processor has AVX2 and FMA.
    #[derive(Clone, Copy)]
    pub(super) struct Avx2<T>(PhantomData<T>);

    impl<T> Avx512<T> {
        /// # Safety
        /// The processor must have AVX-512 F and DQ.
        pub(super) unsafe fn new() -> Self {
            Self(PhantomData)
        }
    }

    impl<T> Avx2<T> {
        /// # Safety
        /// The processor must have AVX2 and FMA.
        pub(super) unsafe fn new() -> Self {
            Self(PhantomData)
        }
    }

    macro_rules! vector {
        (
            $set:ident, $real:ty, $vector:ty, $lanes:literal, $splat:ident, $load:ident, $store:ident, $add:ident,
            $sub:ident, $mul:ident, $div:ident, $fma:ident, $min:ident, $max:ident,
            abs $abs:expr, select_less $select_less:expr, less $less:expr, least $least:expr
        ) => {
            // SAFETY of every block below: the token proves that the processor has the instruction set.
            impl Simd for $set<$real> {
                type Real = $real;
                type Vector = $vector;
                const LANES: usize = $lanes;

                #[inline(always)]
                fn splat(self, value: $real) -> $vector {
                    // SAFETY: see above.
                    unsafe { $splat(value) }
                }
                #[inline(always)]
                fn load(self, values: &[$real]) -> $vector {
                    let values = &values[..$lanes];
                    // SAFETY: see above; the slice has the length of a vector.
                    unsafe { $load(values.as_ptr()) }
                }
                #[inline(always)]
                fn store(self, vector: $vector, values: &mut [$real]) {
                    let values = &mut values[..$lanes];
                    // SAFETY: see above; the slice has the length of a vector.
                    unsafe { $store(values.as_mut_ptr(), vector) }
                }
                #[inline(always)]
                fn add(self, a: $vector, b: $vector) -> $vector {
                    // SAFETY: see above.
                    unsafe { $add(a, b) }
                }
                #[inline(always)]
                fn sub(self, a: $vector, b: $vector) -> $vector {
                    // SAFETY: see above.
                    unsafe { $sub(a, b) }
                }
                #[inline(always)]
                fn mul(self, a: $vector, b: $vector) -> $vector {
                    // SAFETY: see above.
                    unsafe { $mul(a, b) }
                }
                #[inline(always)]
                fn div(self, a: $vector, b: $vector) -> $vector {
                    // SAFETY: see above.
                    unsafe { $div(a, b) }
                }
                #[inline(always)]
                fn mul_add(self, a: $vector, b: $vector, c: $vector) -> $vector {
                    // SAFETY: see above.
                    unsafe { $fma(a, b, c) }
                }
                #[inline(always)]
                fn abs(self, a: $vector) -> $vector {
                    // SAFETY: see above.
                    unsafe { $abs(a) }
                }
                #[inline(always)]
                fn min(self, a: $vector, b: $vector) -> $vector {
                    // SAFETY: see above.
                    unsafe { $min(a, b) }
                }
                #[inline(always)]
                fn max(self, a: $vector, b: $vector) -> $vector {
                    // SAFETY: see above.
                    unsafe { $max(a, b) }
                }
                #[inline(always)]
                fn select_less(self, a: $vector, b: $vector, x: $vector, y: $vector) -> $vector {
                    // SAFETY: see above.
                    unsafe { $select_less(a, b, x, y) }
                }
                #[inline(always)]
                fn less(self, a: $vector, b: $vector) -> u32 {
                    // SAFETY: see above.
                    unsafe { $less(a, b) }
                }
                #[inline(always)]
                fn least(self, a: $vector) -> $real {
                    // SAFETY: see above.
                    unsafe { $least(a) }
                }
            }
        };
    }

    vector! {
        Avx512, f32, __m512, 16, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_add_ps,
        _mm512_sub_ps, _mm512_mul_ps, _mm512_div_ps, _mm512_fmadd_ps, _mm512_min_ps, _mm512_max_ps,
        abs |a| _mm512_abs_ps(a),
        select_less |a, b, x, y| _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), y, x),
        less |a, b| u32::from(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b)),
        least |a| _mm512_reduce_min_ps(a)
    }
    vector! {
        Avx512, f64, __m512d, 8, _mm512_set1_pd, _mm512_loadu_pd, _mm512_storeu_pd, _mm512_add_pd,
        _mm512_sub_pd, _mm512_mul_pd, _mm512_div_pd, _mm512_fmadd_pd, _mm512_min_pd, _mm512_max_pd,
        abs |a| _mm512_abs_pd(a),
        select_less |a, b, x, y| _mm512_mask_blend_pd(_mm512_cmp_pd_mask::<_CMP_LT_OQ>(a, b), y, x),
        less |a, b| u32::from(_mm512_cmp_pd_mask::<_CMP_LT_OQ>(a, b)),
        least |a| _mm512_reduce_min_pd(a)
    }
    vector! {
        Avx2, f32, __m256, 8, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_add_ps,
        _mm256_sub_ps, _mm256_mul_ps, _mm256_div_ps, _mm256_fmadd_ps, _mm256_min_ps, _mm256_max_ps,
        abs |a| _mm256_andnot_ps(_mm256_set1_ps(-0.0), a),
        select_less |a, b, x, y| _mm256_blendv_ps(y, x, _mm256_cmp_ps::<_CMP_LT_OQ>(a, b)),
        less |a, b| _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_LT_OQ>(a, b)) as u32,
        least |a| {
            let four = _mm_min_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_min_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_min_ss(two, _mm_movehdup_ps(two)))
        }
    }
    vector! {
        Avx2, f64, __m256d, 4, _mm256_set1_pd, _mm256_loadu_pd, _mm256_storeu_pd, _mm256_add_pd,
        _mm256_sub_pd, _mm256_mul_pd, _mm256_div_pd, _mm256_fmadd_pd, _mm256_min_pd, _mm256_max_pd,
        abs |a| _mm256_andnot_pd(_mm256_set1_pd(-0.0), a),
        select_less |a, b, x, y| _mm256_blendv_pd(y, x, _mm256_cmp_pd::<_CMP_LT_OQ>(a, b)),
        less |a, b| _mm256_movemask_pd(_mm256_cmp_pd::<_CMP_LT_OQ>(a, b)) as u32,
        least |a| {
            let two = _mm_min_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd::<1>(a));
            _mm_cvtsd_f64(_mm_min_sd(two, _mm_unpackhi_pd(two, two)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Applies every operation to two vectors and returns the lanes, so instruction sets can be compared.
    struct Everything;

    /// For each vector the lanes and the mask, and the least of all lanes that are numbers.
    type Outcome<T> = (Vec<(Vec<T>, u32)>, T);

    impl<T: Vectorised + From<f32>> Body<T> for Everything {
        type Output = Outcome<T>;

        fn run<S: Simd<Real = T>>(self, simd: S) -> Outcome<T> {
            let lanes = |shift: f32| -> Vec<T> { (0..16).map(|i| T::from((i as f32 - 5.5) * shift + 0.1)).collect() };
            let (numbers, mut x, mut y) = (lanes(-2.3), lanes(1.7), lanes(-0.9));
            let strange = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0].map(T::from);
            x[..4].copy_from_slice(&strange);
            y[2..6].copy_from_slice(&strange);
            let mut out = Vec::new();
            let mut least = T::from(f32::INFINITY);
            for start in (0..16).step_by(S::LANES) {
                let (a, b) = (simd.load(&x[start..]), simd.load(&y[start..]));
                let c = simd.splat(T::from(0.3));
                for vector in [
                    simd.add(a, b),
                    simd.sub(a, b),
                    simd.mul(a, b),
                    simd.div(a, b),
                    simd.mul_add(a, b, c),
                    simd.abs(a),
                    simd.min(a, b),
                    simd.max(a, b),
                    simd.select_less(a, b, c, a),
                ] {
                    let mut values = vec![T::default(); S::LANES];
                    simd.store(vector, &mut values);
                    out.push((values, simd.less(a, b)));
                }
                let here = simd.least(simd.load(&numbers[start..]));
                least = if here < least { here } else { least };
            }
            (out, least)
        }
    }

    /// Columns of the operations, as bits: every NaN is one.
    fn flat<T: Copy + Into<f64>>((parts, least): &Outcome<T>) -> (Vec<u64>, Vec<bool>) {
        let lanes = parts[0].0.len();
        let mut columns = vec![Vec::new(); 9];
        let mut masks = Vec::new();
        for (i, (values, mask)) in parts.iter().enumerate() {
            columns[i % 9].extend(values.iter().map(|&value| value.into()));
            if i % 9 == 0 {
                masks.extend((0..lanes).map(|lane| mask >> lane & 1 == 1));
            }
        }
        columns.push(vec![(*least).into()]);
        let bits = |value: f64| if value.is_nan() { u64::MAX } else { value.to_bits() };
        (columns.concat().into_iter().map(bits).collect(), masks)
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let single = flat(&Everything.run(Portable::<f32>(std::marker::PhantomData)));
        let double = flat(&Everything.run(Portable::<f64>(std::marker::PhantomData)));
        assert_eq!(*single.0.last().unwrap(), f64::from(-2.3_f32 * 9.5 + 0.1).to_bits());
        assert_eq!(single, flat(&dispatch::<f32, _>(Everything)));
        assert_eq!(double, flat(&dispatch::<f64, _>(Everything)));
        #[cfg(target_arch = "x86_64")]
        if x86::has_avx2() {
            // SAFETY: the processor has AVX2.
            let narrow = unsafe { x86::run_avx2::<f32, _, _>(Everything, x86::Avx2::<f32>::new()) };
            assert_eq!(single, flat(&narrow));
            // SAFETY: the processor has AVX2.
            let narrow = unsafe { x86::run_avx2::<f64, _, _>(Everything, x86::Avx2::<f64>::new()) };
            assert_eq!(double, flat(&narrow));
        }
    }
}
