// SPDX-License-Identifier: Apache-2.0
// Morton codes of points in a box, one thread a point.
#include "morton.cuh"
#include "morton.h"

namespace {

template <typename T, int D, typename Code>
__device__ void morton_codes(const MortonParams& p) {
    const int64_t i = this_thread();
    if (i >= p.count) return;
    const T* low = static_cast<const T*>(p.bounds);
    const T* point = static_cast<const T*>(p.points) + i * D;
    const T half_extent = morton_half_extent<D>(low, low + D);
    static_cast<Code*>(p.codes)[i] = static_cast<Code>(morton_code<D>(point, low, half_extent, p.bits));
}

}  // namespace

extern "C" __global__ void morton_codes_2d_f32_u32(const MortonParams p) { morton_codes<float, 2, uint32_t>(p); }
extern "C" __global__ void morton_codes_2d_f32_u64(const MortonParams p) { morton_codes<float, 2, uint64_t>(p); }
extern "C" __global__ void morton_codes_3d_f32_u32(const MortonParams p) { morton_codes<float, 3, uint32_t>(p); }
extern "C" __global__ void morton_codes_3d_f32_u64(const MortonParams p) { morton_codes<float, 3, uint64_t>(p); }

extern "C" __global__ void morton_codes_2d_f64_u32(const MortonParams p) { morton_codes<double, 2, uint32_t>(p); }
extern "C" __global__ void morton_codes_2d_f64_u64(const MortonParams p) { morton_codes<double, 2, uint64_t>(p); }
extern "C" __global__ void morton_codes_3d_f64_u32(const MortonParams p) { morton_codes<double, 3, uint32_t>(p); }
extern "C" __global__ void morton_codes_3d_f64_u64(const MortonParams p) { morton_codes<double, 3, uint64_t>(p); }
