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

// d |x - y| / dx or d (x - y)^2 / dx, times g; the subgradient of |.| at 0 is 0.
template <typename T>
__device__ T slope(int norm, T g, T difference) {
    if (norm == 2) return 2 * g * difference;
    return difference > 0 ? g : (difference < 0 ? -g : T(0));
}
