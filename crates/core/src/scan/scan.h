// SPDX-License-Identifier: Apache-2.0
// What the launcher hands to every kernel of scan.cu; cuda.rs declares the same struct.
#pragma once
#include "cuda.cuh"

struct ScanParams {
    const void* counts;  // (count), of the type that the kernel's name ends in
    uint64_t* out;       // (count + 1); may be counts, where those have 64 bits
    uint64_t* sums;      // (tiles + 1): the sum of each tile, then of the tiles before it
    int64_t count;
};

PATINA3D_LAYOUT(ScanParams, counts, out, sums, count)
