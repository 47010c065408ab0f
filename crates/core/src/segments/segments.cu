// SPDX-License-Identifier: Apache-2.0
// Sum, least and greatest of the rows of each segment.
#include "segments.h"

namespace {

// NaN where one is NaN; of equal numbers the one before.
template <typename T>
struct MinRows {
    using Row = T;
    static __device__ T nothing() { return T(INFINITY); }
    static __device__ T join(T a, T b) { return b < a || b != b ? b : a; }
};

template <typename T>
struct MaxRows {
    using Row = T;
    static __device__ T nothing() { return -T(INFINITY); }
    static __device__ T join(T a, T b) { return b > a || b != b ? b : a; }
};

template <typename T, typename How>
struct ValueRows : How {
    const SegmentsParams& p;

    __device__ explicit ValueRows(const SegmentsParams& p) : p(p) {}
    __device__ T row(int64_t, int64_t entry, int64_t component) const {
        const int64_t row = p.index != nullptr ? p.index[entry] : entry;
        return static_cast<const T*>(p.values)[row * p.segments.components + component];
    }
};

template <typename T, typename How>
__device__ void chunks(const SegmentsParams& p) {
    reduce_chunks(p.segments, ValueRows<T, How>(p));
}

// A thread a component of a segment.
template <typename T, typename How>
__device__ void whole(const SegmentsParams& p) {
    const int64_t components = p.segments.components;
    const int64_t i = this_thread();
    if (i >= p.segments.segments * components) return;
    static_cast<T*>(p.out)[i] = reduce_segment(p.segments, ValueRows<T, How>(p), i / components, i % components);
}

}  // namespace

extern "C" __global__ void segments_chunks_sum_f32(const SegmentsParams p) { chunks<float, SumRows<float>>(p); }
extern "C" __global__ void segments_chunks_min_f32(const SegmentsParams p) { chunks<float, MinRows<float>>(p); }
extern "C" __global__ void segments_chunks_max_f32(const SegmentsParams p) { chunks<float, MaxRows<float>>(p); }
extern "C" __global__ void segments_whole_sum_f32(const SegmentsParams p) { whole<float, SumRows<float>>(p); }
extern "C" __global__ void segments_whole_min_f32(const SegmentsParams p) { whole<float, MinRows<float>>(p); }
extern "C" __global__ void segments_whole_max_f32(const SegmentsParams p) { whole<float, MaxRows<float>>(p); }

extern "C" __global__ void segments_chunks_sum_f64(const SegmentsParams p) { chunks<double, SumRows<double>>(p); }
extern "C" __global__ void segments_chunks_min_f64(const SegmentsParams p) { chunks<double, MinRows<double>>(p); }
extern "C" __global__ void segments_chunks_max_f64(const SegmentsParams p) { chunks<double, MaxRows<double>>(p); }
extern "C" __global__ void segments_whole_sum_f64(const SegmentsParams p) { whole<double, SumRows<double>>(p); }
extern "C" __global__ void segments_whole_min_f64(const SegmentsParams p) { whole<double, MinRows<double>>(p); }
extern "C" __global__ void segments_whole_max_f64(const SegmentsParams p) { whole<double, MaxRows<double>>(p); }
