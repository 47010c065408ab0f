// SPDX-License-Identifier: Apache-2.0
// What the launcher hands to every kernel of point_index.cu; cuda.rs declares the same struct.
#pragma once
#include "tree.cuh"

struct PointIndexParams {
    const void* points;  // (N, P, D)
};

PATINA3D_LAYOUT(PointIndexParams, points)
