// SPDX-License-Identifier: Apache-2.0
// One digit of a stable radix sort, from the lowest digit on: how many keys of each digit every tile has, where those go
// (a scan, digits before tiles), and the keys brought there. A tile that is alone is sorted by one block at once. No block
// waits for another.
#include "scan/block_scan.cuh"
#include "sort.h"

namespace {

// A warp owns consecutive rows of 32 pairs, so that rows keep the order of the pairs and every access is coalesced.
constexpr int kThreads = 256, kRows = 16, kTile = kThreads * kRows, kWarps = kThreads / 32, kDigits = 256;
static_assert(kThreads == kDigits, "a thread a digit");

__device__ int64_t first_of_tile(int64_t tile) { return tile * kTile; }
__device__ int first_of_thread() { return threadIdx.x / 32 * (32 * kRows) + threadIdx.x % 32; }

// Where `places` keeps what belongs to a digit of a tile.
__device__ int64_t place_of(const SortParams& p, int64_t digit, int64_t tile) { return digit * p.tiles + tile; }

template <typename Key>
__device__ unsigned digit_of(Key key, int shift, int width) {
    return static_cast<unsigned>(key >> shift) & ((1u << width) - 1);
}

// Those of `lanes` that have the digit of this lane.
__device__ unsigned peers_of(unsigned lanes, unsigned digit, int width) {
#pragma unroll 1
    for (int bit = 0; bit < width; ++bit) {
        const unsigned set = __ballot_sync(kAllLanes, digit >> bit & 1);
        lanes &= digit >> bit & 1 ? set : ~set;
    }
    return lanes;
}

// The places that a tile's pairs have in it, sorted by a digit; each thread has the pairs of first_of_thread(), 32 apart.
// Returns where the pairs begin whose digit is the number of this thread.
template <typename Key>
__device__ unsigned sort_places(const Key (&keys)[kRows], int count, int shift, int width, unsigned (&places)[kRows]) {
    // Of each digit: the pairs that a warp has seen; then where its pairs of that digit begin.
    __shared__ unsigned seen[kWarps][kDigits];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    for (int i = 0; i < kWarps; ++i) seen[i][threadIdx.x] = 0;
    __syncthreads();
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
        const bool valid = first_of_thread() + 32 * row < count;
        const unsigned lanes = __ballot_sync(kAllLanes, valid);
        if (lanes == 0) continue;
        const unsigned digit = digit_of(keys[row], shift, width);
        const unsigned peers = peers_of(lanes, digit, width);
        const unsigned peers_before = __popc(peers & ((1u << lane) - 1));
        const unsigned before = seen[warp][digit];
        __syncwarp();
        if (valid && peers_before == 0) seen[warp][digit] = before + __popc(peers);
        __syncwarp();
        places[row] = before + peers_before;
    }
    __syncthreads();
    unsigned pairs = 0, total;
    for (int i = 0; i < kWarps; ++i) {
        const unsigned of_warp = seen[i][threadIdx.x];
        seen[i][threadIdx.x] = pairs;
        pairs += of_warp;
    }
    const unsigned first = block_sum_before<kThreads>(pairs, total);
    for (int i = 0; i < kWarps; ++i) seen[i][threadIdx.x] += first;
    __syncthreads();
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
        if (first_of_thread() + 32 * row < count) places[row] += seen[warp][digit_of(keys[row], shift, width)];
    }
    return first;
}

template <typename Value>
__device__ void load(const Value* values, int count, Value (&rows)[kRows]) {
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
        const int i = first_of_thread() + 32 * row;
        rows[row] = i < count ? values[i] : Value(0);
    }
}

// The values of a tile's pairs.
template <typename Value>
__device__ void load_values(const SortParams& p, int64_t start, int count, Value (&rows)[kRows]) {
    if (p.values != nullptr) return load(static_cast<const Value*>(p.values) + start, count, rows);
#pragma unroll
    for (int row = 0; row < kRows; ++row) rows[row] = static_cast<Value>(start + first_of_thread() + 32 * row);
}

// Brings what the threads hold to places of the block's memory.
template <typename Value>
__device__ void exchange(const Value (&rows)[kRows], const unsigned (&places)[kRows], int count, Value* memory) {
    __syncthreads();
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
        if (first_of_thread() + 32 * row < count) memory[places[row]] = rows[row];
    }
    __syncthreads();
}

template <bool condition, typename A, typename B>
struct Choose {
    using type = A;
};
template <typename A, typename B>
struct Choose<false, A, B> {
    using type = B;
};
// Memory for a tile of either.
template <typename A, typename B>
using Larger = typename Choose<(sizeof(A) > sizeof(B)), A, B>::type;

__device__ int pairs_of_tile(const SortParams& p, int64_t tile) {
    const int64_t rest = p.count - first_of_tile(tile);
    return static_cast<int>(rest < kTile ? rest : kTile);
}

// A block a tile.
template <typename Key>
__device__ void sort_count(const SortParams& p) {
    __shared__ unsigned counts[kDigits];
    const int64_t tile = blockIdx.x;
    const int count = pairs_of_tile(p, tile);
    const Key* keys = static_cast<const Key*>(p.keys) + first_of_tile(tile);
    counts[threadIdx.x] = 0;
    __syncthreads();
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
        const int i = row * kThreads + threadIdx.x;
        if (i < count) atomicAdd(counts + digit_of(keys[i], p.shift, p.width), 1u);
    }
    __syncthreads();
    if (threadIdx.x < 1 << p.width) p.places[place_of(p, threadIdx.x, tile)] = counts[threadIdx.x];
}

// A block a tile. Pairs are first sorted on chip, so that those of a digit leave together.
template <typename Key, typename Value>
__device__ void sort_scatter(const SortParams& p) {
    __shared__ Larger<Key, Value> memory[kTile];
    // Where a digit's pairs go, less where they begin in the tile; modulo 2^64.
    __shared__ uint64_t offsets[kDigits];
    const int64_t tile = blockIdx.x, start = first_of_tile(tile);
    const int count = pairs_of_tile(p, tile);

    Key keys[kRows];
    unsigned places[kRows];
    load(static_cast<const Key*>(p.keys) + start, count, keys);
    const unsigned first = sort_places(keys, count, p.shift, p.width, places);
    if (threadIdx.x < 1 << p.width) offsets[threadIdx.x] = p.places[place_of(p, threadIdx.x, tile)] - first;

    Key* const key_memory = reinterpret_cast<Key*>(memory);
    exchange(keys, places, count, key_memory);
    uint64_t to[kRows];
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
        const int i = row * kThreads + threadIdx.x;
        if (i >= count) break;
        const Key key = key_memory[i];
        to[row] = offsets[digit_of(key, p.shift, p.width)] + i;
        static_cast<Key*>(p.sorted_keys)[to[row]] = key;
    }

    Value values[kRows];
    Value* const value_memory = reinterpret_cast<Value*>(memory);
    load_values(p, start, count, values);
    exchange(values, places, count, value_memory);
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
        const int i = row * kThreads + threadIdx.x;
        if (i >= count) break;
        static_cast<Value*>(p.sorted_values)[to[row]] = value_memory[i];
    }
}

// One block for one tile, all digits.
template <typename Key, typename Value>
__device__ void sort_tile(const SortParams& p) {
    __shared__ Larger<Key, Value> memory[kTile];
    const int count = pairs_of_tile(p, 0);
    Key keys[kRows];
    Value values[kRows];
    unsigned places[kRows];
    load(static_cast<const Key*>(p.keys), count, keys);
    load_values(p, 0, count, values);
#pragma unroll 1
    for (int shift = 0; shift < p.bits; shift += p.width) {
        const int width = p.bits - shift < p.width ? p.bits - shift : p.width;
        sort_places(keys, count, shift, width, places);
        exchange(keys, places, count, reinterpret_cast<Key*>(memory));
        load(reinterpret_cast<const Key*>(memory), count, keys);
        exchange(values, places, count, reinterpret_cast<Value*>(memory));
        load(reinterpret_cast<const Value*>(memory), count, values);
    }
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
        const int i = first_of_thread() + 32 * row;
        if (i >= count) break;
        static_cast<Key*>(p.sorted_keys)[i] = keys[row];
        static_cast<Value*>(p.sorted_values)[i] = values[row];
    }
}

}  // namespace

extern "C" __global__ void sort_count_u32(const SortParams p) { sort_count<uint32_t>(p); }
extern "C" __global__ void sort_scatter_u32_u32(const SortParams p) { sort_scatter<uint32_t, uint32_t>(p); }
extern "C" __global__ void sort_tile_u32_u32(const SortParams p) { sort_tile<uint32_t, uint32_t>(p); }

extern "C" __global__ void sort_count_u64(const SortParams p) { sort_count<uint64_t>(p); }
extern "C" __global__ void sort_scatter_u64_u32(const SortParams p) { sort_scatter<uint64_t, uint32_t>(p); }
extern "C" __global__ void sort_tile_u64_u32(const SortParams p) { sort_tile<uint64_t, uint32_t>(p); }
extern "C" __global__ void sort_scatter_u64_u64(const SortParams p) { sort_scatter<uint64_t, uint64_t>(p); }
extern "C" __global__ void sort_tile_u64_u64(const SortParams p) { sort_tile<uint64_t, uint64_t>(p); }
