// SPDX-License-Identifier: Apache-2.0
// Morton codes for kernels: cpu.rs has the same functions with the same order of operations, hence the same bits.
#pragma once
#include "geometry.cuh"

// Moves bit i to bit 2 i.
inline __device__ uint64_t spread2(uint64_t x) {
    x &= 0x7fffffffu;
    x = (x | x << 16) & 0x0000ffff0000ffffull;
    x = (x | x << 8) & 0x00ff00ff00ff00ffull;
    x = (x | x << 4) & 0x0f0f0f0f0f0f0f0full;
    x = (x | x << 2) & 0x3333333333333333ull;
    return (x | x << 1) & 0x5555555555555555ull;
}

// Moves bit i to bit 3 i.
inline __device__ uint64_t spread3(uint64_t x) {
    x &= 0x1fffffu;
    x = (x | x << 32) & 0x001f00000000ffffull;
    x = (x | x << 16) & 0x001f0000ff0000ffull;
    x = (x | x << 8) & 0x100f00f00f00f00full;
    x = (x | x << 4) & 0x10c30c30c30c30c3ull;
    return (x | x << 2) & 0x1249249249249249ull;
}

// Half the longest side of the box from low to high; 0 where no side is above 0. Halves, because a side can be beyond the
// greatest number.
template <int D, typename T>
__device__ T morton_half_extent(const T* low, const T* high) {
    T extent = 0;
#pragma unroll
    for (int axis = 0; axis < D; ++axis) {
        const T side = T(0.5) * high[axis] - T(0.5) * low[axis];
        if (side > extent) extent = side;
    }
    return extent;
}

// The cell of a coordinate among 2^bits equal ones from low on; those outside have the first or the last one. Without an
// extent there is only the first cell.
template <typename T>
__device__ uint64_t morton_cell(T x, T low, T half_extent, int bits) {
    const T part = (T(0.5) * x - T(0.5) * low) / half_extent;
    const uint64_t last = (uint64_t(1) << bits) - 1;
    if (!(half_extent > T(0)) || !(part > T(0))) return 0;
    return part >= T(1) ? last : uint64_t(part * T(uint64_t(1) << bits));
}

// The code after the greatest, of points that are in no cell.
inline __device__ uint64_t morton_off_curve(int dimension, int bits) { return uint64_t(1) << dimension * bits; }

// The code of a point of D coordinates with `bits` bits an axis, the first axis lowest, in cells as long along every axis.
template <int D, typename T>
__device__ uint64_t morton_code(const T* point, const T* low, T half_extent, int bits) {
    static_assert(D >= 1 && D <= 3, "codes of 1 to 3 dimensions");
    uint64_t code = 0;
    bool finite = true;
#pragma unroll
    for (int axis = 0; axis < D; ++axis) {
        const uint64_t cell = morton_cell(point[axis], low[axis], half_extent, bits);
        code |= (D == 1 ? cell : D == 2 ? spread2(cell) : spread3(cell)) << axis;
        finite = finite && is_finite(point[axis]);
    }
    return finite ? code : morton_off_curve(D, bits);
}
