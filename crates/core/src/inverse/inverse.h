// SPDX-License-Identifier: Apache-2.0
// What the launcher hands to every kernel of inverse.cu; cuda.rs declares the same struct.
#pragma once
#include "cuda.cuh"

struct InverseParams {
    const void* keys;  // (pairs), sorted
    uint64_t* first;   // (T + 1): where the keys of each target begin, and those of no target
    int64_t targets;   // T
    int64_t pairs;
};

PATINA3D_LAYOUT(InverseParams, keys, first, targets, pairs)
