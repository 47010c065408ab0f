// SPDX-License-Identifier: Apache-2.0
// geometry.rs for kernels: the same functions, same names, same order of operations, hence the same bits. That file
// says what each one means.
#pragma once
#include "cuda.cuh"

template <typename T>
struct Vec2 {
    T x, y;
};

template <typename T>
struct Vec3 {
    T x, y, z;
};

template <typename T>
__device__ bool is_finite(T x) {
    return x - x == T(0);
}

// One of many that lie one after the other.
template <typename T>
__device__ Vec3<T> load_vec3(const void* vectors, int64_t i) {
    const T* at = static_cast<const T*>(vectors) + 3 * i;
    return {at[0], at[1], at[2]};
}

template <typename T>
__device__ void store_vec3(void* vectors, int64_t i, Vec3<T> value) {
    T* at = static_cast<T*>(vectors) + 3 * i;
    at[0] = value.x;
    at[1] = value.y;
    at[2] = value.z;
}

// The vertices of a triangle in the plane, or their gradients.
template <typename T>
struct Triangle2 {
    Vec2<T> v0, v1, v2;
};

template <typename T>
struct Geometry;

template <>
struct Geometry<float> {
    static constexpr float ulp = FLT_EPSILON, epsilon = 1e-8f, clip_epsilon = 1e-5f;
};

template <>
struct Geometry<double> {
    static constexpr double ulp = DBL_EPSILON, epsilon = 1e-8, clip_epsilon = 1e-5;
};

template <typename T>
__device__ T greater(T a, T b) {
    return a > b ? a : b;
}

template <typename T>
__device__ T lesser(T a, T b) {
    return a < b ? a : b;
}

template <typename T>
__device__ T magnitude(T a) {
    return a < T(0) ? -a : a;
}

template <typename T>
__device__ T dot3(Vec3<T> a, Vec3<T> b) {
    return a.x * b.x + a.y * b.y + a.z * b.z;
}

template <typename T>
__device__ T pixel_center(int64_t index, int64_t size, int64_t other) {
    const T count = T(size);
    const T range = size > other ? count * T(2) / T(other) : T(2);
    const T offset = range / T(2);
    return -offset + (range * T(size - 1 - index) + offset) / count;
}

template <typename T>
__device__ T edge_function(Vec2<T> p, Vec2<T> a, Vec2<T> b) {
    return (p.x - a.x) * (b.y - a.y) - (p.y - a.y) * (b.x - a.x);
}

// Gradients of p, a and b.
template <typename T>
__device__ void edge_function_backward(Vec2<T> p, Vec2<T> a, Vec2<T> b, T grad, Vec2<T>& of_p, Vec2<T>& of_a,
                                       Vec2<T>& of_b) {
    of_p = {grad * (b.y - a.y), grad * (a.x - b.x)};
    of_a = {grad * (p.y - b.y), grad * (b.x - p.x)};
    of_b = {grad * (a.y - p.y), grad * (p.x - a.x)};
}

template <typename T>
__device__ Vec3<T> barycentric_coordinates(Vec2<T> p, const Triangle2<T>& v) {
    const T area = edge_function(v.v2, v.v0, v.v1) + Geometry<T>::epsilon;
    return {edge_function(p, v.v1, v.v2) / area, edge_function(p, v.v2, v.v0) / area,
            edge_function(p, v.v0, v.v1) / area};
}

template <typename T>
__device__ Triangle2<T> barycentric_coordinates_backward(Vec2<T> p, const Triangle2<T>& v, Vec3<T> grad) {
    const T area = edge_function(v.v2, v.v0, v.v1) + Geometry<T>::epsilon;
    const T products =
        magnitude((v.v2.x - v.v0.x) * (v.v1.y - v.v0.y)) + magnitude((v.v2.y - v.v0.y) * (v.v1.x - v.v0.x));
    const bool sound = magnitude(area) > Geometry<T>::ulp * products;
    if (!sound) return {};
    const Vec3<T> w = {edge_function(p, v.v1, v.v2) / area, edge_function(p, v.v2, v.v0) / area,
                       edge_function(p, v.v0, v.v1) / area};
    const T grad_area = -(dot3(grad, w) / area);
    Vec2<T> unused, v1_of_w0, v2_of_w0, v2_of_w1, v0_of_w1, v0_of_w2, v1_of_w2, v2_of_area, v0_of_area, v1_of_area;
    edge_function_backward(p, v.v1, v.v2, grad.x / area, unused, v1_of_w0, v2_of_w0);
    edge_function_backward(p, v.v2, v.v0, grad.y / area, unused, v2_of_w1, v0_of_w1);
    edge_function_backward(p, v.v0, v.v1, grad.z / area, unused, v0_of_w2, v1_of_w2);
    edge_function_backward(v.v2, v.v0, v.v1, grad_area, v2_of_area, v0_of_area, v1_of_area);
    return {
        {v0_of_w1.x + v0_of_w2.x + v0_of_area.x, v0_of_w1.y + v0_of_w2.y + v0_of_area.y},
        {v1_of_w0.x + v1_of_w2.x + v1_of_area.x, v1_of_w0.y + v1_of_w2.y + v1_of_area.y},
        {v2_of_w0.x + v2_of_w1.x + v2_of_area.x, v2_of_w0.y + v2_of_w1.y + v2_of_area.y},
    };
}

template <typename T>
__device__ Vec3<T> perspective_correct(Vec3<T> w, Vec3<T> z) {
    const Vec3<T> top = {w.x * z.y * z.z, z.x * w.y * z.z, z.x * z.y * w.z};
    const T sum = greater(top.x + top.y + top.z, Geometry<T>::epsilon);
    return {top.x / sum, top.y / sum, top.z / sum};
}

// Returns the gradient of w.
template <typename T>
__device__ Vec3<T> perspective_correct_backward(Vec3<T> w, Vec3<T> z, Vec3<T> grad, Vec3<T>& of_z) {
    const Vec3<T> top = {w.x * z.y * z.z, z.x * w.y * z.z, z.x * z.y * w.z};
    const T total = top.x + top.y + top.z;
    const T sum = greater(total, Geometry<T>::epsilon);
    const Vec3<T> u = {top.x / sum, top.y / sum, top.z / sum};
    const T of_sum = total >= Geometry<T>::epsilon ? dot3(grad, u) : T(0);
    const Vec3<T> g = {(grad.x - of_sum) / sum, (grad.y - of_sum) / sum, (grad.z - of_sum) / sum};
    of_z = {g.y * w.y * z.z + g.z * w.z * z.y, g.x * w.x * z.z + g.z * w.z * z.x, g.x * w.x * z.y + g.y * w.y * z.x};
    return {g.x * z.y * z.z, g.y * z.x * z.z, g.z * z.x * z.y};
}

template <typename T>
__device__ Vec3<T> clip_barycentric(Vec3<T> u) {
    const Vec3<T> c = {greater(u.x, T(0)), greater(u.y, T(0)), greater(u.z, T(0))};
    const T sum = greater(c.x + c.y + c.z, Geometry<T>::clip_epsilon);
    return {c.x / sum, c.y / sum, c.z / sum};
}

template <typename T>
__device__ Vec3<T> clip_barycentric_backward(Vec3<T> u, Vec3<T> grad) {
    const Vec3<T> c = {greater(u.x, T(0)), greater(u.y, T(0)), greater(u.z, T(0))};
    const T total = c.x + c.y + c.z;
    const T sum = greater(total, Geometry<T>::clip_epsilon);
    const Vec3<T> clipped = {c.x / sum, c.y / sum, c.z / sum};
    const T of_sum = total >= Geometry<T>::clip_epsilon ? dot3(grad, clipped) : T(0);
    return {
        u.x >= T(0) ? (grad.x - of_sum) / sum : T(0),
        u.y >= T(0) ? (grad.y - of_sum) / sum : T(0),
        u.z >= T(0) ? (grad.z - of_sum) / sum : T(0),
    };
}

template <typename T>
__device__ T nearest_on_segment(Vec2<T> p, Vec2<T> a, Vec2<T> b) {
    const Vec2<T> ab = {b.x - a.x, b.y - a.y};
    const T length2 = ab.x * ab.x + ab.y * ab.y;
    if (length2 <= Geometry<T>::epsilon) return T(1);
    const T t = (ab.x * (p.x - a.x) + ab.y * (p.y - a.y)) / length2;
    return lesser(greater(t, T(0)), T(1));
}

template <typename T>
__device__ Vec2<T> to_segment(Vec2<T> p, Vec2<T> a, Vec2<T> b, T t) {
    return {a.x + t * (b.x - a.x) - p.x, a.y + t * (b.y - a.y) - p.y};
}

template <typename T>
__device__ T point_segment_dist2(Vec2<T> p, Vec2<T> a, Vec2<T> b) {
    const Vec2<T> d = to_segment(p, a, b, nearest_on_segment(p, a, b));
    return d.x * d.x + d.y * d.y;
}

template <typename T>
__device__ void point_segment_dist2_backward(Vec2<T> p, Vec2<T> a, Vec2<T> b, T grad, Vec2<T>& of_a, Vec2<T>& of_b) {
    const T t = nearest_on_segment(p, a, b);
    const Vec2<T> d = to_segment(p, a, b, t);
    const T scale_a = T(2) * grad * (T(1) - t), scale_b = T(2) * grad * t;
    of_a = {scale_a * d.x, scale_a * d.y};
    of_b = {scale_b * d.x, scale_b * d.y};
}

template <typename T>
__device__ T point_triangle_dist2(Vec2<T> p, const Triangle2<T>& v) {
    const T d01 = point_segment_dist2(p, v.v0, v.v1);
    const T d02 = point_segment_dist2(p, v.v0, v.v2);
    const T d12 = point_segment_dist2(p, v.v1, v.v2);
    return lesser(lesser(d01, d02), d12);
}

template <typename T>
__device__ Triangle2<T> point_triangle_dist2_backward(Vec2<T> p, const Triangle2<T>& v, T grad) {
    const T d01 = point_segment_dist2(p, v.v0, v.v1);
    const T d02 = point_segment_dist2(p, v.v0, v.v2);
    const T d12 = point_segment_dist2(p, v.v1, v.v2);
    Triangle2<T> of = {};
    if (d01 <= d02 && d01 <= d12) {
        point_segment_dist2_backward(p, v.v0, v.v1, grad, of.v0, of.v1);
    } else if (d02 <= d12) {
        point_segment_dist2_backward(p, v.v0, v.v2, grad, of.v0, of.v2);
    } else {
        point_segment_dist2_backward(p, v.v1, v.v2, grad, of.v1, of.v2);
    }
    return of;
}
