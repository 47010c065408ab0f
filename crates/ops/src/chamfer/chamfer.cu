// SPDX-License-Identifier: Apache-2.0
// Gradients of the distances to the nearest point, both ways; the search itself is knn.cu.
#include "chamfer.h"
#include "clouds.cuh"

namespace {

// Calls `visit(target, pair)` for this thread's one of the other points with the point that it chose.
template <typename Visit>
__device__ void for_each_pair(const ChamferParams& p, Visit visit) {
    const int64_t pair = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (pair >= p.n * p.num_others) return;
    const int64_t cloud = pair / p.num_others, target = p.other_idx[pair];
    if (pair % p.num_others >= length_of(p.other_lengths, cloud, p.num_others)) return;
    if (length_of(p.lengths, cloud, p.num_points) == 0) return;
    if (target >= 0 && target < p.num_points) visit(cloud * p.num_points + target, pair);
}

template <typename T>
__device__ void chamfer_backward(const ChamferParams& p) {
    const int64_t row = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (row >= p.n * p.num_points) return;
    const int64_t cloud = row / p.num_points, chosen = p.idx[row];
    const bool chooses = row % p.num_points < length_of(p.lengths, cloud, p.num_points) &&
                         length_of(p.other_lengths, cloud, p.num_others) > 0 && chosen >= 0 && chosen < p.num_others;
    const T* point = static_cast<const T*>(p.points) + row * p.d;
    const T* others = static_cast<const T*>(p.others);
    const T* choice = others + (cloud * p.num_others + chosen) * p.d;
    const T* other_grad = static_cast<const T*>(p.other_grad_dists);
    const T own_grad = static_cast<const T*>(p.grad_dists)[row];
    T* out = static_cast<T*>(p.grad) + row * p.d;
    int64_t count;
    const int64_t* pairs = inverse_pairs(p.inverse, row, count);
    for (int64_t axis = 0; axis < p.d; ++axis) {
        T sum = 0;
        for (int64_t i = 0; i < count; ++i) {
            sum -= slope(p.norm, other_grad[pairs[i]], others[pairs[i] * p.d + axis] - point[axis]);
        }
        out[axis] = chooses ? slope(p.norm, own_grad, point[axis] - choice[axis]) + sum : sum;
    }
}

}  // namespace

extern "C" __global__ void chamfer_backward_f32(const ChamferParams p) { chamfer_backward<float>(p); }
extern "C" __global__ void chamfer_backward_f64(const ChamferParams p) { chamfer_backward<double>(p); }

extern "C" __global__ void chamfer_backward_clear(const ChamferParams p) { inverse_clear(p.inverse); }
extern "C" __global__ void chamfer_backward_count(const ChamferParams p) {
    for_each_pair(p, [&](int64_t target, int64_t) { inverse_count(p.inverse, target); });
}
extern "C" __global__ void chamfer_backward_scan(const ChamferParams p) { inverse_scan(p.inverse); }
extern "C" __global__ void chamfer_backward_totals(const ChamferParams p) { inverse_totals(p.inverse); }
extern "C" __global__ void chamfer_backward_place(const ChamferParams p) {
    for_each_pair(p, [&](int64_t target, int64_t pair) { inverse_place(p.inverse, target, pair); });
}
