// SPDX-License-Identifier: Apache-2.0
// philox.cuh on many counters and keys, for philox.rs to compare with its namesake in crates/core.
#include "philox.h"
#include "philox.cuh"

extern "C" __global__ void emulator_philox(const EmulatorPhiloxParams p) {
    const int64_t i = this_thread();
    if (i >= p.num_cases) return;
    const uint32_t* in = p.inputs + 6 * i;
    const Words4 out = philox({in[0], in[1], in[2], in[3]}, in[4], in[5]);
    uint32_t* to = p.results + 4 * i;
    to[0] = out.x;
    to[1] = out.y;
    to[2] = out.z;
    to[3] = out.w;
}
