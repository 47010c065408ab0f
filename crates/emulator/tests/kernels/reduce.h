// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "cuda.cuh"

struct EmulatorReduceParams {
    const float* values;
    float* sums;  // one a block
    int64_t num_values;
    int32_t scale[3];
};
PATINA3D_LAYOUT(EmulatorReduceParams, values, sums, num_values, scale)
