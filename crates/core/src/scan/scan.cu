// SPDX-License-Identifier: Apache-2.0
// The sum of all entries before each one, modulo 2^64, in three launches: the sums of the tiles, a scan of those by one
// block, a scan of each tile that begins at its sum. One block alone scans what is small. No block waits for another.
#include "block_scan.cuh"
#include "scan.h"

namespace {

// A warp owns consecutive rows of 32 entries, so that every access is coalesced.
constexpr int kThreads = 256, kRows = 8, kTile = kThreads * kRows;

__device__ int64_t first_of_thread(int64_t tile) {
    return tile * kTile + threadIdx.x / 32 * (32 * kRows) + threadIdx.x % 32;
}

// The entries of this thread, 32 apart; 0 beyond the end.
template <typename Count>
__device__ void load(const ScanParams& p, int64_t first, uint64_t (&values)[kRows]) {
    const Count* counts = static_cast<const Count*>(p.counts);
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
        const int64_t i = first + 32 * row;
        values[row] = i < p.count ? counts[i] : 0;
    }
}

// Scans a tile of which the entries before sum up to `before`; returns the sum through its last entry. A tile is read
// before it is written, so `out` may be `counts`.
template <typename Count>
__device__ uint64_t scan_tile(const ScanParams& p, int64_t tile, uint64_t before) {
    const int64_t first = first_of_thread(tile);
    uint64_t values[kRows];
    load<Count>(p, first, values);
    uint64_t warp_sum = 0, total;
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
        const uint64_t through = warp_sum_through(values[row]);
        values[row] = warp_sum + through - values[row];
        warp_sum += __shfl_sync(kAllLanes, through, 31);
    }
    const uint64_t before_warp = before + block_sum_of_warps_before<kThreads>(warp_sum, total);
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
        const int64_t i = first + 32 * row;
        if (i < p.count) p.out[i] = before_warp + values[row];
    }
    return before + total;
}

// A block a tile.
template <typename Count>
__device__ void scan_sums(const ScanParams& p) {
    uint64_t values[kRows], sum = 0, total;
    load<Count>(p, first_of_thread(blockIdx.x), values);
#pragma unroll
    for (int row = 0; row < kRows; ++row) sum += values[row];
    block_sum_before<kThreads>(sum, total);
    if (threadIdx.x == 0) p.sums[blockIdx.x] = total;
}

// A block a tile.
template <typename Count>
__device__ void scan_tiles(const ScanParams& p) {
    const uint64_t through = scan_tile<Count>(p, blockIdx.x, p.sums[blockIdx.x]);
    if (threadIdx.x == 0 && blockIdx.x == gridDim.x - 1) p.out[p.count] = through;
}

// One block for all.
template <typename Count>
__device__ void scan_whole(const ScanParams& p) {
    uint64_t through = 0;
    for (int64_t tile = 0; tile * kTile < p.count; ++tile) through = scan_tile<Count>(p, tile, through);
    if (threadIdx.x == 0) p.out[p.count] = through;
}

}  // namespace

extern "C" __global__ void scan_sums_u32(const ScanParams p) { scan_sums<uint32_t>(p); }
extern "C" __global__ void scan_tiles_u32(const ScanParams p) { scan_tiles<uint32_t>(p); }
extern "C" __global__ void scan_whole_u32(const ScanParams p) { scan_whole<uint32_t>(p); }

extern "C" __global__ void scan_sums_u64(const ScanParams p) { scan_sums<uint64_t>(p); }
extern "C" __global__ void scan_tiles_u64(const ScanParams p) { scan_tiles<uint64_t>(p); }
extern "C" __global__ void scan_whole_u64(const ScanParams p) { scan_whole<uint64_t>(p); }
