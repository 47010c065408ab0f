// SPDX-License-Identifier: Apache-2.0
// The trees of tree.rs for kernels: the same arrays, searched by one thread a query. That file says what they hold and
// why no search misses a point: the distance to a box is accumulated with the operations and roundings of the distance to
// a point, so it is never the greater one.
#pragma once
#include "clouds.cuh"

constexpr int kTreeWidth = 16;      // points of a leaf, and boxes of a node
constexpr int kMostTreeLevels = 8;  // of nodes

// The trees of a batch of clouds, all of one layout.
struct DeviceTree {
    void* points;                    // (N, leaves, D, 16)
    void* boxes;                     // (N, nodes, 2, D, 16), level by level from the root
    uint32_t* ids;                   // (N, nodes + leaves, 16): least number in each box, then the points' numbers
    int64_t first[kMostTreeLevels];  // node of each level
    int64_t leaves;
    int64_t nodes;
    int64_t levels;
};

PATINA3D_LAYOUT(DeviceTree, points, boxes, ids, first, leaves, nodes, levels)

// How distances are measured. Dimension D or, where that is 0, d at run time; so for the norm, 1 or 2.
template <int D = 0, int Norm = 0>
struct Metric {
    int64_t d;
    int norm;

    __device__ int64_t dimension() const { return D > 0 ? D : d; }

    template <typename T>
    __device__ T accumulate(T difference, T sum) const {
        return ::accumulate(Norm > 0 ? Norm : norm, difference, sum);
    }
};

// Four neighbouring numbers, loaded at once.
template <typename T>
struct alignas(16) FourOf {
    T lane[4];
};

template <typename T>
__device__ FourOf<T> load_four(const T* numbers) {
    return *reinterpret_cast<const FourOf<T>*>(numbers);
}

// The distance from a query to one point of a leaf.
template <typename T, typename Metric>
__device__ T distance_in_leaf(const Metric& metric, const T* query, const T* points, int lane) {
    T sum = 0;
#pragma unroll
    for (int64_t axis = 0; axis < metric.dimension(); ++axis) {
        sum = metric.accumulate(query[axis] - points[axis * kTreeWidth + lane], sum);
    }
    return sum;
}

// Which points of a leaf the visitor wants, a bit each.
template <typename T, typename Metric, typename Visitor>
__device__ uint32_t wanted_in_leaf(const Metric& metric, const T* query, const T* points, const uint32_t* ids,
                                   const Visitor& visitor) {
    uint32_t wanted = 0;
    for (int lane = 0; lane < kTreeWidth; lane += 4) {
        T sum[4] = {0, 0, 0, 0};
#pragma unroll
        for (int64_t axis = 0; axis < metric.dimension(); ++axis) {
            const FourOf<T> x = load_four(points + axis * kTreeWidth + lane);
#pragma unroll
            for (int i = 0; i < 4; ++i) sum[i] = metric.accumulate(query[axis] - x.lane[i], sum[i]);
        }
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            if (visitor.wants(sum[i], ids + lane + i)) wanted |= 1u << (lane + i);
        }
    }
    return wanted;
}

// What lies between a coordinate and a box along one axis; 0 inside.
template <typename T>
__device__ T gap(T query, T low, T high) {
    const T below = low - query, above = query - high;
    const T outside = below > above ? below : above;
    return outside > T(0) ? outside : T(0);
}

// The distance from a query to one box of a node.
template <typename T, typename Metric>
__device__ T distance_to_box(const Metric& metric, const T* query, const T* boxes, int child) {
    const int64_t d = metric.dimension();
    T sum = 0;
#pragma unroll
    for (int64_t axis = 0; axis < d; ++axis) {
        const T low = boxes[axis * kTreeWidth + child], high = boxes[(d + axis) * kTreeWidth + child];
        sum = metric.accumulate(gap(query[axis], low, high), sum);
    }
    return sum;
}

// Looks at all boxes of a node: returns the nearest that the visitor wants, -1 if none, and marks the other ones that it
// wants, a bit each.
template <typename T, typename Metric, typename Visitor>
__device__ int nearest_box(const Metric& metric, const T* query, const T* boxes, const uint32_t* least,
                           const Visitor& visitor, uint32_t& others) {
    const int64_t d = metric.dimension();
    T nearest = T(INFINITY);
    int child = -1;
    others = 0;
    for (int lane = 0; lane < kTreeWidth; lane += 4) {
        T sum[4] = {0, 0, 0, 0};
#pragma unroll
        for (int64_t axis = 0; axis < d; ++axis) {
            const FourOf<T> low = load_four(boxes + axis * kTreeWidth + lane);
            const FourOf<T> high = load_four(boxes + (d + axis) * kTreeWidth + lane);
#pragma unroll
            for (int i = 0; i < 4; ++i) sum[i] = metric.accumulate(gap(query[axis], low.lane[i], high.lane[i]), sum[i]);
        }
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            if (!visitor.wants(sum[i], least + lane + i)) continue;
            others |= 1u << (lane + i);
            if (sum[i] < nearest) {
                nearest = sum[i];
                child = lane + i;
            }
        }
    }
    if (child >= 0) others &= ~(1u << child);
    return child;
}

// Shows the visitor every leaf of a cloud's tree that may hold a point it wants; nearby ones first. The visitor has
//
//   bool wants(T distance, const uint32_t* number) const   may a point at this distance or farther, below infinity, of
//                                                          this number or a greater one, matter?
//   void visit(const T* points, const uint32_t* ids)       takes a leaf
//
// and wants less and less. The boxes still to be looked at are a mask a level, so nothing is kept in memory.
template <typename T, typename Metric, typename Visitor>
__device__ void tree_search(const DeviceTree& tree, int64_t cloud, const Metric& metric, const T* query,
                            Visitor& visitor) {
    const int64_t d = metric.dimension();
    bool searches = tree.leaves > 0;
#pragma unroll
    for (int64_t axis = 0; axis < d; ++axis) searches = searches && query[axis] - query[axis] == T(0);
    if (!searches) return;

    const int64_t leaf_size = d * kTreeWidth, node_size = 2 * leaf_size;
    const T* points = static_cast<const T*>(tree.points) + cloud * tree.leaves * leaf_size;
    const T* boxes = static_cast<const T*>(tree.boxes) + cloud * tree.nodes * node_size;
    const uint32_t* least = tree.ids + cloud * (tree.nodes + tree.leaves) * kTreeWidth;
    const uint32_t* ids = least + tree.nodes * kTreeWidth;

    int64_t node = 0, level = 0;  // node counts from the first of its level
    uint64_t above[2] = {0, 0};   // the masks of the levels above, the nearest in the low bits
    uint32_t pending;             // that of this level
    int child = nearest_box(metric, query, boxes, least, visitor, pending);
    for (;;) {
        while (child < 0) {
            if (pending != 0) {
                const int64_t row = tree.first[level] + node;
                child = __ffs(pending) - 1;
                pending &= pending - 1;
                const T distance = distance_to_box(metric, query, boxes + row * node_size, child);
                if (!visitor.wants(distance, least + row * kTreeWidth + child)) child = -1;
            } else {
                if (level == 0) return;
                --level;
                node /= kTreeWidth;
                pending = above[0] & 0xffff;
                above[0] = above[0] >> 16 | above[1] << 48;
                above[1] >>= 16;
            }
        }
        node = node * kTreeWidth + child;
        child = -1;
        if (level + 1 == tree.levels) {
            visitor.visit(points + node * leaf_size, ids + node * kTreeWidth);
            node /= kTreeWidth;
        } else {
            ++level;
            above[1] = above[1] << 16 | above[0] >> 48;
            above[0] = above[0] << 16 | pending;
            const int64_t row = tree.first[level] + node;
            child = nearest_box(metric, query, boxes + row * node_size, least + row * kTreeWidth, visitor, pending);
        }
    }
}
