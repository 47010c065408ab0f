// SPDX-License-Identifier: Apache-2.0
// What the launcher hands to every kernel of __op__.cu; cuda.rs declares the same struct.
#pragma once
#include "cuda.cuh"

struct __Op__Params {
    const void* x;       // (N, D)
    void* y;             // (N, D); forward only
    const void* grad_y;  // (N, D); backward only, as the next
    void* grad_x;        // (N, D)
    int64_t count;       // N D
};

PATINA3D_LAYOUT(__Op__Params, x, y, grad_y, grad_x, count)
