// SPDX-License-Identifier: Apache-2.0
// The least that an operator does with the inverse of a map, for inverse.rs.
#include "inverse_user.h"

namespace {

struct ValueRows : SumRows<float> {
    const EmulatorInverseParams& p;

    __device__ explicit ValueRows(const EmulatorInverseParams& p) : p(p) {}
    __device__ float row(int64_t, int64_t entry, int64_t component) const {
        return p.values[inverse_pair(p.inverse, entry) * p.inverse.segments.components + component];
    }
};

}  // namespace

extern "C" __global__ void emulator_inverse_targets(const EmulatorInverseParams p) {
    const int64_t pair = this_thread();
    if (pair < p.inverse.segments.entries) inverse_set(p.inverse, pair, p.targets[pair]);
}

extern "C" __global__ void emulator_inverse_pairs(const EmulatorInverseParams p) {
    const int64_t entry = this_thread();
    if (entry < p.inverse.segments.entries) p.pairs[entry] = inverse_pair(p.inverse, entry);
}

extern "C" __global__ void emulator_inverse_chunks(const EmulatorInverseParams p) {
    reduce_chunks(p.inverse.segments, ValueRows(p));
}

extern "C" __global__ void emulator_inverse_sums(const EmulatorInverseParams p) {
    const int64_t i = this_thread(), components = p.inverse.segments.components;
    if (i < p.inverse.segments.segments * components) {
        p.sums[i] = reduce_segment(p.inverse.segments, ValueRows(p), i / components, i % components);
    }
}
