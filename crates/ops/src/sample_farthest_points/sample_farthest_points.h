// SPDX-License-Identifier: Apache-2.0
// What the launcher hands to every kernel of sample_farthest_points.cu; cuda.rs declares the same struct.
#pragma once
#include "cuda.cuh"

struct SampleFarthestPointsParams {
    const void* points;      // (N, P, D)
    const int64_t* lengths;  // (N,) or null
    const int64_t* counts;   // (N,) or null
    const int64_t* start;    // (N,) or null
    int64_t* idx;            // (N, K)
    void* distances;         // (N, P), squared distances to the nearest choice; step only
    void* farthest;          // (2, N, SHARES), the farthest point of each share, of this step and the one before
    int64_t n;
    int64_t num_points;
    int64_t d;
    int64_t k;
    int64_t step;    // which choice; step only
    int64_t shares;  // blocks that share a cloud; step only
};

PATINA3D_LAYOUT(SampleFarthestPointsParams, points, lengths, counts, start, idx, distances, farthest, n, num_points, d,
                k, step, shares)
