// SPDX-License-Identifier: Apache-2.0
#include "warp.h"

static constexpr unsigned kAll = 0xffffffffu;

static __device__ int32_t* row_of(const EmulatorWarpParams& p) {
    return p.rows + (blockIdx.x * blockDim.x + threadIdx.x) * p.columns;
}

extern "C" __global__ void emulator_warp_shuffles(const EmulatorWarpParams p) {
    int32_t* const row = row_of(p);
    const int value = 100 + int(threadIdx.x);
    row[0] = __shfl_sync(kAll, value, 3, p.width);
    row[1] = __shfl_up_sync(kAll, value, 2, p.width);
    row[2] = __shfl_down_sync(kAll, value, 2, p.width);
    row[3] = __shfl_xor_sync(kAll, value, 5, p.width);
    row[4] = int(__shfl_sync(kAll, 0.5 * value, 1) * 2.0);
    row[5] = int(__shfl_sync(kAll, (unsigned long long)(value) << 32, 2) >> 32);
}

extern "C" __global__ void emulator_warp_votes(const EmulatorWarpParams p) {
    int32_t* const row = row_of(p);
    const bool odd = threadIdx.x % 2 == 1;
    int all_alike;
    row[0] = int(__ballot_sync(kAll, odd));
    row[1] = __any_sync(kAll, threadIdx.x == 70);
    row[2] = __all_sync(kAll, threadIdx.x < 64);
    row[3] = int(__match_any_sync(kAll, threadIdx.x % 3));
    row[4] = int(__match_all_sync(kAll, threadIdx.x / 32, &all_alike));
    row[5] = all_alike;
    row[6] = int(__match_all_sync(kAll, threadIdx.x, &all_alike));
    row[7] = __syncthreads_count(odd);
    row[8] = __syncthreads_and(threadIdx.x < 200);
    row[9] = __syncthreads_or(threadIdx.x == 5);
}

// Both halves of a warp shuffle among themselves, at different lines.
extern "C" __global__ void emulator_warp_halves(const EmulatorWarpParams p) {
    const int value = int(threadIdx.x);
    int received;
    if (threadIdx.x % 32 < 16) {
        received = __shfl_xor_sync(0x0000ffffu, value, 1);
    } else {
        received = __shfl_xor_sync(0xffff0000u, value, 2);
        __syncwarp(0xffff0000u);
    }
    row_of(p)[0] = received;
}

// Threads beyond `width` return at once; the others still meet.
extern "C" __global__ void emulator_warp_early_return(const EmulatorWarpParams p) {
    __shared__ int tile[1024];
    if (int(threadIdx.x) >= p.width) return;
    tile[threadIdx.x] = int(threadIdx.x);
    __syncthreads();
    row_of(p)[0] = tile[p.width - 1 - int(threadIdx.x)];
    row_of(p)[1] = int(__ballot_sync(kAll, 1));
    // From a lane that has returned comes nothing of use.
    row_of(p)[2] = __shfl_sync(kAll, 7, 31);
}

// Neighbours exchange through shared memory, which needs a barrier of the warp.
extern "C" __global__ void emulator_warp_shared_exchange(const EmulatorWarpParams p) {
    __shared__ int tile[64];
    tile[threadIdx.x] = int(threadIdx.x);
    __syncwarp();
    const int neighbour = tile[threadIdx.x ^ 1];
    __syncwarp();
    tile[threadIdx.x] = neighbour + 1000;
    __syncwarp();
    row_of(p)[0] = tile[threadIdx.x ^ 1];
}
