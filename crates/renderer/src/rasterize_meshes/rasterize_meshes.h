// SPDX-License-Identifier: Apache-2.0
// What the launcher hands to every kernel of rasterize_meshes.cu; cuda.rs declares the same struct.
#pragma once
#include "cuda.cuh"

struct RasterizeMeshesParams {
    const void* face_verts;        // (F, 3, 3)
    const int64_t* first_face;     // (N,)
    const int64_t* num_faces;      // (N,)
    const int64_t* neighbor;       // (F,) or null
    int64_t* pix_to_face;          // (N, H, W, K); read by the backward
    void* zbuf;                    // (N, H, W, K); forward only, as the next three
    void* bary_coords;             // (N, H, W, K, 3)
    void* dists;                   // (N, H, W, K)
    void* boxes;                   // (F, 4): where each face reaches
    void* group_boxes;             // (F / 32 rounded up, 4): where the faces 32 i to 32 i + 31 reach
    const void* grad_zbuf;         // (N, H, W, K) or null; backward only, as what follows
    const void* grad_bary_coords;  // (N, H, W, K, 3) or null
    const void* grad_dists;        // (N, H, W, K) or null
    void* grad_face_verts;         // (F, 3, 3); holds exponents until the sums are complete
    unsigned long long* sums;      // (F, 9): fixed-point sums of gradients
    unsigned long long* summands;  // (F,): how many numbers each sum of a face adds up
    int64_t n;
    int64_t f;
    int64_t h;
    int64_t w;
    int64_t k;
    double blur_radius;
    int32_t perspective_correct;
    int32_t clip_barycentric_coords;
    int32_t cull_backfaces;
    int32_t reserved;
};

PATINA3D_LAYOUT(RasterizeMeshesParams, face_verts, first_face, num_faces, neighbor, pix_to_face, zbuf, bary_coords,
                dists, boxes, group_boxes, grad_zbuf, grad_bary_coords, grad_dists, grad_face_verts, sums, summands, n,
                f, h, w, k, blur_radius, perspective_correct, clip_barycentric_coords, cull_backfaces, reserved)
