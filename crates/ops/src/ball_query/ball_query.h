// SPDX-License-Identifier: Apache-2.0
// What the launcher hands to every kernel of ball_query.cu; cuda.rs declares the same struct.
#pragma once
#include "tree.cuh"

struct BallQueryParams {
    const void* p1;           // (N, P1, D)
    const void* p2;           // (N, P2, D)
    const int64_t* lengths1;  // (N,) or null
    const int64_t* lengths2;  // (N,) or null
    void* dists;              // (N, P1, K)
    int64_t* idx;             // (N, P1, K); read by the gather
    void* knn;                // (N, P1, K, D); the gathered points
    DeviceTree tree;          // over p2, for the kernels that search one
    const uint32_t* order;    // (N P1): the rows of p1 in the order of threads, or null; down a tree only
    int64_t n;
    int64_t num_p1;
    int64_t num_p2;
    int64_t d;
    int64_t k;
    int64_t tile;  // points of p2 in shared memory; 0: one point is too large, all are read where they are
    double limit;  // squared distances below it are in the ball
};

PATINA3D_LAYOUT(BallQueryParams, p1, p2, lengths1, lengths2, dists, idx, knn, tree, order, n, num_p1, num_p2, d, k,
                tile, limit)
