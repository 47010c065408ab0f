// SPDX-License-Identifier: Apache-2.0
// K nearest neighbours, one thread a query: by brute force, the other cloud tile by tile through shared memory, or down a
// tree.
#include "knn.h"
#include "nearest_list.cuh"
#include "point_scan.cuh"
#include "tree.cuh"

namespace {

// The index of a slot without a neighbour.
__device__ int64_t padding(const KnnParams& p) { return p.limited ? -1 : 0; }

// Distances that are not below infinity (overflow, NaN) never enter a list. Slots left open by them take the lowest
// indices that are not in the list, with the distance as computed; slots beyond the cloud are padding. Where distances are
// limited, open slots are padding too; so they are when no index is left, as a tree over other points than these may leave
// a list too short.
template <typename T>
__device__ void complete(const KnnParams& p, const T* query, const T* points, int64_t length, T* dists, int64_t* idx) {
    const int64_t filled = p.k < length ? p.k : length;
    int64_t candidate = 0;
    for (int64_t i = 0; i < p.k; ++i) {
        if (i >= filled || (p.limited && idx[i] < 0)) {
            dists[i] = 0;
            idx[i] = padding(p);
        } else if (idx[i] < 0) {
            T d = 0;
            for (; candidate < length; ++candidate) {
                d = distance(p.norm, p.d, query, points + candidate * p.d);
                if (!(d < T(INFINITY))) break;
            }
            dists[i] = candidate < length ? d : T(0);
            idx[i] = candidate < length ? candidate++ : padding(p);
        }
    }
}

// A row without a query.
template <typename T>
__device__ void leave_open(const KnnParams& p, T* dists, int64_t* idx) {
    for (int64_t k = 0; k < p.k; ++k) {
        dists[k] = 0;
        idx[k] = padding(p);
    }
}

template <typename T, typename List>
__device__ void knn_forward(const KnnParams& p) {
    PATINA3D_DYNAMIC_SHARED(T, tile);
    const ScanRow at(p.num_p1);
    const int64_t length = length_of(p.lengths2, at.cloud, p.num_p2);
    const T* points = static_cast<const T*>(p.p2) + at.cloud * p.num_p2 * p.d;
    const bool active = at.i < length_of(p.lengths1, at.cloud, p.num_p1);
    const T* query = static_cast<const T*>(p.p1) + (active ? at.row : 0) * p.d;

    T* dists = static_cast<T*>(p.dists) + at.row * p.k;
    int64_t* idx = p.idx + at.row * p.k;
    List list(p.k, dists, idx, T(p.limit));
    scan_points(p.norm, p.d, query, active, points, length, tile, p.tile, [&](T d, int64_t j) {
        if (d < list.worst) list.insert(d, j);
        return true;
    });
    if (at.i >= p.num_p1) return;
    if (active) {
        list.store(dists, idx);
        complete(p, query, points, length, dists, idx);
    } else {
        leave_open(p, dists, idx);
    }
}

// Keeps the nearest points of the leaves that it is shown.
template <typename T, typename List, typename Metric>
struct Candidates {
    const Metric& metric;
    const T* query;
    List& list;

    __device__ bool wants(T distance, const uint32_t* number) const {
        return distance < list.worst || (distance == list.worst && *number < list.last);
    }

    __device__ void visit(const T* points, const uint32_t* ids) {
        // One call of insert, which is long.
        for (uint32_t wanted = wanted_in_leaf(metric, query, points, ids, *this); wanted != 0; wanted &= wanted - 1) {
            const int lane = __ffs(wanted) - 1;
            const T distance = distance_in_leaf(metric, query, points, lane);
            if (wants(distance, ids + lane)) list.insert(distance, ids[lane]);
        }
    }
};

template <typename T, typename List, typename Metric>
__device__ void knn_forward_tree(const KnnParams& p, const Metric& metric) {
    const int64_t thread = this_thread();
    if (thread >= p.n * p.num_p1) return;
    const int64_t row = p.order == nullptr ? thread : p.order[thread];
    const int64_t cloud = row / p.num_p1;
    T* dists = static_cast<T*>(p.dists) + row * p.k;
    int64_t* idx = p.idx + row * p.k;
    if (row % p.num_p1 >= length_of(p.lengths1, cloud, p.num_p1)) return leave_open(p, dists, idx);
    const T* query = static_cast<const T*>(p.p1) + row * p.d;
    List list(p.k, dists, idx, T(p.limit));
    Candidates<T, List, Metric> candidates = {metric, query, list};
    tree_search(p.tree, cloud, metric, query, candidates);
    list.store(dists, idx);
    const T* points = static_cast<const T*>(p.p2) + cloud * p.num_p2 * p.d;
    complete(p, query, points, length_of(p.lengths2, cloud, p.num_p2), dists, idx);
}

// Lists of the tree's search.
template <typename T, int Capacity>
using AnyOrder = RegisterList<T, Capacity, Offered::kAnyOrder>;

template <typename T, typename List>
__device__ void knn_forward_tree(const KnnParams& p) {
    if (p.norm == 2 && p.d == 3) {
        knn_forward_tree<T, List>(p, Metric<3, 2>{3, 2});
    } else {
        knn_forward_tree<T, List>(p, Metric<>{p.d, p.norm});
    }
}

// The cloud of a query in the flat batch, and how many of its slots hold a neighbour.
struct Query {
    int64_t cloud, slots;
    __device__ Query(const KnnParams& p, int64_t row) : cloud(row / p.num_p1), slots(0) {
        if (row % p.num_p1 >= length_of(p.lengths1, cloud, p.num_p1)) return;
        const int64_t length2 = length_of(p.lengths2, cloud, p.num_p2);
        slots = p.k < length2 ? p.k : length2;
    }
};

// Whether a slot of idx names a point.
__device__ bool is_point(const KnnParams& p, int64_t index) { return index >= 0 && index < p.num_p2; }

template <typename T>
__device__ void knn_backward_p1(const KnnParams& p) {
    const int64_t row = this_thread();
    if (row >= p.n * p.num_p1) return;
    const Query query(p, row);
    const T* a = static_cast<const T*>(p.p1) + row * p.d;
    const T* points = static_cast<const T*>(p.p2) + query.cloud * p.num_p2 * p.d;
    const T* grad = static_cast<const T*>(p.grad_dists) + row * p.k;
    const int64_t* idx = p.idx + row * p.k;
    T* out = static_cast<T*>(p.grad_p1) + row * p.d;
    for (int64_t axis = 0; axis < p.d; ++axis) {
        T sum = 0;
        for (int64_t k = 0; k < query.slots; ++k) {
            if (is_point(p, idx[k])) sum += slope(p.norm, grad[k], a[axis] - points[idx[k] * p.d + axis]);
        }
        out[axis] = sum;
    }
}

// What the neighbours' queries bring to each point: entries are the pairs that chose it.
template <typename T>
struct PairRows : SumRows<T> {
    const KnnParams& p;

    __device__ explicit PairRows(const KnnParams& p) : p(p) {}
    __device__ T row(int64_t target, int64_t entry, int64_t axis) const {
        const int64_t pair = inverse_pair(p.inverse, entry);
        const T query = static_cast<const T*>(p.p1)[pair / p.k * p.d + axis];
        const T point = static_cast<const T*>(p.p2)[target * p.d + axis];
        return -slope(p.norm, static_cast<const T*>(p.grad_dists)[pair], query - point);
    }
};

// A thread a coordinate of a point.
template <typename T>
__device__ void knn_backward_p2(const KnnParams& p) {
    const int64_t i = this_thread();
    if (i >= p.n * p.num_p2 * p.d) return;
    static_cast<T*>(p.grad_p2)[i] = reduce_segment(p.inverse.segments, PairRows<T>(p), i / p.d, i % p.d);
}

// Gives this thread's slot the point that it names.
__device__ void set_target(const KnnParams& p) {
    const int64_t slot = this_thread();
    if (slot >= p.n * p.num_p1 * p.k) return;
    const Query query(p, slot / p.k);
    const int64_t point = p.idx[slot];
    const bool names = slot % p.k < query.slots && is_point(p, point);
    inverse_set(p.inverse, slot, names ? query.cloud * p.num_p2 + point : -1);
}

}  // namespace

extern "C" __global__ void knn_forward_list1_f32(const KnnParams p) { knn_forward<float, RegisterList<float, 1>>(p); }
extern "C" __global__ void knn_forward_list4_f32(const KnnParams p) { knn_forward<float, RegisterList<float, 4>>(p); }
extern "C" __global__ void knn_forward_list8_f32(const KnnParams p) { knn_forward<float, RegisterList<float, 8>>(p); }
extern "C" __global__ void knn_forward_list16_f32(const KnnParams p) { knn_forward<float, RegisterList<float, 16>>(p); }
extern "C" __global__ void knn_forward_list32_f32(const KnnParams p) { knn_forward<float, RegisterList<float, 32>>(p); }
extern "C" __global__ void knn_forward_long_list_f32(const KnnParams p) { knn_forward<float, LongList<float>>(p); }
extern "C" __global__ void knn_forward_tree_list1_f32(const KnnParams p) {
    knn_forward_tree<float, AnyOrder<float, 1>>(p);
}
extern "C" __global__ void knn_forward_tree_list8_f32(const KnnParams p) {
    knn_forward_tree<float, AnyOrder<float, 8>>(p);
}
extern "C" __global__ void knn_forward_tree_list32_f32(const KnnParams p) {
    knn_forward_tree<float, AnyOrder<float, 32>>(p);
}
extern "C" __global__ void knn_forward_tree_long_list_f32(const KnnParams p) {
    knn_forward_tree<float, LongList<float>>(p);
}
extern "C" __global__ void knn_backward_p1_f32(const KnnParams p) { knn_backward_p1<float>(p); }
extern "C" __global__ void knn_backward_p2_f32(const KnnParams p) { knn_backward_p2<float>(p); }

extern "C" __global__ void knn_forward_list1_f64(const KnnParams p) { knn_forward<double, RegisterList<double, 1>>(p); }
extern "C" __global__ void knn_forward_list4_f64(const KnnParams p) { knn_forward<double, RegisterList<double, 4>>(p); }
extern "C" __global__ void knn_forward_list8_f64(const KnnParams p) { knn_forward<double, RegisterList<double, 8>>(p); }
extern "C" __global__ void knn_forward_list16_f64(const KnnParams p) {
    knn_forward<double, RegisterList<double, 16>>(p);
}
extern "C" __global__ void knn_forward_list32_f64(const KnnParams p) {
    knn_forward<double, RegisterList<double, 32>>(p);
}
extern "C" __global__ void knn_forward_long_list_f64(const KnnParams p) { knn_forward<double, LongList<double>>(p); }
extern "C" __global__ void knn_forward_tree_list1_f64(const KnnParams p) {
    knn_forward_tree<double, AnyOrder<double, 1>>(p);
}
extern "C" __global__ void knn_forward_tree_list8_f64(const KnnParams p) {
    knn_forward_tree<double, AnyOrder<double, 8>>(p);
}
extern "C" __global__ void knn_forward_tree_list32_f64(const KnnParams p) {
    knn_forward_tree<double, AnyOrder<double, 32>>(p);
}
extern "C" __global__ void knn_forward_tree_long_list_f64(const KnnParams p) {
    knn_forward_tree<double, LongList<double>>(p);
}
extern "C" __global__ void knn_backward_p1_f64(const KnnParams p) { knn_backward_p1<double>(p); }
extern "C" __global__ void knn_backward_p2_f64(const KnnParams p) { knn_backward_p2<double>(p); }

extern "C" __global__ void knn_backward_targets(const KnnParams p) { set_target(p); }
extern "C" __global__ void knn_backward_chunks_f32(const KnnParams p) {
    reduce_chunks(p.inverse.segments, PairRows<float>(p));
}
extern "C" __global__ void knn_backward_chunks_f64(const KnnParams p) {
    reduce_chunks(p.inverse.segments, PairRows<double>(p));
}
