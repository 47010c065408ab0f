// SPDX-License-Identifier: Apache-2.0
// What the launcher hands to every kernel of knn.cu; cuda.rs declares the same struct.
#pragma once
#include "inverse/inverse.cuh"

struct KnnParams {
    const void* p1;           // (N, P1, D)
    const void* p2;           // (N, P2, D)
    const int64_t* lengths1;  // (N,) or null
    const int64_t* lengths2;  // (N,) or null
    void* dists;              // (N, P1, K); forward only
    int64_t* idx;             // (N, P1, K); read by the backward
    const void* grad_dists;   // (N, P1, K)
    void* grad_p1;            // (N, P1, D)
    void* grad_p2;            // (N, P2, D)
    Inverse inverse;          // of idx: pairs are slots of the whole batch, targets its points of p2
    int64_t n;
    int64_t num_p1;
    int64_t num_p2;
    int64_t d;
    int64_t k;
    int64_t tile;  // points of p2 in shared memory; 0: one point is too large, all are read where they are
    int norm;      // 1 or 2
    int reserved;
};

PATINA3D_LAYOUT(KnnParams, p1, p2, lengths1, lengths2, dists, idx, grad_dists, grad_p1, grad_p2, inverse, n, num_p1,
                num_p2, d, k, tile, norm, reserved)
