// SPDX-License-Identifier: Apache-2.0
// K nearest neighbours by brute force: one thread a query, the other cloud tile by tile through shared memory.
#include "clouds.cuh"
#include "knn.h"
#include "nearest_list.cuh"

namespace {

__device__ float accumulate(int norm, float x, float d) { return norm == 2 ? __fmaf_rn(x, x, d) : fabsf(x) + d; }
__device__ double accumulate(int norm, double x, double d) { return norm == 2 ? __fma_rn(x, x, d) : fabs(x) + d; }

template <typename T>
__device__ T distance(const KnnParams& p, const T* a, const T* b) {
    T d = 0;
    for (int64_t axis = 0; axis < p.d; ++axis) d = accumulate(p.norm, a[axis] - b[axis], d);
    return d;
}

// Distances that are not below infinity (overflow, NaN) never enter a list. Slots left open by them take the lowest
// indices that are not in the list, with the distance as computed; slots beyond the cloud are padding.
template <typename T>
__device__ void complete(const KnnParams& p, const T* query, const T* points, int64_t length, T* dists, int64_t* idx) {
    const int64_t filled = p.k < length ? p.k : length;
    int64_t candidate = 0;
    for (int64_t i = 0; i < p.k; ++i) {
        if (i >= filled) {
            dists[i] = 0;
            idx[i] = 0;
        } else if (idx[i] < 0) {
            while (distance(p, query, points + candidate * p.d) < T(INFINITY)) ++candidate;
            dists[i] = distance(p, query, points + candidate * p.d);
            idx[i] = candidate++;
        }
    }
}

template <typename T, typename List>
__device__ void knn_forward(const KnnParams& p) {
    PATINA3D_DYNAMIC_SHARED(T, tile);
    const int64_t blocks_per_cloud = (p.num_p1 + blockDim.x - 1) / blockDim.x;
    const int64_t cloud = blockIdx.x / blocks_per_cloud;
    const int64_t i = (blockIdx.x % blocks_per_cloud) * blockDim.x + threadIdx.x;
    const int64_t length1 = length_of(p.lengths1, cloud, p.num_p1);
    const int64_t length2 = length_of(p.lengths2, cloud, p.num_p2);
    const int64_t row = cloud * p.num_p1 + i;
    const T* points = static_cast<const T*>(p.p2) + cloud * p.num_p2 * p.d;
    const bool active = i < length1;
    const T* query = static_cast<const T*>(p.p1) + (active ? row : 0) * p.d;

    T* dists = static_cast<T*>(p.dists) + row * p.k;
    int64_t* idx = p.idx + row * p.k;
    List list(p.k, dists, idx);
    if (p.tile == 0 && active) {
        for (int64_t j = 0; j < length2; ++j) {
            const T d = distance(p, query, points + j * p.d);
            if (d < list.worst) list.insert(d, j);
        }
    }
    for (int64_t start = 0; p.tile > 0 && start < length2; start += p.tile) {
        const int64_t count = p.tile < length2 - start ? p.tile : length2 - start;
        __syncthreads();
        for (int64_t e = threadIdx.x; e < count * p.d; e += blockDim.x) tile[e] = points[start * p.d + e];
        __syncthreads();
        if (!active) continue;
        if (p.d == 3) {
            const T x = query[0], y = query[1], z = query[2];
            for (int64_t j = 0; j < count; ++j) {
                T d = accumulate(p.norm, x - tile[3 * j], T(0));
                d = accumulate(p.norm, y - tile[3 * j + 1], d);
                d = accumulate(p.norm, z - tile[3 * j + 2], d);
                if (d < list.worst) list.insert(d, start + j);
            }
        } else {
            for (int64_t j = 0; j < count; ++j) {
                const T d = distance(p, query, tile + j * p.d);
                if (d < list.worst) list.insert(d, start + j);
            }
        }
    }
    if (i >= p.num_p1) return;
    if (active) {
        list.store(dists, idx);
        complete(p, query, points, length2, dists, idx);
    } else {
        for (int64_t k = 0; k < p.k; ++k) {
            dists[k] = 0;
            idx[k] = 0;
        }
    }
}

// The query of this thread in the flat batch, and how many of its slots hold a neighbour.
struct Query {
    int64_t row, cloud, slots;
    __device__ explicit Query(const KnnParams& p) {
        row = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
        slots = 0;
        cloud = 0;
        if (row >= p.n * p.num_p1) return;
        cloud = row / p.num_p1;
        if (row % p.num_p1 >= length_of(p.lengths1, cloud, p.num_p1)) return;
        const int64_t length2 = length_of(p.lengths2, cloud, p.num_p2);
        slots = p.k < length2 ? p.k : length2;
    }
};

// Whether a slot of idx names a point.
__device__ bool is_point(const KnnParams& p, int64_t index) { return index >= 0 && index < p.num_p2; }

template <typename T>
__device__ void knn_backward_p1(const KnnParams& p) {
    const Query query(p);
    if (query.row >= p.n * p.num_p1) return;
    const T* a = static_cast<const T*>(p.p1) + query.row * p.d;
    const T* points = static_cast<const T*>(p.p2) + query.cloud * p.num_p2 * p.d;
    const T* grad = static_cast<const T*>(p.grad_dists) + query.row * p.k;
    const int64_t* idx = p.idx + query.row * p.k;
    T* out = static_cast<T*>(p.grad_p1) + query.row * p.d;
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
    const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= p.n * p.num_p2 * p.d) return;
    static_cast<T*>(p.grad_p2)[i] = reduce_segment(p.inverse.segments, PairRows<T>(p), i / p.d, i % p.d);
}

// Gives each slot of this thread's query the point that it names.
__device__ void set_targets(const KnnParams& p) {
    const Query query(p);
    if (query.row >= p.n * p.num_p1) return;
    for (int64_t k = 0; k < p.k; ++k) {
        const int64_t pair = query.row * p.k + k;
        const bool names = k < query.slots && is_point(p, p.idx[pair]);
        inverse_set(p.inverse, pair, names ? query.cloud * p.num_p2 + p.idx[pair] : -1);
    }
}

}  // namespace

extern "C" __global__ void knn_forward_list1_f32(const KnnParams p) { knn_forward<float, RegisterList<float, 1>>(p); }
extern "C" __global__ void knn_forward_list4_f32(const KnnParams p) { knn_forward<float, RegisterList<float, 4>>(p); }
extern "C" __global__ void knn_forward_list8_f32(const KnnParams p) { knn_forward<float, RegisterList<float, 8>>(p); }
extern "C" __global__ void knn_forward_list16_f32(const KnnParams p) { knn_forward<float, RegisterList<float, 16>>(p); }
extern "C" __global__ void knn_forward_list32_f32(const KnnParams p) { knn_forward<float, RegisterList<float, 32>>(p); }
extern "C" __global__ void knn_forward_long_list_f32(const KnnParams p) { knn_forward<float, LongList<float>>(p); }
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
extern "C" __global__ void knn_backward_p1_f64(const KnnParams p) { knn_backward_p1<double>(p); }
extern "C" __global__ void knn_backward_p2_f64(const KnnParams p) { knn_backward_p2<double>(p); }

extern "C" __global__ void knn_backward_targets(const KnnParams p) { set_targets(p); }
extern "C" __global__ void knn_backward_chunks_f32(const KnnParams p) {
    reduce_chunks(p.inverse.segments, PairRows<float>(p));
}
extern "C" __global__ void knn_backward_chunks_f64(const KnnParams p) {
    reduce_chunks(p.inverse.segments, PairRows<double>(p));
}
