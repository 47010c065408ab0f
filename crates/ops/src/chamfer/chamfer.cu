// SPDX-License-Identifier: Apache-2.0
// For each point the nearest of the other side by brute force, and the gradients of those distances. Trees are searched
// by knn.cu.
#include "chamfer.h"
#include "point_scan.cuh"

namespace {

// Whether a point of a cloud has something to choose, and may choose.
__device__ bool chooses(const ChamferSide& from, const ChamferSide& to, int64_t cloud, int64_t i) {
    return i < length_of(from.lengths, cloud, from.num_points) && length_of(to.lengths, cloud, to.num_points) > 0;
}

// Both ways: the first blocks have the points of one side, the others those of the other.
template <typename T>
__device__ void chamfer_forward(const ChamferParams& p) {
    PATINA3D_DYNAMIC_SHARED(T, tile);
    const int64_t blocks_of_side = p.n * ScanRow::blocks_per_cloud(p.side.num_points);
    const bool of_side = blockIdx.x < blocks_of_side;
    const ChamferSide &from = of_side ? p.side : p.other, &to = of_side ? p.other : p.side;
    const ScanRow at(from.num_points, of_side ? blockIdx.x : blockIdx.x - blocks_of_side);
    const int64_t length = length_of(to.lengths, at.cloud, to.num_points);
    const T* points = static_cast<const T*>(to.points) + at.cloud * to.num_points * p.d;
    const bool active = at.i < length_of(from.lengths, at.cloud, from.num_points);
    const T* query = static_cast<const T*>(from.points) + (active ? at.row : 0) * p.d;

    T least = T(INFINITY);
    int64_t nearest = -1;
    scan_points(p.norm, p.d, query, active, points, length, tile, p.tile, [&](T d, int64_t j) {
        if (d < least) {
            least = d;
            nearest = j;
        }
        return true;
    });
    if (at.i >= from.num_points) return;
    if (!active || length == 0) {
        least = 0;
        nearest = 0;
    } else if (nearest < 0) {
        // No distance is below infinity: the first point, with the distance as computed.
        least = distance(p.norm, p.d, query, points);
        nearest = 0;
    }
    static_cast<T*>(from.dists)[at.row] = least;
    from.idx[at.row] = nearest;
}

// Gives this thread's one of the other points the point that it chose.
__device__ void set_target(const ChamferParams& p) {
    const int64_t pair = this_thread();
    if (pair >= p.n * p.other.num_points) return;
    const int64_t cloud = pair / p.other.num_points, target = p.other.idx[pair];
    const bool chosen =
        chooses(p.other, p.side, cloud, pair % p.other.num_points) && target >= 0 && target < p.side.num_points;
    inverse_set(p.inverse, pair, chosen ? cloud * p.side.num_points + target : -1);
}

// What the other points bring to each point: entries are those that chose it.
template <typename T>
struct PairRows : SumRows<T> {
    const ChamferParams& p;

    __device__ explicit PairRows(const ChamferParams& p) : p(p) {}
    __device__ T row(int64_t target, int64_t entry, int64_t axis) const {
        const int64_t pair = inverse_pair(p.inverse, entry);
        const T other = static_cast<const T*>(p.other.points)[pair * p.d + axis];
        const T point = static_cast<const T*>(p.side.points)[target * p.d + axis];
        return -slope(p.norm, static_cast<const T*>(p.other.dists)[pair], other - point);
    }
};

// A thread a coordinate of a point.
template <typename T>
__device__ void chamfer_backward(const ChamferParams& p) {
    const int64_t i = this_thread();
    if (i >= p.n * p.side.num_points * p.d) return;
    const int64_t row = i / p.d, axis = i % p.d, cloud = row / p.side.num_points, chosen = p.side.idx[row];
    T grad = reduce_segment(p.inverse.segments, PairRows<T>(p), row, axis);
    if (chooses(p.side, p.other, cloud, row % p.side.num_points) && chosen >= 0 && chosen < p.other.num_points) {
        const T choice = static_cast<const T*>(p.other.points)[(cloud * p.other.num_points + chosen) * p.d + axis];
        const T point = static_cast<const T*>(p.side.points)[i];
        grad = slope(p.norm, static_cast<const T*>(p.side.dists)[row], point - choice) + grad;
    }
    static_cast<T*>(p.grad)[i] = grad;
}

}  // namespace

extern "C" __global__ void chamfer_forward_f32(const ChamferParams p) { chamfer_forward<float>(p); }
extern "C" __global__ void chamfer_forward_f64(const ChamferParams p) { chamfer_forward<double>(p); }

extern "C" __global__ void chamfer_backward_f32(const ChamferParams p) { chamfer_backward<float>(p); }
extern "C" __global__ void chamfer_backward_f64(const ChamferParams p) { chamfer_backward<double>(p); }

extern "C" __global__ void chamfer_backward_targets(const ChamferParams p) { set_target(p); }
extern "C" __global__ void chamfer_backward_chunks_f32(const ChamferParams p) {
    reduce_chunks(p.inverse.segments, PairRows<float>(p));
}
extern "C" __global__ void chamfer_backward_chunks_f64(const ChamferParams p) {
    reduce_chunks(p.inverse.segments, PairRows<double>(p));
}
