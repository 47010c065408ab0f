// SPDX-License-Identifier: Apache-2.0
// What the launcher hands to every kernel of morton.cu; cuda.rs declares the same struct.
#pragma once
#include "cuda.cuh"

struct MortonParams {
    const void* points;  // (count, D)
    const void* bounds;  // (2, D): least and greatest coordinates
    void* codes;         // (count), of the type that the kernel's name ends in
    int64_t count;
    int bits;  // bits an axis
    int reserved;
};

PATINA3D_LAYOUT(MortonParams, points, bounds, codes, count, bits, reserved)
