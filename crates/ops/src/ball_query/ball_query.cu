// SPDX-License-Identifier: Apache-2.0
// The first points in a ball: one thread a centre, which leaves the scan when its row is full.
#include "ball_query.h"
#include "point_scan.cuh"

namespace {

template <typename T>
__device__ void ball_query_forward(const BallQueryParams& p) {
    PATINA3D_DYNAMIC_SHARED(T, tile);
    const ScanRow at(p.num_p1);
    const bool active = at.i < length_of(p.lengths1, at.cloud, p.num_p1);
    const T* centre = static_cast<const T*>(p.p1) + (active ? at.row : 0) * p.d;
    const T* points = static_cast<const T*>(p.p2) + at.cloud * p.num_p2 * p.d;
    const int64_t length = length_of(p.lengths2, at.cloud, p.num_p2);
    const T limit = T(p.limit);

    T* dists = static_cast<T*>(p.dists) + at.row * p.k;
    int64_t* idx = p.idx + at.row * p.k;
    int64_t count = 0;
    scan_points(2, p.d, centre, active, points, length, tile, p.tile, [&](T d, int64_t j) {
        if (d < limit) {
            dists[count] = d;
            idx[count++] = j;
        }
        return count < p.k;
    });
    if (at.i >= p.num_p1) return;
    for (; count < p.k; ++count) {
        dists[count] = 0;
        idx[count] = -1;
    }
}

}  // namespace

extern "C" __global__ void ball_query_forward_f32(const BallQueryParams p) { ball_query_forward<float>(p); }
extern "C" __global__ void ball_query_forward_f64(const BallQueryParams p) { ball_query_forward<double>(p); }
