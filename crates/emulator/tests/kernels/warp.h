// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "cuda.cuh"

// Each thread of a block writes one row of what it received.
struct EmulatorWarpParams {
    int32_t* rows;
    int32_t width;
    int32_t columns;
};
PATINA3D_LAYOUT(EmulatorWarpParams, rows, width, columns)
