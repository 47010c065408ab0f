// SPDX-License-Identifier: Apache-2.0
#include "fiber.h"

#include <cstdint>
#include <cstring>
#include <new>

#include <sys/mman.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

// Pushes what the calling convention wants kept, leaves the stack pointer in *save, takes the other stack and pops.
extern "C" void patina3d_emulator_swap(void** save, void* to);

#ifdef __APPLE__
#define SYMBOL "_patina3d_emulator_swap"
#else
#define SYMBOL "patina3d_emulator_swap"
#endif

#ifdef EMULATOR_UCONTEXT
// No assembly.
#elif defined(__x86_64__)
asm(".text\n"
    ".p2align 4\n"
    ".globl " SYMBOL "\n" SYMBOL ":\n"
    "    pushq %rbp\n"
    "    pushq %rbx\n"
    "    pushq %r12\n"
    "    pushq %r13\n"
    "    pushq %r14\n"
    "    pushq %r15\n"
    "    movq %rsp, (%rdi)\n"
    "    movq %rsi, %rsp\n"
    "    popq %r15\n"
    "    popq %r14\n"
    "    popq %r13\n"
    "    popq %r12\n"
    "    popq %rbx\n"
    "    popq %rbp\n"
    "    ret\n");
#elif defined(__aarch64__)
asm(".text\n"
    ".p2align 4\n"
    ".globl " SYMBOL "\n" SYMBOL ":\n"
    "    sub sp, sp, #160\n"
    "    stp x19, x20, [sp, #0]\n"
    "    stp x21, x22, [sp, #16]\n"
    "    stp x23, x24, [sp, #32]\n"
    "    stp x25, x26, [sp, #48]\n"
    "    stp x27, x28, [sp, #64]\n"
    "    stp x29, x30, [sp, #80]\n"
    "    stp d8, d9, [sp, #96]\n"
    "    stp d10, d11, [sp, #112]\n"
    "    stp d12, d13, [sp, #128]\n"
    "    stp d14, d15, [sp, #144]\n"
    "    mov x9, sp\n"
    "    str x9, [x0]\n"
    "    mov sp, x1\n"
    "    ldp x19, x20, [sp, #0]\n"
    "    ldp x21, x22, [sp, #16]\n"
    "    ldp x23, x24, [sp, #32]\n"
    "    ldp x25, x26, [sp, #48]\n"
    "    ldp x27, x28, [sp, #64]\n"
    "    ldp x29, x30, [sp, #80]\n"
    "    ldp d8, d9, [sp, #96]\n"
    "    ldp d10, d11, [sp, #112]\n"
    "    ldp d12, d13, [sp, #128]\n"
    "    ldp d14, d15, [sp, #144]\n"
    "    add sp, sp, #160\n"
    "    ret\n");
#endif

namespace emulator {
namespace {

// Room for a thread's local arrays, three times over for the address sanitizer's red zones. Pages are touched as needed.
constexpr size_t kStackBytes = 256 * 1024;

// Which fiber is left and which one is entered: the entered one reads it.
thread_local Fiber* leaving = nullptr;
thread_local Fiber* entering = nullptr;

size_t page_bytes() {
    static const size_t bytes = size_t(sysconf(_SC_PAGESIZE));
    return bytes;
}

// Frames that are left for good leave their red zones behind, for whoever uses the memory next.
void forget_frames([[maybe_unused]] const unsigned char* stack) {
#ifdef __SANITIZE_ADDRESS__
    __asan_unpoison_memory_region(stack, kStackBytes);
#endif
}

}  // namespace

Fiber::Fiber(unsigned colour) : colour(colour), size(kStackBytes) {
    const size_t guard = page_bytes();
    void* memory = mmap(nullptr, guard + kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    mprotect(memory, guard, PROT_NONE);
    stack = static_cast<unsigned char*>(memory) + guard;
    bottom = stack;
}

Fiber::~Fiber() {
    if (!stack) return;
    forget_frames(stack);
    munmap(stack - page_bytes(), page_bytes() + kStackBytes);
}

void Fiber::reset(void (*new_entry)()) {
    entry = new_entry;
    fake_stack = nullptr;
    forget_frames(stack);
    // Equal frames of different fibers would otherwise fall into the same few cache sets.
    const size_t used = kStackBytes - size_t(colour % 128) * 320;
#ifdef EMULATOR_UCONTEXT
    getcontext(&context);
    context.uc_stack.ss_sp = stack;
    context.uc_stack.ss_size = used & ~size_t(15);
    context.uc_link = nullptr;
    makecontext(&context, &Fiber::entered, 0);
#else
    auto* top = reinterpret_cast<uintptr_t*>((reinterpret_cast<uintptr_t>(stack) + used) & ~uintptr_t(15));
#if defined(__x86_64__)
    // Six registers, the address that `ret` takes, and where `entered` expects the address of its caller.
    uintptr_t* frame = top - 8;
    std::memset(frame, 0, 8 * sizeof(uintptr_t));
    frame[6] = reinterpret_cast<uintptr_t>(&Fiber::entered);
#else
    // x19 to x30 and d8 to d15; x30 is where `ret` goes.
    uintptr_t* frame = top - 20;
    std::memset(frame, 0, 20 * sizeof(uintptr_t));
    frame[11] = reinterpret_cast<uintptr_t>(&Fiber::entered);
#endif
    stack_pointer = frame;
#endif
}

void Fiber::entered() {
    Fiber& self = *entering;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(nullptr, &leaving->bottom, &leaving->size);
#endif
    self.entry();
}

void Fiber::jump(Fiber& from, Fiber& to) {
    leaving = &from;
    entering = &to;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&from.fake_stack, to.bottom, to.size);
#endif
#ifdef EMULATOR_UCONTEXT
    swapcontext(&from.context, &to.context);
#else
    patina3d_emulator_swap(&from.stack_pointer, to.stack_pointer);
#endif
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(from.fake_stack, &leaving->bottom, &leaving->size);
#endif
}

}  // namespace emulator
