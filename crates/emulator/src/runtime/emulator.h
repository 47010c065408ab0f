// SPDX-License-Identifier: Apache-2.0
// What `cuda.cuh` brings under the emulator: CUDA's qualifiers, builtins and intrinsics, meant for one CPU thread that
// plays every CUDA thread of a block in turn.
//
// Not offered, so that a kernel which needs them does not compile: __activemask (its value is up to the hardware),
// directed rounding, textures, cooperative groups, anything newer than compute_70.
#pragma once

#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "vector_types.h"

#include "block.h"

#include "atomics.h"
#include "collectives.h"
#include "intrinsics.h"
#include "layout.h"

// The build script replaces these three in the preprocessed text: it lists the kernels with their bounds, and turns each
// shared variable into a reference to memory of the block.
#define __global__ PATINA3D_KERNEL
#define __launch_bounds__(...) PATINA3D_LAUNCH_BOUNDS(__VA_ARGS__)
#define __shared__ PATINA3D_SHARED

#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __align__(bytes) __attribute__((aligned(bytes)))

#define threadIdx (::emulator::current.thread)
#define blockIdx (::emulator::current.block)
#define blockDim (::emulator::current.block_size)
#define gridDim (::emulator::current.grid_size)
#define warpSize 32

#define PATINA3D_DYNAMIC_SHARED(type, name) type* const name = static_cast<type*>(::emulator::current.dynamic_shared)
#define PATINA3D_LAYOUT(Struct, ...) EMULATOR_LAYOUT(Struct, __VA_ARGS__)
