// SPDX-License-Identifier: Apache-2.0
// Barriers, votes and shuffles. The default arguments are the line of the kernel that calls.
#pragma once

#include "block.h"

#define EMULATOR_LINE const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(EMULATOR_LINE) { emulator::meet_block(true, {"__syncthreads", file, line}); }
inline int __syncthreads_count(int predicate, EMULATOR_LINE) {
    return emulator::meet_block(predicate != 0, {"__syncthreads_count", file, line});
}
inline int __syncthreads_and(int predicate, EMULATOR_LINE) {
    return emulator::meet_block(predicate == 0, {"__syncthreads_and", file, line}) == 0;
}
inline int __syncthreads_or(int predicate, EMULATOR_LINE) {
    return emulator::meet_block(predicate != 0, {"__syncthreads_or", file, line}) != 0;
}

inline void __syncwarp(unsigned mask = 0xffffffffu, EMULATOR_LINE) {
    emulator::meet_warp(emulator::Meeting::Sync, mask, 0, 0, {"__syncwarp", file, line});
}
inline unsigned __ballot_sync(unsigned mask, int predicate, EMULATOR_LINE) {
    return unsigned(
        emulator::meet_warp(emulator::Meeting::Ballot, mask, predicate != 0, 0, {"__ballot_sync", file, line}));
}
inline int __any_sync(unsigned mask, int predicate, EMULATOR_LINE) {
    return emulator::meet_warp(emulator::Meeting::Ballot, mask, predicate != 0, 0, {"__any_sync", file, line}) != 0;
}
inline int __all_sync(unsigned mask, int predicate, EMULATOR_LINE) {
    return emulator::meet_warp(emulator::Meeting::Ballot, mask, predicate == 0, 0, {"__all_sync", file, line}) == 0;
}

namespace emulator {

template <typename T>
uint64_t to_bits(T value) {
    uint64_t bits = 0;
    __builtin_memcpy(&bits, &value, sizeof(T));
    return bits;
}

template <typename T>
T exchange(unsigned mask, T value, unsigned source, Site site) {
    const uint64_t bits = meet_warp(Meeting::Exchange, mask, to_bits(value), source, site);
    T received;
    __builtin_memcpy(&received, &bits, sizeof(T));
    return received;
}

// The first lane of the segment of `width` lanes that the running lane is in.
inline unsigned segment_of(int width) {
    if (width < 1 || width > 32 || (width & (width - 1))) fail("the width of a shuffle must be 1, 2, 4, 8, 16 or 32");
    return current.lane & ~unsigned(width - 1);
}

}  // namespace emulator

#define EMULATOR_COLLECTIVES(T)                                                                                 \
    inline T __shfl_sync(unsigned mask, T value, int source, int width = 32, EMULATOR_LINE) {                   \
        const unsigned from = emulator::segment_of(width) + (unsigned(source) & unsigned(width - 1));           \
        return emulator::exchange(mask, value, from, {"__shfl_sync", file, line});                              \
    }                                                                                                           \
    inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, EMULATOR_LINE) {            \
        const unsigned lane = emulator::current.lane, first = emulator::segment_of(width);                      \
        const unsigned from = delta <= lane - first ? lane - delta : lane;                                      \
        return emulator::exchange(mask, value, from, {"__shfl_up_sync", file, line});                           \
    }                                                                                                           \
    inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, EMULATOR_LINE) {          \
        const unsigned lane = emulator::current.lane, last = emulator::segment_of(width) + unsigned(width - 1); \
        const unsigned from = delta <= last - lane ? lane + delta : lane;                                       \
        return emulator::exchange(mask, value, from, {"__shfl_down_sync", file, line});                         \
    }                                                                                                           \
    inline T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32, EMULATOR_LINE) {            \
        const unsigned lane = emulator::current.lane, last = emulator::segment_of(width) + unsigned(width - 1); \
        const unsigned other = lane ^ unsigned(lane_mask);                                                      \
        return emulator::exchange(mask, value, other <= last ? other : lane, {"__shfl_xor_sync", file, line});  \
    }                                                                                                           \
    inline unsigned __match_any_sync(unsigned mask, T value, EMULATOR_LINE) {                                   \
        return unsigned(emulator::meet_warp(emulator::Meeting::Match, mask, emulator::to_bits(value), 0,        \
                                            {"__match_any_sync", file, line}));                                 \
    }                                                                                                           \
    inline unsigned __match_all_sync(unsigned mask, T value, int* all, EMULATOR_LINE) {                         \
        const unsigned present = __ballot_sync(mask, 1, file, line);                                            \
        *all = __match_any_sync(mask, value, file, line) == present;                                            \
        return *all ? present : 0;                                                                              \
    }

EMULATOR_COLLECTIVES(int)
EMULATOR_COLLECTIVES(unsigned)
EMULATOR_COLLECTIVES(long)
EMULATOR_COLLECTIVES(unsigned long)
EMULATOR_COLLECTIVES(long long)
EMULATOR_COLLECTIVES(unsigned long long)
EMULATOR_COLLECTIVES(float)
EMULATOR_COLLECTIVES(double)

// The running thread is alone on its CPU thread and every store is in order.
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}

// A thread that waits for another one's store must let it run.
inline void __nanosleep(unsigned) { emulator::step_aside(); }

[[noreturn]] inline void __trap() { emulator::fail("__trap"); }
