// SPDX-License-Identifier: Apache-2.0
// What the launcher hands to every kernel of chamfer.cu; cuda.rs declares the same structs.
#pragma once
#include "inverse/inverse.cuh"

// One of the two batches: P points a cloud.
struct ChamferSide {
    const void* points;      // (N, P, D)
    const int64_t* lengths;  // (N,) or null
    int64_t* idx;            // (N, P), into the other side; read by the backward
    void* dists;             // (N, P); the backward reads their gradient here
    int64_t num_points;      // P
};

struct ChamferParams {
    ChamferSide side;  // x, or the one whose gradient is asked for
    ChamferSide other;
    void* grad;  // of the points of side; backward only
    Inverse
        inverse;  // of other.idx: pairs are the other points of the whole batch, targets those of side; backward only
    int64_t n;
    int64_t d;
    int64_t tile;  // points in shared memory; 0: one point is too large, all are read where they are; forward only
    int norm;      // 1 or 2
    int reserved;
};

PATINA3D_LAYOUT(ChamferSide, points, lengths, idx, dists, num_points)
PATINA3D_LAYOUT(ChamferParams, side, other, grad, inverse, n, d, tile, norm, reserved)
