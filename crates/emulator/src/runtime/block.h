// SPDX-License-Identifier: Apache-2.0
// What the builtins need of the machine that runs a block.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vector_types.h"

namespace emulator {

// Where the running thread is.
struct Current {
    uint3 thread, block, block_size, grid_size;
    unsigned lane;
    void* dynamic_shared;
};
extern __thread Current current;

// A call at which threads meet, and the line of the kernel it stands on.
struct Site {
    const char* name;
    const char* file;
    int line;
};

enum class Meeting { Sync, Exchange, Ballot, Match };

// Waits until every lane of `mask` that still runs is at this call. Exchange: the value of lane `source`; Ballot: a bit
// for each lane with a value other than zero; Match: a bit for each lane with the value of this one.
uint64_t meet_warp(Meeting meeting, unsigned mask, uint64_t value, unsigned source, Site site);

// Waits until every thread of the block that still runs is at this call: how many brought true.
int meet_block(bool value, Site site);

// Lets the others run on.
void step_aside();

// Ends the launch with an error.
[[noreturn]] void fail(const char* reason);

// The shared variable of this key: the same bytes for every thread of the block, all of them 0xFF when a block begins.
void* shared_memory(const void* key, size_t size);

}  // namespace emulator
