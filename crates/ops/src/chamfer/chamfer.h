// SPDX-License-Identifier: Apache-2.0
// What the launcher hands to every kernel of chamfer.cu; cuda.rs declares the same struct. The gradient of one batch of
// points, which are P, from both ways: what each chose among the other points, which are Q, and those that chose it.
#pragma once
#include "inverse/inverse.cuh"

struct ChamferParams {
    const void* points;            // (N, P, D)
    const int64_t* lengths;        // (N,) or null
    const int64_t* idx;            // (N, P), into others
    const void* grad_dists;        // (N, P)
    void* grad;                    // (N, P, D)
    const void* others;            // (N, Q, D)
    const int64_t* other_lengths;  // (N,) or null
    const int64_t* other_idx;      // (N, Q), into points
    const void* other_grad_dists;  // (N, Q)
    Inverse inverse;               // of other_idx: pairs are the other points of the whole batch, targets the points
    int64_t n;
    int64_t num_points;  // P
    int64_t num_others;  // Q
    int64_t d;
    int norm;  // 1 or 2
    int reserved;
};

PATINA3D_LAYOUT(ChamferParams, points, lengths, idx, grad_dists, grad, others, other_lengths, other_idx,
                other_grad_dists, inverse, n, num_points, num_others, d, norm, reserved)
