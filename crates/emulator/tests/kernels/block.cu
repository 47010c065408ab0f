// SPDX-License-Identifier: Apache-2.0
#include "block.h"

extern "C" __global__ void emulator_block_atomics(const EmulatorBlockParams p) {
    unsigned long long* const c = p.counters;
    int* const i = p.trace;
    const unsigned long long thread = blockIdx.x * blockDim.x + threadIdx.x;
    atomicAdd(c, thread);
    atomicMax(c + 1, thread);
    atomicMin(c + 2, thread);
    atomicOr(c + 3, 1ull << thread % 64);
    atomicAdd(p.values, 0.5f);
    atomicAdd(i, 2);
    atomicMin(i + 1, -int(thread));
    atomicInc(reinterpret_cast<unsigned*>(i + 2), 9u);
    // A maximum of floats through their bits, as kernels write it.
    const float value = float(thread) * 0.25f;
    int* const bits = reinterpret_cast<int*>(p.values + 1);
    for (int old = *bits; __int_as_float(old) < value;) {
        const int seen = atomicCAS(bits, old, __float_as_int(value));
        if (seen == old) break;
        old = seen;
    }
}

// In which order threads and blocks come.
extern "C" __global__ void emulator_block_trace(const EmulatorBlockParams p) {
    const int thread = int(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z));
    const int block = int(blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z));
    p.trace[atomicAdd(p.counters, 1ull)] = block * int(blockDim.x * blockDim.y * blockDim.z) + thread;
}

// What shared memory holds before anybody wrote to it, the second time as well.
extern "C" __global__ void emulator_block_uninitialised(const EmulatorBlockParams p) {
    PATINA3D_DYNAMIC_SHARED(int, dynamic);
    __shared__ float scalar;
    __shared__ double2 pairs[2][3];
    if (blockIdx.x == 1) {
        p.values[0] = scalar;
        p.values[1] = float(pairs[1][2].y);
        p.trace[0] = dynamic[3];
    }
    __syncthreads();
    scalar = 1.0f;
    pairs[1][2].y = 1.0;
    dynamic[3] = 1;
}

// One thread waits for another one's store.
extern "C" __global__ void emulator_block_spin(const EmulatorBlockParams p) {
    volatile unsigned long long* const flag = p.counters;
    if (threadIdx.x == 0) {
        while (*flag == 0) __nanosleep(10);
        p.trace[0] = 1;
    } else if (threadIdx.x == blockDim.x - 1) {
        *flag = 1;
    }
}

// Arithmetic that a GPU and this must do alike, to the bit.
extern "C" __global__ void emulator_block_arithmetic(const EmulatorBlockParams p) {
    const float x = p.values[0], y = p.values[1];
    float* const out = p.values + 2;
    out[0] = x * x - y;
    out[1] = fmaf(x, x, -y);
    out[2] = __fmul_rn(x, x) - y;
    out[3] = min(NAN, x);
    out[4] = fmaxf(-0.0f, 0.0f);
    out[5] = min(0.0f, -0.0f);
    int32_t* const i = p.trace;
    i[0] = __float2int_rz(1e20f * x);
    i[1] = __float2int_rn(-INFINITY * x);
    i[2] = __float2int_rd(NAN * x);
    i[3] = __clz(0) + __ffs(8) + __popc(0xf0u);
    i[4] = int(__brev(1u));
    i[5] = int(__umulhi(0x80000000u, 6u));
    i[6] = int(__funnelshift_l(0x80000000u, 1u, 1));
    i[7] = int(__byte_perm(0x33221100u, 0x77665544u, 0x7041u));
    i[8] = min(-1, 1);
    i[9] = __float2int_rn(2.5f);
    // What the build script must not trip over: a kernel's brackets inside a macro's arguments.
    __shared__ float2 last[2 * (3 + 1)];
    last[7] = make_float2(1.0f, 2.0f);
    out[6] = last[7].y;
}

#define KERNEL_OF(suffix, T)                                                     \
    extern "C" __global__ void __launch_bounds__(2 * 32, 1)                      \
        emulator_block_declared_by_macro_##suffix(const EmulatorBlockParams p) { \
        __shared__ T tile[64];                                                   \
        tile[threadIdx.x] = T(threadIdx.x);                                      \
        __syncthreads();                                                         \
        p.values[threadIdx.x] = float(tile[63 - threadIdx.x]);                   \
    }
KERNEL_OF(f32, float)
KERNEL_OF(f64, double)
