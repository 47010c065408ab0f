// SPDX-License-Identifier: Apache-2.0
// What the lanes of a warp do together; each of them makes the call.
#pragma once
#include "cuda.cuh"

constexpr unsigned kAllLanes = 0xffffffffu;

// The sum over a warp, in the same order in every lane.
template <typename T>
__device__ T warp_sum(T value) {
    for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(kAllLanes, value, step);
    return value;
}
