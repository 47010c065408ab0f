// SPDX-License-Identifier: Apache-2.0
// Morton codes for kernels: cpu.rs has the same functions with the same order of operations, hence the same bits.
#pragma once
#include "cuda.cuh"

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

// The cell of a coordinate among 2^bits equal ones from low to high; those outside have the first or the last one. Of an
// extent that is not above 0 there is only the first cell.
template <typename T>
__device__ uint64_t morton_cell(T x, T low, T high, int bits) {
    // Halves, because an extent can be beyond the greatest number.
    const T half = T(0.5), extent = half * high - half * low, part = (half * x - half * low) / extent;
    const uint64_t last = (uint64_t(1) << bits) - 1;
    if (!(extent > T(0)) || !(part > T(0))) return 0;
    return part >= T(1) ? last : uint64_t(part * T(uint64_t(1) << bits));
}

template <typename T>
__device__ bool is_finite(T x) {
    return x - x == T(0);
}

// The code of a point of D coordinates in the box from low to high with `bits` bits an axis, the first axis lowest. A
// point that is not finite has the greatest code.
template <int D, typename T>
__device__ uint64_t morton_code(const T* point, const T* low, const T* high, int bits) {
    static_assert(D == 2 || D == 3, "codes of 2 or 3 dimensions");
    uint64_t code = 0;
    bool finite = true;
    for (int axis = 0; axis < D; ++axis) {
        const uint64_t cell = morton_cell(point[axis], low[axis], high[axis], bits);
        code |= (D == 2 ? spread2(cell) : spread3(cell)) << axis;
        finite = finite && is_finite(point[axis]);
    }
    return finite ? code : (uint64_t(1) << D * bits) - 1;
}
