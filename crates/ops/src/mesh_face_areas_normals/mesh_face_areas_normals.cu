// SPDX-License-Identifier: Apache-2.0
// Areas and normals of triangles: one thread a face; backward one thread a vertex, which adds up what its corners bring.
// mod.rs says what is computed, triangle.rs holds the same functions.
#include "geometry.cuh"
#include "mesh_face_areas_normals.h"

namespace {

constexpr double kNoiseUlps = 4;

__device__ float power_of_two(float x) { return greater(__int_as_float(__float_as_int(x) & 0x7f800000), FLT_MIN); }
__device__ double power_of_two(double x) {
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

using Params = MeshFaceAreasNormalsParams;

__device__ int64_t this_thread() { return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; }

__device__ bool is_vertex(const Params& p, int64_t index) { return index >= 0 && index < p.v; }

// Whether all corners of a face are vertices.
__device__ bool is_whole(const Params& p, int64_t f) {
    const int64_t* face = p.faces + 3 * f;
    return is_vertex(p, face[0]) && is_vertex(p, face[1]) && is_vertex(p, face[2]);
}

template <typename T>
__device__ Vec3<T> load(const void* vectors, int64_t i) {
    const T* at = static_cast<const T*>(vectors) + 3 * i;
    return {at[0], at[1], at[2]};
}

template <typename T>
__device__ void store(void* vectors, int64_t i, Vec3<T> value) {
    T* at = static_cast<T*>(vectors) + 3 * i;
    at[0] = value.x;
    at[1] = value.y;
    at[2] = value.z;
}

template <typename T>
__device__ Triangle<T> load_triangle(const Params& p, int64_t f) {
    const int64_t* face = p.faces + 3 * f;
    return {load<T>(p.verts, face[0]), load<T>(p.verts, face[1]), load<T>(p.verts, face[2])};
}

template <typename T>
__device__ void forward(const Params& p) {
    const int64_t f = this_thread();
    if (f >= p.f) return;
    T area = 0;
    Vec3<T> normal = {};
    if (is_whole(p, f)) {
        const Triangle<T> triangle = load_triangle<T>(p, f);
        area = triangle.area();
        normal = triangle.normal();
    }
    static_cast<T*>(p.areas)[f] = area;
    store(p.normals, f, normal);
}

// What the corners bring to each vertex: entries are those at it.
template <typename T>
struct CornerRows {
    using Row = Vec3<T>;
    const Params& p;

    __device__ explicit CornerRows(const Params& p) : p(p) {}
    static __device__ Row nothing() { return {}; }
    static __device__ Row join(Row a, Row b) { return plus(a, b); }
    __device__ Row row(int64_t, int64_t entry, int64_t) const {
        const int64_t corner = inverse_pair(p.corners, entry), f = corner / 3;
        const T grad_area = p.grad_areas ? static_cast<const T*>(p.grad_areas)[f] : T(0);
        const Vec3<T> grad_normal = p.grad_normals ? load<T>(p.grad_normals, f) : Vec3<T>{};
        return load_triangle<T>(p, f).backward(grad_area, grad_normal, corner % 3);
    }
};

// A thread a vertex.
template <typename T>
__device__ void backward_sum(const Params& p) {
    const int64_t vertex = this_thread();
    if (vertex >= p.v) return;
    store(p.grad_verts, vertex, reduce_segment(p.corners.segments, CornerRows<T>(p), vertex, 0));
}

// Gives the corners of this thread's face their vertices.
__device__ void set_vertices(const Params& p) {
    const int64_t f = this_thread();
    if (f >= p.f) return;
    const bool whole = is_whole(p, f);
    for (int64_t corner = 3 * f; corner < 3 * f + 3; ++corner) {
        inverse_set(p.corners, corner, whole ? p.faces[corner] : -1);
    }
}

}  // namespace

extern "C" __global__ void mesh_face_areas_normals_forward_f32(const Params p) { forward<float>(p); }
extern "C" __global__ void mesh_face_areas_normals_forward_f64(const Params p) { forward<double>(p); }
extern "C" __global__ void mesh_face_areas_normals_backward_targets(const Params p) { set_vertices(p); }
extern "C" __global__ void mesh_face_areas_normals_backward_chunks_f32(const Params p) {
    reduce_chunks(p.corners.segments, CornerRows<float>(p));
}
extern "C" __global__ void mesh_face_areas_normals_backward_chunks_f64(const Params p) {
    reduce_chunks(p.corners.segments, CornerRows<double>(p));
}
extern "C" __global__ void mesh_face_areas_normals_backward_sum_f32(const Params p) { backward_sum<float>(p); }
extern "C" __global__ void mesh_face_areas_normals_backward_sum_f64(const Params p) { backward_sum<double>(p); }
