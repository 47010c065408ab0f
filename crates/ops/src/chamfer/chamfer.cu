// SPDX-License-Identifier: Apache-2.0
// Gradients of the distances to the nearest point, both ways; the search itself is knn.cu.
#include "chamfer.h"
#include "clouds.cuh"

namespace {

// Gives this thread's one of the other points the point that it chose.
__device__ void set_target(const ChamferParams& p) {
    const int64_t pair = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (pair >= p.n * p.num_others) return;
    const int64_t cloud = pair / p.num_others, target = p.other_idx[pair];
    const bool chooses = pair % p.num_others < length_of(p.other_lengths, cloud, p.num_others) &&
                         length_of(p.lengths, cloud, p.num_points) > 0 && target >= 0 && target < p.num_points;
    inverse_set(p.inverse, pair, chooses ? cloud * p.num_points + target : -1);
}

// What the other points bring to each point: entries are those that chose it.
template <typename T>
struct PairRows : SumRows<T> {
    const ChamferParams& p;

    __device__ explicit PairRows(const ChamferParams& p) : p(p) {}
    __device__ T row(int64_t target, int64_t entry, int64_t axis) const {
        const int64_t pair = inverse_pair(p.inverse, entry);
        const T other = static_cast<const T*>(p.others)[pair * p.d + axis];
        const T point = static_cast<const T*>(p.points)[target * p.d + axis];
        return -slope(p.norm, static_cast<const T*>(p.other_grad_dists)[pair], other - point);
    }
};

// A thread a coordinate of a point.
template <typename T>
__device__ void chamfer_backward(const ChamferParams& p) {
    const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= p.n * p.num_points * p.d) return;
    const int64_t row = i / p.d, axis = i % p.d, cloud = row / p.num_points, chosen = p.idx[row];
    const bool chooses = row % p.num_points < length_of(p.lengths, cloud, p.num_points) &&
                         length_of(p.other_lengths, cloud, p.num_others) > 0 && chosen >= 0 && chosen < p.num_others;
    T grad = reduce_segment(p.inverse.segments, PairRows<T>(p), row, axis);
    if (chooses) {
        const T choice = static_cast<const T*>(p.others)[(cloud * p.num_others + chosen) * p.d + axis];
        const T point = static_cast<const T*>(p.points)[i];
        grad = slope(p.norm, static_cast<const T*>(p.grad_dists)[row], point - choice) + grad;
    }
    static_cast<T*>(p.grad)[i] = grad;
}

}  // namespace

extern "C" __global__ void chamfer_backward_f32(const ChamferParams p) { chamfer_backward<float>(p); }
extern "C" __global__ void chamfer_backward_f64(const ChamferParams p) { chamfer_backward<double>(p); }

extern "C" __global__ void chamfer_backward_targets(const ChamferParams p) { set_target(p); }
extern "C" __global__ void chamfer_backward_chunks_f32(const ChamferParams p) {
    reduce_chunks(p.inverse.segments, PairRows<float>(p));
}
extern "C" __global__ void chamfer_backward_chunks_f64(const ChamferParams p) {
    reduce_chunks(p.inverse.segments, PairRows<double>(p));
}
