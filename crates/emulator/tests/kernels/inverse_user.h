// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "inverse/inverse.cuh"

struct EmulatorInverseParams {
    const int64_t* targets;  // (pairs), -1: none
    const float* values;     // (pairs)
    int64_t* pairs;          // (pairs): their numbers in the order of their targets
    float* sums;             // (targets): of the values of their pairs
    Inverse inverse;
};
PATINA3D_LAYOUT(EmulatorInverseParams, targets, values, pairs, sums, inverse)
