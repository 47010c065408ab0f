// SPDX-License-Identifier: Apache-2.0
// Areas and normals of triangles: one thread a face; backward one thread a vertex, which adds up what its corners bring.
// triangle.rs in crates/core says how.
#include "mesh_face_areas_normals.h"

#include "faces.cuh"

namespace {

using Params = MeshFaceAreasNormalsParams;

template <typename T>
__device__ void forward(const Params& p) {
    const int64_t f = this_thread();
    if (f >= p.f) return;
    T area = 0;
    Vec3<T> normal = {};
    const int64_t* face = p.faces + 3 * f;
    if (is_whole(face, p.v)) {
        const Triangle<T> triangle = load_triangle<T>(p.verts, face);
        area = triangle.area();
        normal = triangle.normal();
    }
    static_cast<T*>(p.areas)[f] = area;
    store_vec3(p.normals, f, normal);
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
        const Vec3<T> grad_normal = p.grad_normals ? load_vec3<T>(p.grad_normals, f) : Vec3<T>{};
        return load_triangle<T>(p.verts, p.faces + 3 * f).backward(grad_area, grad_normal, corner % 3);
    }
};

// A thread a vertex.
template <typename T>
__device__ void backward_sum(const Params& p) {
    const int64_t vertex = this_thread();
    if (vertex >= p.v) return;
    store_vec3(p.grad_verts, vertex, reduce_segment(p.corners.segments, CornerRows<T>(p), vertex, 0));
}

// Gives the corners of this thread's face their vertices.
__device__ void set_vertices(const Params& p) {
    const int64_t f = this_thread();
    if (f >= p.f) return;
    const bool whole = is_whole(p.faces + 3 * f, p.v);
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
