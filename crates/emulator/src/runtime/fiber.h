// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#if !(defined(__x86_64__) || defined(__aarch64__)) || defined(PATINA3D_EMULATOR_UCONTEXT)
#define EMULATOR_UCONTEXT 1
#include <ucontext.h>
#endif

namespace emulator {

// A stack that can be left in the middle of a call and entered again there.
class Fiber {
public:
    // The stack that the host thread already has.
    Fiber() = default;
    // A stack of its own. Stacks of different `colour` begin in different cache sets.
    explicit Fiber(unsigned colour);
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;
    ~Fiber();

    // Forgets what the fiber was in the middle of; the next jump to it calls `entry`, which must not return.
    void reset(void (*entry)());

    // Leaves `from`, which must be the running fiber, for `to`. Returns when something jumps to `from`.
    static void jump(Fiber& from, Fiber& to);

private:
    static void entered();

    unsigned char* stack = nullptr;
    unsigned colour = 0;
    void (*entry)() = nullptr;
#ifdef EMULATOR_UCONTEXT
    ucontext_t context{};
#else
    void* stack_pointer = nullptr;
#endif
    // What the address sanitizer wants to hear of at each jump.
    void* fake_stack = nullptr;
    const void* bottom = nullptr;
    size_t size = 0;
};

}  // namespace emulator
