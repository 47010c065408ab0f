// SPDX-License-Identifier: Apache-2.0
// The inverse of a map from pairs to targets: the pairs of each target in ascending order, so that it can add up what they
// bring in a fixed order, whatever the order of threads. It is a stable sort of the pairs by target.
//
// An operator that uses it has kernels of its own, which its launcher and cuda.rs of this folder launch in this order:
//
//   inverse_set for each pair, whether it has a target or not
//   (sort; inverse.cu finds where the pairs of each target begin)
//   reduce_chunks and reduce_segment, with inverse_pair of each entry
#pragma once
#include "segments/reduce.cuh"

struct Inverse {
    void* keys;         // (pairs): the target of each pair, T where it has none; then sorted
    void* numbers;      // (pairs): the pairs in the order of the sorted keys
    Segments segments;  // a segment a target, an entry a pair
    int wide;           // keys and numbers have 64 bits, not 32
    int reserved;
};

PATINA3D_LAYOUT(Inverse, keys, numbers, segments, wide, reserved)

// Gives a pair its target; one outside [0, T) is none.
inline __device__ void inverse_set(const Inverse& x, int64_t pair, int64_t target) {
    if (target < 0 || target >= x.segments.segments) target = x.segments.segments;
    if (x.wide) {
        static_cast<uint64_t*>(x.keys)[pair] = static_cast<uint64_t>(target);
    } else {
        static_cast<uint32_t*>(x.keys)[pair] = static_cast<uint32_t>(target);
    }
}

// The number of the pair that is an entry of a target's segment.
inline __device__ int64_t inverse_pair(const Inverse& x, int64_t entry) {
    return x.wide ? static_cast<int64_t>(static_cast<const uint64_t*>(x.numbers)[entry])
                  : static_cast<int64_t>(static_cast<const uint32_t*>(x.numbers)[entry]);
}
