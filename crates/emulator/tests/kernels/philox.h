// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "cuda.cuh"

struct EmulatorPhiloxParams {
    const uint32_t* inputs;  // (C, 6): a counter, a key
    uint32_t* results;       // (C, 4)
    int64_t num_cases;
};
PATINA3D_LAYOUT(EmulatorPhiloxParams, inputs, results, num_cases)
