// SPDX-License-Identifier: Apache-2.0
// Faces of packed meshes, of which indices may be no vertices.
#pragma once
#include "triangle.cuh"

inline __device__ bool is_vertex(int64_t index, int64_t num_verts) { return index >= 0 && index < num_verts; }

// Whether all corners of a face are vertices.
inline __device__ bool is_whole(const int64_t* face, int64_t num_verts) {
    return is_vertex(face[0], num_verts) && is_vertex(face[1], num_verts) && is_vertex(face[2], num_verts);
}

// The triangle of a face that is whole.
template <typename T>
__device__ Triangle<T> load_triangle(const void* verts, const int64_t* face) {
    return {load_vec3<T>(verts, face[0]), load_vec3<T>(verts, face[1]), load_vec3<T>(verts, face[2])};
}
