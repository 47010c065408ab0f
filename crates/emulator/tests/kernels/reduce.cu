// SPDX-License-Identifier: Apache-2.0
#include "reduce.h"

// Each block sums its tile: a tree in shared memory, or shuffles and one value a warp.

template <typename T, int Threads>
static __device__ T sum_of_block(T value) {
    __shared__ T tile[Threads];
    tile[threadIdx.x] = value;
    __syncthreads();
    for (int half = Threads / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) tile[threadIdx.x] += tile[threadIdx.x + half];
        __syncthreads();
    }
    return tile[0];
}

template <typename T>
static __device__ T sum_of_warp(T value) {
    for (int offset = 16; offset > 0; offset /= 2) value += __shfl_down_sync(0xffffffffu, value, offset);
    return value;
}

static __device__ float value_of(const EmulatorReduceParams& p) {
    const int64_t i = this_thread();
    return i < p.num_values ? float(p.scale[i % 3]) * __ldg(p.values + i) : 0.0f;
}

extern "C" __global__ void __launch_bounds__(256) emulator_reduce_tree(const EmulatorReduceParams p) {
    const float sum = sum_of_block<float, 256>(value_of(p));
    const double sum64 = sum_of_block<double, 256>(double(value_of(p)));
    if (threadIdx.x == 0) p.sums[blockIdx.x] = fabsf(sum - float(sum64)) < 1e-3f ? sum : NAN;
}

extern "C" __global__ void emulator_reduce_shuffle(const EmulatorReduceParams p) {
    PATINA3D_DYNAMIC_SHARED(float, partial);
    const int lane = threadIdx.x % warpSize, warp = threadIdx.x / warpSize;
    const float sum = sum_of_warp(value_of(p));
    if (lane == 0) partial[warp] = sum;
    __syncthreads();
    if (warp != 0) return;
    const float total = sum_of_warp(lane < blockDim.x / warpSize ? partial[lane] : 0.0f);
    if (lane == 0) p.sums[blockIdx.x] = total;
}
