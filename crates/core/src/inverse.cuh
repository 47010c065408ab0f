// SPDX-License-Identifier: Apache-2.0
// The inverse of a map from pairs to targets, so that each target can add up what its pairs bring in ascending order: the
// same bits in every run, whatever the order of threads. Places come from atomics on integers and are then sorted.
//
// An operator that uses it has a kernel for each pass, which inverse.rs launches in this order:
//
//   clear    inverse_clear                          a thread a target, and one more
//   count    inverse_count for each pair's target   a thread as the operator likes
//   scan     inverse_scan                           a block a tile of targets
//   totals   inverse_totals                         one block
//   place    inverse_place for each pair            as for count
//
// and a last one of its own, in which inverse_pairs gives the pairs of a target.
#pragma once
#include "cuda.cuh"

constexpr int kScanThreads = 256, kScanItems = 8, kScanTile = kScanThreads * kScanItems;

struct Inverse {
    int64_t* first;   // (T + 1): where the pairs of each target begin, counted from the first of its tile
    int64_t* count;   // (T + 1): how many pairs of each target have no place yet
    int64_t* tiles;   // (T + 1 over a tile, rounded up): where the pairs of each tile begin
    int64_t* pairs;   // the numbers of all pairs, grouped by target
    int64_t targets;  // T
};

PATINA3D_LAYOUT(Inverse, first, count, tiles, pairs, targets)

inline __device__ void inverse_clear(const Inverse& x) {
    const int64_t target = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (target <= x.targets) x.count[target] = 0;
}

// Adds to a counter and returns what it was. Integers come out the same in any order.
inline __device__ int64_t inverse_add(int64_t* counter, int64_t value) {
    return static_cast<int64_t>(
        atomicAdd(reinterpret_cast<unsigned long long*>(counter), static_cast<unsigned long long>(value)));
}

inline __device__ void inverse_count(const Inverse& x, int64_t target) { inverse_add(x.count + target, 1); }

// The sum of the values of the threads before this one, and that of all.
inline __device__ int64_t inverse_sum_before(int64_t value, int64_t& total) {
    __shared__ int64_t partial[kScanThreads];
    const int lane = threadIdx.x;
    partial[lane] = value;
    __syncthreads();
    for (int step = 1; step < kScanThreads; step *= 2) {
        const int64_t before = lane >= step ? partial[lane - step] : 0;
        __syncthreads();
        partial[lane] += before;
        __syncthreads();
    }
    total = partial[kScanThreads - 1];
    const int64_t before = partial[lane] - value;
    __syncthreads();
    return before;
}

inline __device__ void inverse_scan(const Inverse& x) {
    const int64_t start = static_cast<int64_t>(blockIdx.x) * kScanTile + threadIdx.x * kScanItems;
    int64_t sum = 0, total;
    for (int64_t i = start; i < start + kScanItems && i <= x.targets; ++i) sum += x.count[i];
    int64_t before = inverse_sum_before(sum, total);
    for (int64_t i = start; i < start + kScanItems && i <= x.targets; ++i) {
        x.first[i] = before;
        before += x.count[i];
    }
    if (threadIdx.x == 0) x.tiles[blockIdx.x] = total;
}

inline __device__ void inverse_totals(const Inverse& x) {
    const int64_t tiles = x.targets / kScanTile + 1;
    int64_t carry = 0, total;
    for (int64_t start = 0; start < tiles; start += kScanThreads) {
        const int64_t tile = start + threadIdx.x;
        const int64_t before = inverse_sum_before(tile < tiles ? x.tiles[tile] : 0, total);
        if (tile < tiles) x.tiles[tile] = carry + before;
        carry += total;
    }
}

inline __device__ int64_t inverse_first(const Inverse& x, int64_t target) {
    return x.first[target] + x.tiles[target / kScanTile];
}

inline __device__ void inverse_place(const Inverse& x, int64_t target, int64_t pair) {
    x.pairs[inverse_first(x, target) + inverse_add(x.count + target, -1) - 1] = pair;
}

// Sorts in place without recursion or memory of its own.
inline __device__ void inverse_sort(int64_t* values, int64_t size) {
    for (int64_t end = size, start = size / 2; end > 1;) {
        int64_t value;
        if (start > 0) {
            value = values[--start];
        } else {
            value = values[--end];
            values[end] = values[0];
        }
        int64_t parent = start;
        for (int64_t child = 2 * parent + 1; child < end; child = 2 * parent + 1) {
            if (child + 1 < end && values[child + 1] > values[child]) ++child;
            if (values[child] <= value) break;
            values[parent] = values[child];
            parent = child;
        }
        values[parent] = value;
    }
}

// The pairs of a target in ascending order; to be asked for by one thread.
inline __device__ const int64_t* inverse_pairs(const Inverse& x, int64_t target, int64_t& count) {
    int64_t* pairs = x.pairs + inverse_first(x, target);
    count = inverse_first(x, target + 1) - inverse_first(x, target);
    inverse_sort(pairs, count);
    return pairs;
}
