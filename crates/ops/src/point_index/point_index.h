// SPDX-License-Identifier: Apache-2.0
// What the launcher hands to every kernel of point_index.cu; cuda.rs declares the same struct.
#pragma once
#include "tree.cuh"

struct PointIndexParams {
    const void* points;      // (N, P, D)
    const int64_t* lengths;  // (N,) or null
    uint64_t* bounds;  // (N, 2, 3): least, then greatest coordinate along the first axes, as bits that ascend with it
    void* keys;        // (N P) of 64 bits or, if they are narrow, 32: the cloud, above a place along a curve
    const uint32_t* order;  // (N P): the rows of the batch in the order of their keys
    DeviceTree tree;        // to be filled
    int64_t n;
    int64_t num_points;  // P
    int64_t d;
    int level;   // of the nodes to be filled
    int narrow;  // whether keys have 32 bits
};

PATINA3D_LAYOUT(PointIndexParams, points, lengths, bounds, keys, order, tree, n, num_points, d, level, narrow)
