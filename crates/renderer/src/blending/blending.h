// SPDX-License-Identifier: Apache-2.0
// What the launcher hands to every kernel of blending.cu; cuda.rs declares the same struct.
#pragma once
#include "cuda.cuh"

struct BlendingParams {
    const void* colors;          // (pixels, K, C)
    const void* dists;           // (pixels, K)
    const void* zbuf;            // (pixels, K)
    const int64_t* pix_to_face;  // (pixels, K)
    const void* background;      // (1, C) or (pixels, C)
    const void* znear;           // (1) or (images)
    const void* zfar;            // (1) or (images)
    void* image;                 // (pixels, C + 1); written forward, read backward
    const void* grad_image;      // (pixels, C + 1); backward only, as what follows
    void* grad_colors;           // (pixels, K, C) or null
    void* grad_dists;            // (pixels, K) or null
    void* grad_zbuf;             // (pixels, K) or null
    void* grad_background;       // (pixels, C) or null
    int64_t pixels;
    int64_t pixels_of_image;
    int64_t k;
    int64_t c;
    double sigma;
    double gamma;
    double least;
    int32_t one_background;  // whether there is one for all pixels
    int32_t one_znear;       // whether there is one for all images
    int32_t one_zfar;
    int32_t reserved;
};

PATINA3D_LAYOUT(BlendingParams, colors, dists, zbuf, pix_to_face, background, znear, zfar, image, grad_image,
                grad_colors, grad_dists, grad_zbuf, grad_background, pixels, pixels_of_image, k, c, sigma, gamma, least,
                one_background, one_znear, one_zfar, reserved)
