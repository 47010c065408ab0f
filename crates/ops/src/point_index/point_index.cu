// SPDX-License-Identifier: Apache-2.0
// A tree over each cloud: points in the order of a space-filling curve, which sort.cu sorts, cut into leaves; then boxes,
// level by level. Also the order alone, in which queries that follow each other are near each other.
#include "geometry.cuh"
#include "morton/morton.cuh"
#include "point_index.h"
#include "warp.cuh"

namespace {

constexpr int kCurveAxes = 3, kCurveBits = 30;  // the curve runs along the first axes and has 2^30 places
constexpr int kWarp = 32, kPointsOfThread = 8;

__device__ int curve_axes(const PointIndexParams& p) { return p.d < kCurveAxes ? static_cast<int>(p.d) : kCurveAxes; }

// Bits that ascend with the number, and the number.
__device__ uint64_t ascending(double x) {
    const int64_t bits = __double_as_longlong(x);
    return bits < 0 ? ~static_cast<uint64_t>(bits) : static_cast<uint64_t>(bits) | uint64_t(1) << 63;
}
__device__ double from_ascending(uint64_t bits) {
    return __longlong_as_double(static_cast<int64_t>(bits >> 63 ? bits & ~(uint64_t(1) << 63) : ~bits));
}

// Whether a point counts and is finite: such are in the leaves.
template <typename T>
__device__ bool is_in_tree(const PointIndexParams& p, int64_t cloud, int64_t point) {
    bool inside = point < length_of(p.lengths, cloud, p.num_points);
    const T* x = static_cast<const T*>(p.points) + (cloud * p.num_points + point) * p.d;
    for (int64_t axis = 0; axis < p.d && inside; ++axis) inside = is_finite(x[axis]);
    return inside;
}

__device__ void clear(const PointIndexParams& p) {
    const int64_t i = this_thread();
    if (i < p.n * 2 * kCurveAxes) p.bounds[i] = i / kCurveAxes % 2 == 0 ? UINT64_MAX : 0;
}

// A warp for some points of a cloud. The least and the greatest are the same in any order.
template <typename T>
__device__ void bounds(const PointIndexParams& p) {
    const int64_t warps = (p.num_points + kWarp * kPointsOfThread - 1) / (kWarp * kPointsOfThread);
    const int64_t warp = this_thread() / kWarp, cloud = warp / warps;
    if (cloud >= p.n) return;
    const int64_t first = warp % warps * kWarp * kPointsOfThread + threadIdx.x % kWarp;
    double low[kCurveAxes], high[kCurveAxes];
#pragma unroll
    for (int axis = 0; axis < kCurveAxes; ++axis) {
        low[axis] = double(INFINITY);
        high[axis] = -double(INFINITY);
    }
    const int axes = curve_axes(p);
    for (int i = 0; i < kPointsOfThread; ++i) {
        const int64_t point = first + i * kWarp;
        if (point >= p.num_points || !is_in_tree<T>(p, cloud, point)) continue;
        const T* x = static_cast<const T*>(p.points) + (cloud * p.num_points + point) * p.d;
#pragma unroll
        for (int axis = 0; axis < kCurveAxes; ++axis) {
            if (axis >= axes) continue;
            low[axis] = lesser(double(x[axis]), low[axis]);
            high[axis] = greater(double(x[axis]), high[axis]);
        }
    }
#pragma unroll
    for (int axis = 0; axis < kCurveAxes; ++axis) {
        for (int step = kWarp / 2; step > 0; step /= 2) {
            low[axis] = lesser(low[axis], __shfl_xor_sync(kAllLanes, low[axis], step));
            high[axis] = greater(high[axis], __shfl_xor_sync(kAllLanes, high[axis], step));
        }
        if (threadIdx.x % kWarp != 0 || axis >= axes) continue;
        auto* const of_cloud = reinterpret_cast<unsigned long long*>(p.bounds + cloud * 2 * kCurveAxes);
        atomicMin(of_cloud + axis, static_cast<unsigned long long>(ascending(low[axis])));
        atomicMax(of_cloud + kCurveAxes + axis, static_cast<unsigned long long>(ascending(high[axis])));
    }
}

// The place of a point along the Z curve of D axes through its cloud's bounds.
template <int D, typename T>
__device__ uint64_t place(const PointIndexParams& p, int64_t cloud, int64_t point) {
    const uint64_t* of_cloud = p.bounds + cloud * 2 * kCurveAxes;
    T low[D], high[D];
#pragma unroll
    for (int axis = 0; axis < D; ++axis) {
        low[axis] = T(from_ascending(of_cloud[axis]));
        high[axis] = T(from_ascending(of_cloud[kCurveAxes + axis]));
    }
    const T* x = static_cast<const T*>(p.points) + (cloud * p.num_points + point) * p.d;
    return morton_code<D>(x, low, morton_half_extent<D>(low, high), kCurveBits / D);
}

template <typename T>
__device__ void keys(const PointIndexParams& p) {
    const int64_t row = this_thread();
    if (row >= p.n * p.num_points) return;
    const int64_t cloud = row / p.num_points, point = row % p.num_points;
    const int axes = curve_axes(p);
    uint64_t key = morton_off_curve(1, kCurveBits);
    if (is_in_tree<T>(p, cloud, point)) {
        key = axes == 1   ? place<1, T>(p, cloud, point)
              : axes == 2 ? place<2, T>(p, cloud, point)
                          : place<3, T>(p, cloud, point);
    }
    key |= static_cast<uint64_t>(cloud) << (kCurveBits + 1);
    if (p.narrow) {
        static_cast<uint32_t*>(p.keys)[row] = static_cast<uint32_t>(key);
    } else {
        static_cast<uint64_t*>(p.keys)[row] = key;
    }
}

// A thread for each place in a leaf.
template <typename T>
__device__ void leaves(const PointIndexParams& p) {
    const int64_t i = this_thread(), lane = i % kTreeWidth, row = i / kTreeWidth;  // row: of all leaves of the batch
    if (row >= p.n * p.tree.leaves) return;
    const int64_t cloud = row / p.tree.leaves, leaf = row % p.tree.leaves, place = leaf * kTreeWidth + lane;
    uint32_t number = UINT32_MAX;
    if (place < p.num_points) {
        const int64_t point = p.order[cloud * p.num_points + place] - cloud * p.num_points;
        if (is_in_tree<T>(p, cloud, point)) number = static_cast<uint32_t>(point);
    }
    const T* x = static_cast<const T*>(p.points) + (cloud * p.num_points + number) * p.d;
    T* out = static_cast<T*>(p.tree.points) + row * p.d * kTreeWidth + lane;
    for (int64_t axis = 0; axis < p.d; ++axis) out[axis * kTreeWidth] = number == UINT32_MAX ? T(INFINITY) : x[axis];
    p.tree.ids[(cloud * (p.tree.nodes + p.tree.leaves) + p.tree.nodes + leaf) * kTreeWidth + lane] = number;
}

__device__ int64_t nodes_of(const DeviceTree& tree, int64_t level) {
    return (level + 1 < tree.levels ? tree.first[level + 1] : tree.nodes) - tree.first[level];
}

// A thread for each box of a level: it is around the boxes of the node below, or the points of the leaf.
template <typename T>
__device__ void nodes(const PointIndexParams& p) {
    const DeviceTree& tree = p.tree;
    const int64_t i = this_thread(), lane = i % kTreeWidth, width = nodes_of(tree, p.level);
    if (i >= p.n * width * kTreeWidth) return;
    const int64_t cloud = i / kTreeWidth / width, node = i / kTreeWidth % width, child = node * kTreeWidth + lane;
    const bool bottom = p.level + 1 == tree.levels;
    const bool exists = child < (bottom ? tree.leaves : nodes_of(tree, p.level + 1));
    const int64_t size = p.d * kTreeWidth;  // of a leaf; a node is twice as large
    uint32_t* ids = tree.ids + cloud * (tree.nodes + tree.leaves) * kTreeWidth;
    T* boxes = static_cast<T*>(tree.boxes) + cloud * tree.nodes * 2 * size;
    T* out = boxes + (tree.first[p.level] + node) * 2 * size + lane;

    const int64_t row = bottom ? child : tree.first[p.level + 1] + child;
    const T* low =
        bottom ? static_cast<const T*>(tree.points) + cloud * tree.leaves * size + row * size : boxes + row * 2 * size;
    const T* high = bottom ? low : low + size;
    const uint32_t* numbers = ids + ((bottom ? tree.nodes : 0) + row) * kTreeWidth;
    uint32_t least = UINT32_MAX;
    for (int j = 0; j < kTreeWidth && exists; ++j) least = numbers[j] < least ? numbers[j] : least;
    ids[(tree.first[p.level] + node) * kTreeWidth + lane] = least;
    for (int64_t axis = 0; axis < p.d; ++axis) {
        T from = T(INFINITY), to = -T(INFINITY);
        for (int j = 0; j < kTreeWidth && exists; ++j) {
            if (numbers[j] == UINT32_MAX) continue;
            from = lesser(low[axis * kTreeWidth + j], from);
            to = greater(high[axis * kTreeWidth + j], to);
        }
        out[axis * kTreeWidth] = from;
        out[size + axis * kTreeWidth] = to;
    }
}

}  // namespace

extern "C" __global__ void point_index_clear(const PointIndexParams p) { clear(p); }

extern "C" __global__ void point_index_bounds_f32(const PointIndexParams p) { bounds<float>(p); }
extern "C" __global__ void point_index_keys_f32(const PointIndexParams p) { keys<float>(p); }
extern "C" __global__ void point_index_leaves_f32(const PointIndexParams p) { leaves<float>(p); }
extern "C" __global__ void point_index_nodes_f32(const PointIndexParams p) { nodes<float>(p); }

extern "C" __global__ void point_index_bounds_f64(const PointIndexParams p) { bounds<double>(p); }
extern "C" __global__ void point_index_keys_f64(const PointIndexParams p) { keys<double>(p); }
extern "C" __global__ void point_index_leaves_f64(const PointIndexParams p) { leaves<double>(p); }
extern "C" __global__ void point_index_nodes_f64(const PointIndexParams p) { nodes<double>(p); }
