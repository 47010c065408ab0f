// SPDX-License-Identifier: Apache-2.0
// Sums over the lanes of a warp and the threads of a block that come before the calling one. Every thread of the warp, or
// of the block, makes the call.
#pragma once
#include "warp.cuh"

// The sum of the values of this lane and of those before it.
template <typename T>
__device__ T warp_sum_through(T value) {
    const int lane = threadIdx.x % 32;
    for (int step = 1; step < 32; step *= 2) {
        const T before = __shfl_up_sync(kAllLanes, value, step);
        if (lane >= step) value += before;
    }
    return value;
}

// From the sum of each warp, known to its last lane: the sum of the warps before this one, and that of all.
template <int kThreads, typename T>
__device__ T block_sum_of_warps_before(T warp_sum, T& total) {
    static_assert(kThreads % 32 == 0, "whole warps");
    __shared__ T sums[kThreads / 32];
    const int warp = threadIdx.x / 32;
    if (threadIdx.x % 32 == 31) sums[warp] = warp_sum;
    __syncthreads();
    T before = 0;
    total = 0;
    for (int i = 0; i < kThreads / 32; ++i) {
        if (i == warp) before = total;
        total += sums[i];
    }
    __syncthreads();
    return before;
}

// The sum of the values of the threads before this one, and that of all.
template <int kThreads, typename T>
__device__ T block_sum_before(T value, T& total) {
    const T through = warp_sum_through(value);
    return block_sum_of_warps_before<kThreads>(through, total) + through - value;
}
