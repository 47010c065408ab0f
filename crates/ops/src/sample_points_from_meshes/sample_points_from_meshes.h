// SPDX-License-Identifier: Apache-2.0
// What the launcher hands to every kernel of sample_points_from_meshes.cu; cuda.rs declares the same struct.
#pragma once
#include "cuda.cuh"

struct SamplePointsFromMeshesParams {
    const void* verts;             // (V, 3); forward only
    const int64_t* faces;          // (F, 3)
    const int64_t* first_idxs;     // (N,); forward only, as what follows
    const int64_t* seed;           // (1,)
    uint64_t* greatest;            // (N,): the bits of the greatest area of each mesh
    uint64_t* sums;                // (F + 1): bits of areas, then chances, then the chances before each face
    void* points;                  // (N, S, 3)
    int64_t* sampled_faces;        // (N, S); also backward, as what follows
    void* weights;                 // (N, S, 3)
    const void* grad_points;       // (N, S, 3); backward only, as what follows
    void* grad_verts;              // (V, 3)
    unsigned long long* fixed;     // (V, 3): sums in fixed point
    unsigned long long* summands;  // (V,)
    int64_t v;
    int64_t f;
    int64_t n;
    int64_t s;
};

PATINA3D_LAYOUT(SamplePointsFromMeshesParams, verts, faces, first_idxs, seed, greatest, sums, points, sampled_faces,
                weights, grad_points, grad_verts, fixed, summands, v, f, n, s)
