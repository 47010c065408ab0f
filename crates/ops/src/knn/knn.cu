// SPDX-License-Identifier: Apache-2.0
// K nearest neighbours by brute force: one thread a query, the other cloud tile by tile through shared memory.
#include "knn.h"

namespace {

__device__ int64_t length_of(const int64_t* lengths, int64_t cloud, int64_t most) {
    if (lengths == nullptr) return most;
    const int64_t length = lengths[cloud];
    return length < 0 ? 0 : (length > most ? most : length);
}

__device__ float accumulate(int norm, float x, float d) { return norm == 2 ? __fmaf_rn(x, x, d) : fabsf(x) + d; }
__device__ double accumulate(int norm, double x, double d) { return norm == 2 ? __fma_rn(x, x, d) : fabs(x) + d; }

__device__ float infinity(float) { return __int_as_float(0x7f800000); }
__device__ double infinity(double) { return __longlong_as_double(0x7ff0000000000000LL); }

// A neighbour list in registers: every index is known at compile time once the loops are unrolled.
template <typename T, int K>
struct RegisterList {
    T dist[K];
    int64_t index[K];
    T worst;  // the distance a candidate must be below
    int k;

    __device__ explicit RegisterList(const KnnParams& p, int64_t) : worst(infinity(T())), k(static_cast<int>(p.k)) {
#pragma unroll
        for (int i = 0; i < K; ++i) {
            dist[i] = infinity(T());
            index[i] = -1;
        }
    }

    // Candidates come in ascending order of index, so a tie goes behind what is there.
    __device__ void insert(T d, int64_t candidate) {
#pragma unroll
        for (int i = K - 1; i >= 0; --i) {
            const bool shift = i > 0 && d < dist[i > 0 ? i - 1 : 0];
            if (i < k && d < dist[i]) {
                dist[i] = shift ? dist[i > 0 ? i - 1 : 0] : d;
                index[i] = shift ? index[i > 0 ? i - 1 : 0] : candidate;
            }
        }
#pragma unroll
        for (int i = 0; i < K; ++i) worst = i < k ? dist[i] : worst;
    }

    __device__ void store(T* dists, int64_t* idx) const {
#pragma unroll
        for (int i = 0; i < K; ++i) {
            if (i < k) {
                dists[i] = dist[i];
                idx[i] = index[i];
            }
        }
    }
};

// A list of any length, kept sorted where the result belongs.
template <typename T>
struct LongList {
    T* dist;
    int64_t* index;
    T worst;
    int64_t k;
    int64_t size;

    __device__ explicit LongList(const KnnParams& p, int64_t row)
        : dist(static_cast<T*>(p.dists) + row * p.k), index(p.idx + row * p.k), worst(infinity(T())), k(p.k), size(0) {}

    __device__ void insert(T d, int64_t candidate) {
        int64_t i = size < k ? size++ : k - 1;
        for (; i > 0 && d < dist[i - 1]; --i) {
            dist[i] = dist[i - 1];
            index[i] = index[i - 1];
        }
        dist[i] = d;
        index[i] = candidate;
        if (size == k) worst = dist[k - 1];
    }

    __device__ void store(T*, int64_t*) const {
        for (int64_t i = size; i < k; ++i) index[i] = -1;
    }
};

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
            while (distance(p, query, points + candidate * p.d) < infinity(T())) ++candidate;
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

    List list(p, active ? row : 0);
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
    T* dists = static_cast<T*>(p.dists) + row * p.k;
    int64_t* idx = p.idx + row * p.k;
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

// d |x - y| / dx or d (x - y)^2 / dx, times g; the subgradient of |.| at 0 is 0.
template <typename T>
__device__ T slope(int norm, T g, T difference) {
    if (norm == 2) return 2 * g * difference;
    return difference > 0 ? g : (difference < 0 ? -g : T(0));
}

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

// Sorts a segment in place without recursion or memory of its own.
__device__ void heap_sort(int64_t* values, int64_t size) {
    for (int64_t end = size, start = size / 2; end > 1;) {
        int64_t value;
        if (start > 0) {
            value = values[--start];
        } else {
            value = values[--end];
            values[end] = values[0];
        }
        int64_t parent = start;
        for (int64_t child = 2 * parent + 1; child < end; child = 2 * parent + 1) {
            if (child + 1 < end && values[child + 1] > values[child]) ++child;
            if (values[child] <= value) break;
            values[parent] = values[child];
            parent = child;
        }
        values[parent] = value;
    }
}

template <typename T>
__device__ void knn_backward_p2(const KnnParams& p) {
    const int64_t target = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (target >= p.n * p.num_p2) return;
    const int64_t cloud = target / p.num_p2;
    const int64_t* first = p.first + cloud * (p.num_p2 + 1) + target % p.num_p2;
    int64_t* pairs = p.pairs + cloud * p.num_p1 * p.k;
    heap_sort(pairs + first[0], first[1] - first[0]);
    const T* a = static_cast<const T*>(p.p1) + cloud * p.num_p1 * p.d;
    const T* b = static_cast<const T*>(p.p2) + target * p.d;
    const T* grad = static_cast<const T*>(p.grad_dists) + cloud * p.num_p1 * p.k;
    T* out = static_cast<T*>(p.grad_p2) + target * p.d;
    for (int64_t axis = 0; axis < p.d; ++axis) {
        T sum = 0;
        for (int64_t s = first[0]; s < first[1]; ++s) {
            const int64_t pair = pairs[s];
            sum -= slope(p.norm, grad[pair], a[pair / p.k * p.d + axis] - b[axis]);
        }
        out[axis] = sum;
    }
}

__device__ void atomic_increment(int64_t* counter) { atomicAdd(reinterpret_cast<unsigned long long*>(counter), 1ULL); }

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

extern "C" __global__ void knn_backward_clear(const KnnParams p) {
    const int64_t point = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (point < p.n * p.num_p2) p.cursor[point] = 0;
}

// Integer counts come out the same in any order.
extern "C" __global__ void knn_backward_count(const KnnParams p) {
    const Query query(p);
    for (int64_t k = 0; k < query.slots; ++k) {
        const int64_t point = p.idx[query.row * p.k + k];
        if (is_point(p, point)) atomic_increment(p.cursor + query.cloud * p.num_p2 + point);
    }
}

// One block a cloud: the exclusive scan of the counts, written to `first` and back to `cursor`.
extern "C" __global__ void knn_backward_scan(const KnnParams p) {
    __shared__ int64_t partial[256];
    __shared__ int64_t carry;
    int64_t* counts = p.cursor + blockIdx.x * p.num_p2;
    int64_t* first = p.first + blockIdx.x * (p.num_p2 + 1);
    const int lane = threadIdx.x;
    if (lane == 0) carry = 0;
    for (int64_t start = 0; start < p.num_p2; start += 256) {
        const int64_t j = start + lane;
        const int64_t count = j < p.num_p2 ? counts[j] : 0;
        partial[lane] = count;
        __syncthreads();
        for (int step = 1; step < 256; step *= 2) {
            const int64_t before = lane >= step ? partial[lane - step] : 0;
            __syncthreads();
            partial[lane] += before;
            __syncthreads();
        }
        const int64_t exclusive = carry + partial[lane] - count;
        if (j < p.num_p2) {
            first[j] = exclusive;
            counts[j] = exclusive;
        }
        __syncthreads();
        if (lane == 255) carry += partial[255];
        __syncthreads();
    }
    if (lane == 0) first[p.num_p2] = carry;
}

extern "C" __global__ void knn_backward_fill(const KnnParams p) {
    const Query query(p);
    int64_t* pairs = p.pairs + query.cloud * p.num_p1 * p.k;
    for (int64_t k = 0; k < query.slots; ++k) {
        const int64_t point = p.idx[query.row * p.k + k];
        if (!is_point(p, point)) continue;
        int64_t* cursor = p.cursor + query.cloud * p.num_p2 + point;
        const int64_t place = static_cast<int64_t>(atomicAdd(reinterpret_cast<unsigned long long*>(cursor), 1ULL));
        pairs[place] = (query.row - query.cloud * p.num_p1) * p.k + k;
    }
}
