// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "cuda.cuh"

struct EmulatorBlockParams {
    unsigned long long* counters;
    float* values;
    int32_t* trace;
};
PATINA3D_LAYOUT(EmulatorBlockParams, counters, values, trace)
