// SPDX-License-Identifier: Apache-2.0
// What the launcher hands to every kernel of segments.cu; cuda.rs declares the same struct.
#pragma once
#include "reduce.cuh"

struct SegmentsParams {
    const void* values;    // (rows, components)
    const int64_t* index;  // (entries), the row of each entry; or null: entry i has row i
    void* out;             // (segments, components)
    Segments segments;
};

PATINA3D_LAYOUT(SegmentsParams, values, index, out, segments)
