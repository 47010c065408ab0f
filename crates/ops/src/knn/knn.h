// SPDX-License-Identifier: Apache-2.0
// What the launcher hands to every kernel of knn.cu; cuda.rs declares the same struct.
#pragma once
#include "inverse/inverse.cuh"
#include "tree.cuh"

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
    DeviceTree tree;          // over p2; forward down a tree only
    const uint32_t* order;    // (N P1): the rows of p1 in the order of threads, or null; down a tree only
    int64_t n;
    int64_t num_p1;
    int64_t num_p2;
    int64_t d;
    int64_t k;
    int64_t tile;  // points of p2 in shared memory; 0: one point is too large, all are read where they are
    double limit;  // only distances below it count
    int norm;      // 1 or 2
    int limited;   // whether slots without a neighbour hold -1, for there may be such in every row
};

PATINA3D_LAYOUT(KnnParams, p1, p2, lengths1, lengths2, dists, idx, grad_dists, grad_p1, grad_p2, inverse, tree, order,
                n, num_p1, num_p2, d, k, tile, limit, norm, limited)
