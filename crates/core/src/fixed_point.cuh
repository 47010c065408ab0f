// SPDX-License-Identifier: Apache-2.0
// Sums of floats by integer atomics on 64-bit fixed point: the same bits in every order of arrival, without lists of
// unknown length and so without a synchronisation. The same pass over the summands runs twice: first to find each sum's
// greatest exponent and number of summands, then to add. Of n summands, each is rounded to 2^-60 n of the greatest. A sum
// with a summand that is infinite or NaN is NaN.
#pragma once
#include "cuda.cuh"

template <typename T>
struct Float;

template <>
struct Float<float> {
    static constexpr int bias = 127, not_finite = 255;
    static __device__ int exponent(float x) { return __float_as_int(x) >> 23 & 255; }
    static __device__ float scale(float x, int power) { return ldexpf(x, power); }
    static __device__ long long round(float x) { return __float2ll_rn(x); }
};

template <>
struct Float<double> {
    static constexpr int bias = 1023, not_finite = 2047;
    static __device__ int exponent(double x) { return int(__double_as_longlong(x) >> 52 & 2047); }
    static __device__ double scale(double x, int power) { return ldexp(x, power); }
    static __device__ long long round(double x) { return __double2ll_rn(x); }
};

// Rows of sums; the components of a row have the same number of summands. Kernels clear, measure, add, finish.
template <typename T>
struct FixedPointSums {
    T* result;                     // (rows, components); exponents wait in its memory
    unsigned long long* sums;      // (rows, components)
    unsigned long long* summands;  // (rows)
    int64_t rows, components;

    // What a thread of its own does for each number; `sum` counts through all rows.
    __device__ void clear(int64_t sum) const {
        if (sum >= rows * components) return;
        *exponent(sum) = 0;
        sums[sum] = 0;
        if (sum % components == 0) summands[sum / components] = 0;
    }

    // Notes one summand's exponent.
    __device__ void measure(int64_t sum, T value) const {
        atomicMax(exponent(sum), Float<T>::exponent(value));
        if (sum % components == 0) atomicAdd(summands + sum / components, 1ull);
    }

    // Adds one summand.
    __device__ void add(int64_t sum, T value) const {
        const long long fixed = Float<T>::round(Float<T>::scale(value, power(sum)));
        if (fixed != 0) atomicAdd(sums + sum, static_cast<unsigned long long>(fixed));
    }

    // As clear.
    __device__ void finish(int64_t sum) const {
        if (sum >= rows * components) return;
        const bool finite = *exponent(sum) != Float<T>::not_finite;
        const T value = Float<T>::scale(T(static_cast<long long>(sums[sum])), -power(sum));
        result[sum] = finite ? value : T(NAN);
    }

private:
    __device__ int* exponent(int64_t sum) const {
        return reinterpret_cast<int*>(result) + sum * int64_t(sizeof(T) / sizeof(int));
    }

    // Every summand is below 2^(exponent - bias + 1), so all of them times 2^power stay below 2^62.
    __device__ int power(int64_t sum) const {
        return 62 - (64 - __clzll(summands[sum / components])) - (*exponent(sum) - Float<T>::bias + 1);
    }
};

// What a pass over the summands does with each of them.
template <typename T>
struct MeasureSum {
    static __device__ void take(const FixedPointSums<T>& sums, int64_t sum, T value) { sums.measure(sum, value); }
};

template <typename T>
struct AddToSum {
    static __device__ void take(const FixedPointSums<T>& sums, int64_t sum, T value) { sums.add(sum, value); }
};
