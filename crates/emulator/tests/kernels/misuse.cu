// SPDX-License-Identifier: Apache-2.0
// Kernels that are wrong on purpose.
#include "warp.h"

extern "C" __global__ void emulator_misuse_divergent_barrier(const EmulatorWarpParams p) {
    if (threadIdx.x % 32 < 16) __syncthreads();
    p.rows[threadIdx.x] = __shfl_sync(0xffffffffu, 1, 0);
}

extern "C" __global__ void emulator_misuse_two_barriers(const EmulatorWarpParams p) {
    if (threadIdx.x < 32) {
        __syncthreads();
    } else {
        __syncthreads();
    }
}

extern "C" __global__ void emulator_misuse_missing_lane(const EmulatorWarpParams p) {
    if (blockIdx.x == 2 && threadIdx.x == 5) {
        __ballot_sync(0x20u, 1);
        __syncthreads();
        return;
    }
    __syncwarp();
    __syncthreads();
}

extern "C" __global__ void emulator_misuse_mask_without_self(const EmulatorWarpParams p) {
    p.rows[threadIdx.x] = __any_sync(0x0000ffffu, 1);
}

extern "C" __global__ void emulator_misuse_shuffle_width(const EmulatorWarpParams p) {
    p.rows[threadIdx.x] = __shfl_sync(0xffffffffu, 1, 0, p.width);
}

extern "C" __global__ void emulator_misuse_trap(const EmulatorWarpParams p) {
    if (threadIdx.x == 33) __trap();
}

extern "C" __global__ void emulator_misuse_global_out_of_bounds(const EmulatorWarpParams p) { p.rows[threadIdx.x] = 1; }

extern "C" __global__ void emulator_misuse_shared_out_of_bounds(const EmulatorWarpParams p) {
    __shared__ int tile[16];
    int* const first = tile;
    first[threadIdx.x + p.width] = 1;
    p.rows[threadIdx.x % 16] = tile[threadIdx.x % 16];
}

extern "C" __global__ void emulator_misuse_dynamic_out_of_bounds(const EmulatorWarpParams p) {
    PATINA3D_DYNAMIC_SHARED(int, tile);
    tile[threadIdx.x] = 1;
    p.rows[0] = tile[0];
}

extern "C" __global__ void emulator_misuse_local_out_of_bounds(const EmulatorWarpParams p) {
    int local[8];
    for (int i = 0; i < p.width; ++i) local[i] = i;
    __syncthreads();
    p.rows[threadIdx.x] = local[threadIdx.x % 8];
}

extern "C" __global__ void emulator_misuse_float_overflow(const EmulatorWarpParams p) {
    p.rows[threadIdx.x] = int(1e20f * float(p.width));
}

extern "C" __global__ void emulator_misuse_too_much_shared(const EmulatorWarpParams p) {
    __shared__ double small[32];
    __shared__ double large[48 * 128];
    small[threadIdx.x] = large[threadIdx.x] = 1.0;
    p.rows[threadIdx.x] = int(small[31 - threadIdx.x] + large[31 - threadIdx.x]);
}
