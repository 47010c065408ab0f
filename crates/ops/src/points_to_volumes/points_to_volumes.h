// SPDX-License-Identifier: Apache-2.0
// What the launcher hands to every kernel of points_to_volumes.cu; cuda.rs declares the same struct.
#pragma once
#include "inverse/inverse.cuh"

struct PointsToVolumesParams {
    const void* points;           // (B, P, 3)
    const void* features;         // (B, P, C)
    const int64_t* grid_sizes;    // (B, 3): D, H, W in use; absent: all
    const uint8_t* mask;          // (B, P), 0 where there is no point; absent: there are all
    const void* densities;        // (B, D, H, W): initial ones, or gradients
    const void* volume_features;  // (B, C, D, H, W): initial ones, or gradients; absent: zeros
    void* out_densities;          // (B, D, H, W); forward only, as what follows
    void* out_features;           // (B, C, D, H, W)
    Inverse inverse;              // pairs are points of the whole batch, targets B (D + 1) (H + 1) (W + 1) cells
    void* grad_points;            // (B, P, 3), may be absent; backward only
    void* grad_features;          // (B, P, C), may be absent
    int64_t b;
    int64_t p;
    int64_t c;
    int64_t w;
    int64_t h;
    int64_t d;
    double point_weight;
    int32_t align_corners;
    int32_t splat;
};

PATINA3D_LAYOUT(PointsToVolumesParams, points, features, grid_sizes, mask, densities, volume_features, out_densities,
                out_features, inverse, grad_points, grad_features, b, p, c, w, h, d, point_weight, align_corners, splat)
