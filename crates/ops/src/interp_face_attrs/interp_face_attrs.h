// SPDX-License-Identifier: Apache-2.0
// What the launcher hands to every kernel of interp_face_attrs.cu; cuda.rs declares the same struct.
#pragma once
#include "cuda.cuh"

struct InterpFaceAttrsParams {
    const int64_t* pix_to_face;      // (pixels, K)
    const void* barycentric_coords;  // (pixels, K, 3)
    const void* face_attributes;     // (F, 3, D)
    void* out;                       // (pixels, K, D); forward only
    const void* grad;                // (pixels, K, D); backward only, as what follows
    void* grad_barycentric_coords;   // (pixels, K, 3)
    void* grad_face_attributes;      // (F, 3, D)
    unsigned long long* sums;        // (F, 3, D), fixed point
    unsigned long long* summands;    // (F)
    int64_t pixels;                  // N H W
    int64_t pixels_of_image;         // H W
    int64_t k;
    int64_t f;
    int64_t d;
};

PATINA3D_LAYOUT(InterpFaceAttrsParams, pix_to_face, barycentric_coords, face_attributes, out, grad,
                grad_barycentric_coords, grad_face_attributes, sums, summands, pixels, pixels_of_image, k, f, d)
