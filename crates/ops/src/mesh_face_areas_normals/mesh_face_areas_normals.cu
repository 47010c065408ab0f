// SPDX-License-Identifier: Apache-2.0
// Areas and normals of triangles: one thread a face; backward one thread a vertex, which adds up what its corners bring.
// triangle.rs in crates/core says how.
#include "mesh_face_areas_normals.h"
#include "triangle.cuh"

namespace {

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
