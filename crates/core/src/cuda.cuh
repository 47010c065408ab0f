// SPDX-License-Identifier: Apache-2.0
// The one header every kernel and every shared params header includes first.
//
// NVRTC compiles kernels without a standard library, so this names the few things of it that they use. Where the
// compiler is not NVRTC it is the emulator's, which brings its own meaning of the CUDA builtins.
#pragma once

#ifdef __CUDACC_RTC__

typedef signed char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef long long int64_t;
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;
typedef unsigned long long uintptr_t;

#define INT32_MIN (-2147483647 - 1)
#define INT32_MAX 2147483647
#define UINT32_MAX 4294967295u
#define INT64_MIN (-9223372036854775807ll - 1)
#define INT64_MAX 9223372036854775807ll
#define UINT64_MAX 18446744073709551615ull

#define INFINITY (1.0f / 0.0f)
#define NAN (0.0f / 0.0f)
#define FLT_EPSILON 1.1920928955078125e-07f
#define FLT_MIN 1.17549435082228750797e-38f
#define FLT_MAX 3.40282346638528859812e+38f
#define DBL_EPSILON 2.2204460492503130808e-16
#define DBL_MIN 2.2250738585072013831e-308
#define DBL_MAX 1.7976931348623157081e+308

// The memory whose size the launch decides. Every kernel of a module names the same bytes.
extern __shared__ __align__(16) unsigned char patina3d_dynamic_shared[];
#define PATINA3D_DYNAMIC_SHARED(type, name) type* const name = reinterpret_cast<type*>(patina3d_dynamic_shared)

// Lists every field of a params struct, in order. The emulator records their offsets, which a test compares with Rust's.
#define PATINA3D_LAYOUT(Struct, ...)

#else

#include "emulator.h"

#endif

// The number of a thread of a grid along x.
inline __device__ int64_t this_thread() { return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; }
