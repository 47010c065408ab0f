// SPDX-License-Identifier: Apache-2.0
// Between the packed and the padded form: one thread a unit of the result.
#include "packed_to_padded.h"

namespace {

// The largest unit that one instruction moves.
struct __align__(16) Unit128 {
    uint64_t low, high;
};

// The items of an element, within the packed form whatever first_idxs holds.
struct Items {
    int64_t begin, end;

    __device__ Items(const PackedToPaddedParams& p, int64_t n)
        : begin(clamp(p, p.first_idxs[n])), end(n + 1 < p.n ? clamp(p, p.first_idxs[n + 1]) : p.f) {}

    static __device__ int64_t clamp(const PackedToPaddedParams& p, int64_t item) {
        return item < 0 ? 0 : (item < p.f ? item : p.f);
    }
};

// The last element that begins at an item or before it; -1 where there is none.
__device__ int64_t element_of(const PackedToPaddedParams& p, int64_t item) {
    int64_t low = 0, high = p.n;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (p.first_idxs[middle] <= item) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low - 1;
}

template <typename Unit>
__device__ void pad(const PackedToPaddedParams& p) {
    const int64_t thread = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    const int64_t place = thread / p.units, unit = thread % p.units;
    if (place >= p.n * p.m) return;
    const int64_t i = place % p.m;
    const Items items(p, place / p.m);
    const bool there = i < items.end - items.begin;
    const Unit* from = static_cast<const Unit*>(p.from);
    static_cast<Unit*>(p.to)[thread] = there ? from[(items.begin + i) * p.units + unit] : Unit{};
}

template <typename Unit>
__device__ void pack(const PackedToPaddedParams& p) {
    const int64_t thread = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    const int64_t item = thread / p.units, unit = thread % p.units;
    if (item >= p.f) return;
    const int64_t n = element_of(p, item);
    const int64_t i = n < 0 ? p.m : item - Items(p, n).begin;
    const Unit* from = static_cast<const Unit*>(p.from);
    static_cast<Unit*>(p.to)[thread] = i < p.m ? from[(n * p.m + i) * p.units + unit] : Unit{};
}

}  // namespace

#define KERNELS(name, Unit)                                                                                \
    extern "C" __global__ void packed_to_padded_pad_##name(const PackedToPaddedParams p) { pad<Unit>(p); } \
    extern "C" __global__ void packed_to_padded_pack_##name(const PackedToPaddedParams p) { pack<Unit>(p); }

KERNELS(u8, uint8_t)
KERNELS(u16, uint16_t)
KERNELS(u32, uint32_t)
KERNELS(u64, uint64_t)
KERNELS(u128, Unit128)
