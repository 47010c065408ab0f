// SPDX-License-Identifier: Apache-2.0
// Between the packed and the padded form: one thread a unit of the result.
#include "packed_to_padded.h"

#include "packing.cuh"

namespace {

// The largest unit that one instruction moves.
struct __align__(16) Unit128 {
    uint64_t low, high;
};

__device__ Packing packing_of(const PackedToPaddedParams& p) { return {p.first_idxs, p.n, p.f}; }

template <typename Unit>
__device__ void pad(const PackedToPaddedParams& p) {
    const int64_t thread = this_thread();
    const int64_t place = thread / p.units, unit = thread % p.units;
    if (place >= p.n * p.m) return;
    const int64_t i = place % p.m;
    const Packing::Range items = packing_of(p).items_of(place / p.m);
    const bool there = i < items.end - items.begin;
    const Unit* from = static_cast<const Unit*>(p.from);
    static_cast<Unit*>(p.to)[thread] = there ? from[(items.begin + i) * p.units + unit] : Unit{};
}

template <typename Unit>
__device__ void pack(const PackedToPaddedParams& p) {
    const int64_t thread = this_thread();
    const int64_t item = thread / p.units, unit = thread % p.units;
    if (item >= p.f) return;
    const Packing packing = packing_of(p);
    const int64_t n = packing.element_of(item);
    const int64_t i = n < 0 ? p.m : item - packing.items_of(n).begin;
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
