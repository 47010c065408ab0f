// SPDX-License-Identifier: Apache-2.0
// The table of kernels that the build script writes, and the functions that Rust calls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "layout.h"

namespace emulator {

struct Kernel {
    const char* name;
    void (*run_thread)(const void* params);
    unsigned max_threads;
};

// The kernels of one `.cu`, ended by one without a name.
using Unit = const Kernel*;

// Every unit, ended by a null; the build script writes it.
extern const Unit units[];

template <auto kernel>
struct Entry {
    static_assert(sizeof(kernel) == 0, "a kernel takes one params struct, by value");
};
template <typename Params, void (*kernel)(Params)>
struct Entry<kernel> {
    static_assert(std::is_trivially_copyable_v<Params>, "a params struct is plain C");
    static void run_thread(const void* params) { kernel(*static_cast<const Params*>(params)); }
};

// The first argument of __launch_bounds__, or the largest block where a kernel has none.
constexpr unsigned max_threads(unsigned threads = 1024, unsigned = 0) { return threads; }

enum class Order : uint32_t { Forward, Reversed, Shuffled };

// The blocks of a grid that run: `count` of them from the `first` on, numbered along x, then y, then z.
struct Blocks {
    uint64_t first, count;
};

}  // namespace emulator

extern "C" {
// The kernel of this name, or null. Names need not end in a NUL byte.
const emulator::Kernel* patina3d_emulator_find(const char* name, size_t length);
// The names of all kernels, one call each; null after the last.
const char* patina3d_emulator_name(size_t index);
// Runs blocks of a grid. Returns null, or what went wrong; the text lives until this thread's next launch.
const char* patina3d_emulator_launch(const emulator::Kernel* kernel, const uint32_t grid[3], emulator::Blocks blocks,
                                     const uint32_t block[3], uint32_t shared_bytes, const void* params,
                                     emulator::Order order, uint64_t seed);
// The layout of a params struct, or null.
const emulator::Layout* patina3d_emulator_layout(const char* name);
}
