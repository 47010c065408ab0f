// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "cuda.cuh"

struct EmulatorDeviceMathParams {
    const void* cases;      // (C, 17): p, three vertices (x, y), z, w, gradient
    const int64_t* pixels;  // (C, 3): index, size, the other size
    void* results;          // (C, R): what every function of geometry.cuh makes of a case
    int64_t num_cases;
    int64_t num_results;
};
PATINA3D_LAYOUT(EmulatorDeviceMathParams, cases, pixels, results, num_cases, num_results);
