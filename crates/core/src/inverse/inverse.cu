// SPDX-License-Identifier: Apache-2.0
// Where the pairs of each target begin among the sorted ones: one thread a target, and one more for those without.
#include "inverse.h"

namespace {

template <typename Key>
__device__ void inverse_starts(const InverseParams& p) {
    const int64_t target = this_thread();
    if (target > p.targets) return;
    const Key* keys = static_cast<const Key*>(p.keys);
    int64_t low = 0, high = p.pairs;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (keys[middle] < static_cast<Key>(target)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    p.first[target] = static_cast<uint64_t>(low);
}

}  // namespace

extern "C" __global__ void inverse_starts_u32(const InverseParams p) { inverse_starts<uint32_t>(p); }
extern "C" __global__ void inverse_starts_u64(const InverseParams p) { inverse_starts<uint64_t>(p); }
