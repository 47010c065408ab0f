// SPDX-License-Identifier: Apache-2.0
// What the launcher hands to every kernel of mesh_face_areas_normals.cu; cuda.rs declares the same struct.
#pragma once
#include "inverse/inverse.cuh"

struct MeshFaceAreasNormalsParams {
    const void* verts;         // (V, 3)
    const int64_t* faces;      // (F, 3)
    void* areas;               // (F,); forward only
    void* normals;             // (F, 3)
    const void* grad_areas;    // (F,) or null; backward only, as what follows
    const void* grad_normals;  // (F, 3) or null
    void* grad_verts;          // (V, 3)
    Inverse corners;           // pairs 3 f + corner, targets vertices
    int64_t v;
    int64_t f;
};

PATINA3D_LAYOUT(MeshFaceAreasNormalsParams, verts, faces, areas, normals, grad_areas, grad_normals, grad_verts, corners,
                v, f)
