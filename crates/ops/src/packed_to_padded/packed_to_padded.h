// SPDX-License-Identifier: Apache-2.0
// What the launcher hands to every kernel of packed_to_padded.cu; cuda.rs declares the same struct.
#pragma once
#include "cuda.cuh"

struct PackedToPaddedParams {
    const void* from;           // pad: (F, item), pack: (N, M, item)
    void* to;                   // the other way round
    const int64_t* first_idxs;  // (N,)
    int64_t n;
    int64_t f;
    int64_t m;
    int64_t units;  // of an item; the kernel's name says how large a unit is
};

PATINA3D_LAYOUT(PackedToPaddedParams, from, to, first_idxs, n, f, m, units)
