// SPDX-License-Identifier: Apache-2.0
// What the launcher hands to every kernel of sort.cu; cuda.rs declares the same struct.
#pragma once
#include "cuda.cuh"

struct SortParams {
    const void* keys;    // (count)
    const void* values;  // (count) or null: each is the number of its key, 0, 1, 2, ...
    void* sorted_keys;
    void* sorted_values;
    uint64_t* places;  // (2^width, tiles): how many keys of each digit a tile has, then where they go
    int64_t count;
    int64_t tiles;
    int shift;  // the digit is bits [shift, shift + width) of a key
    int width;  // 0 to 8
    int bits;   // bits that are sorted: of one tile all digits at once
    int reserved;
};

PATINA3D_LAYOUT(SortParams, keys, values, sorted_keys, sorted_values, places, count, tiles, shift, width, bits,
                reserved)
