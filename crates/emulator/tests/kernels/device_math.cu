// SPDX-License-Identifier: Apache-2.0
// Every function of geometry.cuh on many cases, for device_math.rs to compare with geometry.rs.
#include "device_math.h"
#include "geometry.cuh"

namespace {

template <typename T>
struct Writer {
    T* next;

    __device__ Writer& operator<<(T value) {
        *next++ = value;
        return *this;
    }
    __device__ Writer& operator<<(Vec2<T> v) { return *this << v.x << v.y; }
    __device__ Writer& operator<<(Vec3<T> v) { return *this << v.x << v.y << v.z; }
    __device__ Writer& operator<<(const Triangle2<T>& v) { return *this << v.v0 << v.v1 << v.v2; }
};

template <typename T>
__device__ void evaluate(const EmulatorDeviceMathParams& params) {
    const int64_t i = this_thread();
    if (i >= params.num_cases) return;
    const T* c = static_cast<const T*>(params.cases) + 17 * i;
    const int64_t* pixel = params.pixels + 3 * i;
    const Vec2<T> p = {c[0], c[1]};
    const Triangle2<T> v = {{c[2], c[3]}, {c[4], c[5]}, {c[6], c[7]}};
    const Vec3<T> z = {c[8], c[9], c[10]}, w = {c[11], c[12], c[13]}, grad = {c[14], c[15], c[16]};

    Writer<T> out = {static_cast<T*>(params.results) + params.num_results * i};
    out << greater(c[0], c[1]) << lesser(c[0], c[1]) << magnitude(c[0]) << dot3(z, w);
    out << pixel_center<T>(pixel[0], pixel[1], pixel[2]);
    out << edge_function(p, v.v0, v.v1);
    Vec2<T> of_p, of_a, of_b;
    edge_function_backward(p, v.v0, v.v1, grad.x, of_p, of_a, of_b);
    out << of_p << of_a << of_b;
    out << barycentric_coordinates(p, v) << barycentric_coordinates_backward(p, v, grad);
    Vec3<T> of_z;
    const Vec3<T> of_w = perspective_correct_backward(w, z, grad, of_z);
    out << perspective_correct(w, z) << of_w << of_z;
    out << clip_barycentric(w) << clip_barycentric_backward(w, grad);
    point_segment_dist2_backward(p, v.v0, v.v1, grad.x, of_a, of_b);
    out << point_segment_dist2(p, v.v0, v.v1) << of_a << of_b;
    out << point_triangle_dist2(p, v) << point_triangle_dist2_backward(p, v, grad.x);
}

}  // namespace

extern "C" __global__ void emulator_device_math_f32(const EmulatorDeviceMathParams p) { evaluate<float>(p); }
extern "C" __global__ void emulator_device_math_f64(const EmulatorDeviceMathParams p) { evaluate<double>(p); }
