// SPDX-License-Identifier: Apache-2.0
// What kernels on padded batches of clouds share: how many points count, and how a distance changes.
#pragma once
#include "cuda.cuh"

// How many points of a cloud count, of at most `most`.
inline __device__ int64_t length_of(const int64_t* lengths, int64_t cloud, int64_t most) {
    if (lengths == nullptr) return most;
    const int64_t length = lengths[cloud];
    return length < 0 ? 0 : (length > most ? most : length);
}

// The distance so far with the difference along one more axis: of squared differences for norm 2, of absolute ones for 1.
inline __device__ float accumulate(int norm, float difference, float sum) {
    return norm == 2 ? __fmaf_rn(difference, difference, sum) : fabsf(difference) + sum;
}
inline __device__ double accumulate(int norm, double difference, double sum) {
    return norm == 2 ? __fma_rn(difference, difference, sum) : fabs(difference) + sum;
}

// d |x - y| / dx or d (x - y)^2 / dx, times g; the subgradient of |.| at 0 is 0.
template <typename T>
__device__ T slope(int norm, T g, T difference) {
    if (norm == 2) return 2 * g * difference;
    return difference > 0 ? g : (difference < 0 ? -g : T(0));
}
