// SPDX-License-Identifier: Apache-2.0
// The packed form of a batch: the items of its elements one after the other, such as the faces of meshes.
#pragma once
#include "cuda.cuh"

struct Packing {
    const int64_t* first_idxs;  // (elements): where the items of each begin
    int64_t elements, items;

    struct Range {
        int64_t begin, end;
    };

    // The items of an element, within the packed form whatever first_idxs holds.
    __device__ Range items_of(int64_t element) const {
        return {clamp(first_idxs[element]), element + 1 < elements ? clamp(first_idxs[element + 1]) : items};
    }

    // The last element that begins at an item or before it; -1 where there is none.
    __device__ int64_t element_of(int64_t item) const {
        int64_t low = 0, high = elements;
        while (low < high) {
            const int64_t middle = low + (high - low) / 2;
            if (first_idxs[middle] <= item) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return low - 1;
    }

private:
    __device__ int64_t clamp(int64_t item) const { return item < 0 ? 0 : (item < items ? item : items); }
};
