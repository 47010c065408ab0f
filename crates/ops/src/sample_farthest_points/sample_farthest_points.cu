// SPDX-License-Identifier: Apache-2.0
// Farthest point sampling in two forms: `resident`, one block a cloud that keeps distances (and coordinates of three
// axes) in registers for all steps, and `step`, one launch a choice in which several blocks share a cloud of any size.
#include "clouds.cuh"
#include "sample_farthest_points.h"
#include "warp.cuh"

namespace {

constexpr int kMostThreads = 1024, kStepThreads = 256;

__device__ float square_add(float x, float d) { return __fmaf_rn(x, x, d); }
__device__ double square_add(double x, double d) { return __fma_rn(x, x, d); }

// What a distance is before any choice, and that of what cannot be chosen: points chosen before and missing ones.
template <typename T>
constexpr __device__ T unseen() {
    return T(INFINITY);
}
template <typename T>
constexpr __device__ T taken() {
    return T(-1);
}

// A point in the order (greatest distance, lowest index); indices are below 2^32 - 1.
template <typename T>
struct Farthest {
    T distance;
    uint32_t index;

    __device__ static Farthest none() { return {taken<T>(), UINT32_MAX}; }
    __device__ void offer(T other_distance, uint32_t other_index) {
        if (other_distance > distance || (other_distance == distance && other_index < index)) {
            distance = other_distance;
            index = other_index;
        }
    }
};

// The first in the order among all threads of a block, for every thread. `partial` has room for each warp; who calls
// again must not have the same room before another barrier.
template <typename T>
__device__ Farthest<T> of_block(Farthest<T> mine, Farthest<T>* partial) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    for (int step = 16; step > 0; step /= 2) {
        mine.offer(__shfl_xor_sync(kAllLanes, mine.distance, step), __shfl_xor_sync(kAllLanes, mine.index, step));
    }
    if (lane == 0) partial[warp] = mine;
    __syncthreads();
    mine = lane < warps ? partial[lane] : Farthest<T>::none();
    for (int step = 16; step > 0; step /= 2) {
        mine.offer(__shfl_xor_sync(kAllLanes, mine.distance, step), __shfl_xor_sync(kAllLanes, mine.index, step));
    }
    return mine;
}

// A cloud of the batch: its points that count, its row of the result, and how many of the row's slots name a point.
template <typename T>
struct Cloud {
    const T* points;
    int64_t* row;
    int64_t length, count, start;

    __device__ Cloud(const SampleFarthestPointsParams& p, int64_t cloud)
        : points(static_cast<const T*>(p.points) + cloud * p.num_points * p.d), row(p.idx + cloud * p.k),
          length(length_of(p.lengths, cloud, p.num_points)), count(length_of(p.counts, cloud, p.k)), start(0) {
        if (count > length) count = length;
        if (p.start != nullptr) {
            start = p.start[cloud];
            if (start > length - 1) start = length - 1;
            if (start < 0) start = 0;
        }
    }

    // The slots that name no point.
    __device__ void pad(int64_t slots) const {
        for (int64_t slot = count + threadIdx.x; slot < slots; slot += blockDim.x) row[slot] = -1;
    }
};

// Thread t has the points t, t + threads, ...: at most ITEMS. D is the dimension, or 0 where coordinates stay in memory.
template <typename T, int ITEMS, int D>
__device__ void resident(const SampleFarthestPointsParams& p) {
    // Two rooms, so that one barrier a step is enough.
    __shared__ Farthest<T> partial[2][kMostThreads / 32];
    const Cloud<T> cloud(p, blockIdx.x);
    cloud.pad(p.k);
    T distance[ITEMS], coordinates[ITEMS][D > 0 ? D : 1];
#pragma unroll
    for (int item = 0; item < ITEMS; ++item) {
        const int64_t index = threadIdx.x + static_cast<int64_t>(item) * blockDim.x;
        distance[item] = index < cloud.length ? unseen<T>() : taken<T>();
#pragma unroll
        for (int axis = 0; axis < D; ++axis) {
            coordinates[item][axis] = index < cloud.length ? cloud.points[index * D + axis] : T(0);
        }
    }
    uint32_t chosen = static_cast<uint32_t>(cloud.start);
    for (int64_t step = 0; step < cloud.count; ++step) {
        if (threadIdx.x == 0) cloud.row[step] = chosen;
        if (step + 1 == cloud.count) break;
        const T* query = cloud.points + static_cast<int64_t>(chosen) * p.d;
        T center[D > 0 ? D : 1];
#pragma unroll
        for (int axis = 0; axis < D; ++axis) center[axis] = query[axis];
        Farthest<T> mine = Farthest<T>::none();
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const uint32_t index = threadIdx.x + item * blockDim.x;
            if (D == 0 && index >= cloud.length) break;
            T d = 0;
            if (D > 0) {
#pragma unroll
                for (int axis = 0; axis < D; ++axis) d = square_add(center[axis] - coordinates[item][axis], d);
            } else {
                const T* point = cloud.points + index * p.d;
                for (int64_t axis = 0; axis < p.d; ++axis) d = square_add(query[axis] - point[axis], d);
            }
            // A distance that is NaN lowers nothing.
            if (d < distance[item]) distance[item] = d;
            if (index == chosen) distance[item] = taken<T>();
            mine.offer(distance[item], index);
        }
        chosen = of_block(mine, partial[step % 2]).index;
    }
}

// Makes choice `step`, which the launch before prepared, and prepares the next: each block for its share of the points.
template <typename T>
__device__ void step(const SampleFarthestPointsParams& p) {
    __shared__ Farthest<T> partial[2][kStepThreads / 32];
    const int64_t number = blockIdx.x / p.shares, share = blockIdx.x % p.shares;
    const Cloud<T> cloud(p, number);
    if (p.step == 0 && share == 0) cloud.pad(p.k);
    if (p.step >= cloud.count) return;
    Farthest<T>* const farthest = static_cast<Farthest<T>*>(p.farthest);
    uint32_t chosen = static_cast<uint32_t>(cloud.start);
    if (p.step > 0) {
        const Farthest<T>* before = farthest + ((p.step - 1) % 2 * p.n + number) * p.shares;
        Farthest<T> mine = Farthest<T>::none();
        for (int64_t i = threadIdx.x; i < p.shares; i += blockDim.x) mine.offer(before[i].distance, before[i].index);
        chosen = of_block(mine, partial[0]).index;
    }
    if (share == 0 && threadIdx.x == 0) cloud.row[p.step] = chosen;
    if (p.step + 1 == cloud.count) return;

    const T* query = cloud.points + static_cast<int64_t>(chosen) * p.d;
    T* distances = static_cast<T*>(p.distances) + number * p.num_points;
    const int64_t stride = p.shares * blockDim.x;
    Farthest<T> mine = Farthest<T>::none();
    for (int64_t i = share * blockDim.x + threadIdx.x; i < cloud.length; i += stride) {
        const T* point = cloud.points + i * p.d;
        T d = 0;
        if (p.d == 3) {
            d = square_add(query[0] - point[0], d);
            d = square_add(query[1] - point[1], d);
            d = square_add(query[2] - point[2], d);
        } else {
            for (int64_t axis = 0; axis < p.d; ++axis) d = square_add(query[axis] - point[axis], d);
        }
        const T before = p.step == 0 ? unseen<T>() : distances[i];
        // A distance that is NaN lowers nothing.
        T lowered = d < before ? d : before;
        if (i == chosen) lowered = taken<T>();
        if (p.step == 0 || lowered != before) distances[i] = lowered;
        mine.offer(lowered, static_cast<uint32_t>(i));
    }
    mine = of_block(mine, partial[1]);
    if (threadIdx.x == 0) farthest[(p.step % 2 * p.n + number) * p.shares + share] = mine;
}

}  // namespace

#define RESIDENT(name, T, ITEMS, D)                                                  \
    extern "C" __global__ void __launch_bounds__(kMostThreads)                       \
        sample_farthest_points_resident_##name(const SampleFarthestPointsParams p) { \
        resident<T, ITEMS, D>(p);                                                    \
    }
RESIDENT(space_4_f32, float, 4, 3)
RESIDENT(space_8_f32, float, 8, 3)
RESIDENT(4_f32, float, 4, 0)
RESIDENT(8_f32, float, 8, 0)
RESIDENT(space_4_f64, double, 4, 3)
RESIDENT(4_f64, double, 4, 0)

extern "C" __global__ void __launch_bounds__(kStepThreads)
    sample_farthest_points_step_f32(const SampleFarthestPointsParams p) {
    step<float>(p);
}
extern "C" __global__ void __launch_bounds__(kStepThreads)
    sample_farthest_points_step_f64(const SampleFarthestPointsParams p) {
    step<double>(p);
}
