// SPDX-License-Identifier: Apache-2.0
// The first points in a ball, one thread a centre: by a scan, which a centre leaves when its row is full, or by the
// beginning of one and down a tree for the rest.
#include "ball_query.h"
#include "nearest_list.cuh"
#include "point_scan.cuh"

namespace {

template <typename T>
__device__ void ball_query_forward(const BallQueryParams& p) {
    PATINA3D_DYNAMIC_SHARED(T, tile);
    const ScanRow at(p.num_p1);
    const bool active = at.i < length_of(p.lengths1, at.cloud, p.num_p1);
    const T* centre = static_cast<const T*>(p.p1) + (active ? at.row : 0) * p.d;
    const T* points = static_cast<const T*>(p.p2) + at.cloud * p.num_p2 * p.d;
    const int64_t length = length_of(p.lengths2, at.cloud, p.num_p2);
    const T limit = T(p.limit);

    T* dists = static_cast<T*>(p.dists) + at.row * p.k;
    int64_t* idx = p.idx + at.row * p.k;
    int64_t count = 0;
    scan_points(2, p.d, centre, active, points, length, tile, p.tile, [&](T d, int64_t j) {
        if (d < limit) {
            dists[count] = d;
            idx[count++] = j;
        }
        return count < p.k;
    });
    if (at.i >= p.num_p1) return;
    for (; count < p.k; ++count) {
        dists[count] = 0;
        idx[count] = -1;
    }
}

// A row leaves its scan for the tree after so many points in a row outside of the ball. Where a ball holds more than about
// one point in so many, a scan fills the row sooner than a descent, which is shown all points of the ball in any order;
// where it holds fewer, what has been scanned is little beside a descent.
constexpr int64_t kPatience = 256;

template <typename T, typename Metric>
__device__ T distance_to_point(const Metric& metric, const T* centre, const T* point) {
    T sum = 0;
#pragma unroll
    for (int64_t axis = 0; axis < metric.dimension(); ++axis) {
        sum = metric.accumulate(centre[axis] - point[axis], sum);
    }
    return sum;
}

// Keeps the lowest numbers in the ball, from `first` on, of the leaves that it is shown.
template <typename T, typename List, typename Metric>
struct Candidates {
    const Metric& metric;
    const T* centre;
    T limit;
    uint32_t first;
    List& list;

    __device__ bool wants(T distance, const uint32_t* number) const { return distance < limit && *number < list.worst; }

    __device__ void visit(const T* points, const uint32_t* ids) {
        for (uint32_t wanted = wanted_in_leaf(metric, centre, points, ids, *this); wanted != 0; wanted &= wanted - 1) {
            const uint32_t number = ids[__ffs(wanted) - 1];
            if (number >= first && number < list.worst) list.insert(number, number);
        }
    }
};

template <typename T, typename List, typename Metric>
__device__ void ball_query_forward_tree(const BallQueryParams& p, const Metric& metric) {
    const int64_t thread = this_thread();
    if (thread >= p.n * p.num_p1) return;
    const int64_t row = p.order == nullptr ? thread : p.order[thread];
    const int64_t cloud = row / p.num_p1;
    const bool active = row % p.num_p1 < length_of(p.lengths1, cloud, p.num_p1);
    const T* centre = static_cast<const T*>(p.p1) + row * p.d;
    const T* points = static_cast<const T*>(p.p2) + cloud * p.num_p2 * p.d;
    const int64_t length = active ? length_of(p.lengths2, cloud, p.num_p2) : 0;
    const T limit = T(p.limit);
    T* dists = static_cast<T*>(p.dists) + row * p.k;
    int64_t* idx = p.idx + row * p.k;

    int64_t count = 0, scanned = 0;
    for (int64_t leave = kPatience; count < p.k && scanned < length && scanned < leave; ++scanned) {
        const T d = distance_to_point(metric, centre, points + scanned * p.d);
        if (d < limit) {
            dists[count] = d;
            idx[count++] = scanned;
            leave = scanned + 1 + kPatience;
        }
    }
    if (count == p.k) return;
    // Numbers are the keys, so that a long list may keep both in one place. None beyond the cloud enters, whatever the
    // tree says.
    List list(p.k - count, idx + count, idx + count, length);
    if (scanned < length) {
        Candidates<T, List, Metric> candidates = {metric, centre, limit, static_cast<uint32_t>(scanned), list};
        tree_search(p.tree, cloud, metric, centre, candidates);
    }
    list.store(idx + count);
    for (int64_t k = count; k < p.k; ++k) {
        dists[k] = idx[k] < 0 ? T(0) : distance_to_point(metric, centre, points + idx[k] * p.d);
    }
}

template <int Capacity>
using ShortList = RegisterList<int64_t, Capacity>;

template <typename T, typename List>
__device__ void ball_query_forward_tree(const BallQueryParams& p) {
    if (p.d == 3) {
        ball_query_forward_tree<T, List>(p, Metric<3, 2>{3, 2});
    } else {
        ball_query_forward_tree<T, List>(p, Metric<0, 2>{p.d, 2});
    }
}

// A coordinate of the point that a slot holds.
template <typename T>
__device__ void ball_query_gather(const BallQueryParams& p) {
    const int64_t i = this_thread();
    if (i >= p.n * p.num_p1 * p.k * p.d) return;
    const int64_t slot = i / p.d, index = p.idx[slot];
    const bool used = index >= 0 && index < p.num_p2;
    const int64_t row = slot / (p.num_p1 * p.k) * p.num_p2 + index;
    static_cast<T*>(p.knn)[i] = used ? static_cast<const T*>(p.p2)[row * p.d + i % p.d] : T(0);
}

}  // namespace

extern "C" __global__ void ball_query_forward_f32(const BallQueryParams p) { ball_query_forward<float>(p); }
extern "C" __global__ void ball_query_forward_f64(const BallQueryParams p) { ball_query_forward<double>(p); }
extern "C" __global__ void ball_query_forward_tree_list1_f32(const BallQueryParams p) {
    ball_query_forward_tree<float, ShortList<1>>(p);
}
extern "C" __global__ void ball_query_forward_tree_list8_f32(const BallQueryParams p) {
    ball_query_forward_tree<float, ShortList<8>>(p);
}
extern "C" __global__ void ball_query_forward_tree_list32_f32(const BallQueryParams p) {
    ball_query_forward_tree<float, ShortList<32>>(p);
}
extern "C" __global__ void ball_query_forward_tree_long_list_f32(const BallQueryParams p) {
    ball_query_forward_tree<float, LongList<int64_t>>(p);
}
extern "C" __global__ void ball_query_forward_tree_list1_f64(const BallQueryParams p) {
    ball_query_forward_tree<double, ShortList<1>>(p);
}
extern "C" __global__ void ball_query_forward_tree_list8_f64(const BallQueryParams p) {
    ball_query_forward_tree<double, ShortList<8>>(p);
}
extern "C" __global__ void ball_query_forward_tree_list32_f64(const BallQueryParams p) {
    ball_query_forward_tree<double, ShortList<32>>(p);
}
extern "C" __global__ void ball_query_forward_tree_long_list_f64(const BallQueryParams p) {
    ball_query_forward_tree<double, LongList<int64_t>>(p);
}

extern "C" __global__ void ball_query_gather_f32(const BallQueryParams p) { ball_query_gather<float>(p); }
extern "C" __global__ void ball_query_gather_f64(const BallQueryParams p) { ball_query_gather<double>(p); }
