// SPDX-License-Identifier: Apache-2.0
// philox.rs for kernels. That file says what it is.
#pragma once
#include "cuda.cuh"

struct Words4 {
    uint32_t x, y, z, w;
};

// 128 random bits.
inline __device__ Words4 philox(Words4 counter, uint32_t key0, uint32_t key1) {
    constexpr uint32_t kFactor0 = 0xd2511f53u, kFactor1 = 0xcd9e8d57u;
    constexpr uint32_t kStep0 = 0x9e3779b9u, kStep1 = 0xbb67ae85u;
    for (int round = 0; round < 10; ++round) {
        const uint32_t even = kFactor0 * counter.x, odd = kFactor1 * counter.z;
        counter = {__umulhi(kFactor1, counter.z) ^ counter.y ^ key0, odd,
                   __umulhi(kFactor0, counter.x) ^ counter.w ^ key1, even};
        key0 += kStep0;
        key1 += kStep1;
    }
    return counter;
}
