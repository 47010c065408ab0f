// SPDX-License-Identifier: Apache-2.0
// triangle.rs for kernels: the same functions, same names, same order of operations, hence the same bits. That file says
// what each one means.
#pragma once
#include "geometry.cuh"

constexpr double kNoiseUlps = 4;

inline __device__ float power_of_two(float x) {
    return greater(__int_as_float(__float_as_int(x) & 0x7f800000), FLT_MIN);
}
inline __device__ double power_of_two(double x) {
    return greater(__longlong_as_double(__double_as_longlong(x) & 0x7ff0000000000000LL), DBL_MIN);
}

template <typename T>
__device__ Vec3<T> minus(Vec3<T> a, Vec3<T> b) {
    return {a.x - b.x, a.y - b.y, a.z - b.z};
}

template <typename T>
__device__ Vec3<T> times(T factor, Vec3<T> a) {
    return {factor * a.x, factor * a.y, factor * a.z};
}

template <typename T>
__device__ Vec3<T> plus(Vec3<T> a, Vec3<T> b) {
    return {a.x + b.x, a.y + b.y, a.z + b.z};
}

template <typename T>
__device__ Vec3<T> over(Vec3<T> a, T divisor) {
    return {a.x / divisor, a.y / divisor, a.z / divisor};
}

template <typename T>
__device__ Vec3<T> cross(Vec3<T> a, Vec3<T> b) {
    return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}

template <typename T>
__device__ T scale_of(Vec3<T> edge) {
    return power_of_two(greater(greater(magnitude(edge.x), magnitude(edge.y)), magnitude(edge.z)));
}

template <typename T>
struct Triangle {
    Vec3<T> edge1, edge2;
    T scale1, scale2, length;
    Vec3<T> direction;
    bool degenerate;

    __device__ Triangle(Vec3<T> v0, Vec3<T> v1, Vec3<T> v2) {
        edge1 = minus(v1, v0);
        edge2 = minus(v2, v0);
        scale1 = scale_of(edge1);
        scale2 = scale_of(edge2);
        edge1 = times(T(1) / scale1, edge1);
        edge2 = times(T(1) / scale2, edge2);
        const Vec3<T> c = cross(edge1, edge2);
        const T length2 = dot3(c, c);
        length = sqrt(length2);
        direction = length == T(0) ? Vec3<T>{} : over(c, length);
        const T noise = T(kNoiseUlps) * Geometry<T>::ulp;
        degenerate = length2 <= noise * noise * dot3(edge1, edge1) * dot3(edge2, edge2);
    }

    __device__ T area() const { return T(0.5) * length * greater(scale1, scale2) * lesser(scale1, scale2); }

    __device__ double wide_area() const {
        const double wide1 = scale1, wide2 = scale2;
        return 0.5 * double(length) * greater(wide1, wide2) * lesser(wide1, wide2);
    }

    __device__ Vec3<T> normal() const { return degenerate ? Vec3<T>{} : direction; }

    // The gradient of one corner.
    __device__ Vec3<T> backward(T grad_area, Vec3<T> grad_normal, int64_t corner) const {
        const Vec3<T> across = minus(grad_normal, times(dot3(direction, grad_normal), direction));
        const Vec3<T> turn = degenerate ? Vec3<T>{} : over(across, length);
        const T half = T(0.5) * grad_area;
        const Vec3<T> of1 =
            plus(times(half * scale2, cross(edge2, direction)), times(T(1) / scale1, cross(edge2, turn)));
        const Vec3<T> of2 =
            plus(times(half * scale1, cross(direction, edge1)), times(T(1) / scale2, cross(turn, edge1)));
        if (corner == 1) return of1;
        return corner == 2 ? of2 : times(-T(1), plus(of1, of2));
    }
};
