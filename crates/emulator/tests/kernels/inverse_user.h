// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "inverse/inverse.cuh"

struct EmulatorInverseParams {
    const int64_t* targets;  // (pairs), none where there is no such target
    const float* values;     // (pairs, components)
    int64_t* pairs;          // (pairs): their numbers in the order of their targets
    float* sums;             // (targets, components): of the values of their pairs
    Inverse inverse;
};
PATINA3D_LAYOUT(EmulatorInverseParams, targets, values, pairs, sums, inverse)
