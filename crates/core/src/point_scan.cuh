// SPDX-License-Identifier: Apache-2.0
// Distances, and a scan of a cloud in the order of indices: one thread a query, points tile by tile through shared memory.
#pragma once
#include "clouds.cuh"

template <typename T>
__device__ T distance(int norm, int64_t dimension, const T* a, const T* b) {
    T d = 0;
    for (int64_t axis = 0; axis < dimension; ++axis) d = accumulate(norm, a[axis] - b[axis], d);
    return d;
}

// A thread's query of a padded batch; each block has queries of one cloud.
struct ScanRow {
    int64_t cloud, i, row;

    // `block` is the number of this block among those for the batch.
    __device__ explicit ScanRow(int64_t padded, int64_t block = blockIdx.x) {
        const int64_t blocks = blocks_per_cloud(padded);
        cloud = block / blocks;
        i = (block % blocks) * blockDim.x + threadIdx.x;
        row = cloud * padded + i;
    }

    static __device__ int64_t blocks_per_cloud(int64_t padded) { return (padded + blockDim.x - 1) / blockDim.x; }
};

// Calls `take(distance, j)` for the points of a cloud in order, while it returns true and for threads that want any; all
// threads of the block call this. `tile` has room for `capacity` points; where that is 0, all are read where they are.
template <typename T, typename Take>
__device__ void scan_points(int norm, int64_t dimension, const T* query, bool wants, const T* points, int64_t length,
                            T* tile, int64_t capacity, Take take) {
    if (capacity == 0) {
        for (int64_t j = 0; wants && j < length; ++j) {
            wants = take(distance(norm, dimension, query, points + j * dimension), j);
        }
        return;
    }
    for (int64_t start = 0; start < length; start += capacity) {
        const int64_t count = capacity < length - start ? capacity : length - start;
        if (!__syncthreads_or(wants)) return;
        for (int64_t e = threadIdx.x; e < count * dimension; e += blockDim.x) tile[e] = points[start * dimension + e];
        __syncthreads();
        if (!wants) continue;
        if (dimension == 3) {
            const T x = query[0], y = query[1], z = query[2];
            for (int64_t j = 0; wants && j < count; ++j) {
                T d = accumulate(norm, x - tile[3 * j], T(0));
                d = accumulate(norm, y - tile[3 * j + 1], d);
                d = accumulate(norm, z - tile[3 * j + 2], d);
                wants = take(d, start + j);
            }
        } else {
            for (int64_t j = 0; wants && j < count; ++j) {
                wants = take(distance(norm, dimension, query, tile + j * dimension), start + j);
            }
        }
    }
}
