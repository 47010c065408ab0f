// SPDX-License-Identifier: Apache-2.0
// Atomics of a machine on which one thread runs at a time: each returns the value it found.
#pragma once

#define EMULATOR_ATOMIC(name, T, result) \
    inline T name(T* address, T value) { \
        const T old = *address;          \
        *address = (result);             \
        return old;                      \
    }

#define EMULATOR_ATOMIC_NUMBERS(T)                             \
    EMULATOR_ATOMIC(atomicAdd, T, static_cast<T>(old + value)) \
    EMULATOR_ATOMIC(atomicExch, T, value)

#define EMULATOR_ATOMIC_INTEGERS(T)                            \
    EMULATOR_ATOMIC(atomicMin, T, value < old ? value : old)   \
    EMULATOR_ATOMIC(atomicMax, T, value > old ? value : old)   \
    EMULATOR_ATOMIC(atomicAnd, T, static_cast<T>(old & value)) \
    EMULATOR_ATOMIC(atomicOr, T, static_cast<T>(old | value))  \
    EMULATOR_ATOMIC(atomicXor, T, static_cast<T>(old ^ value)) \
    inline T atomicCAS(T* address, T compare, T value) {       \
        const T old = *address;                                \
        if (old == compare) *address = value;                  \
        return old;                                            \
    }

// Signed sums wrap around, as they do on the device.
inline int atomicAdd(int* address, int value) {
    const int old = *address;
    *address = int(unsigned(old) + unsigned(value));
    return old;
}
inline int atomicSub(int* address, int value) { return atomicAdd(address, int(0u - unsigned(value))); }
EMULATOR_ATOMIC(atomicExch, int, value)
EMULATOR_ATOMIC_INTEGERS(int)

EMULATOR_ATOMIC_NUMBERS(unsigned)
EMULATOR_ATOMIC(atomicSub, unsigned, old - value)
EMULATOR_ATOMIC(atomicInc, unsigned, old >= value ? 0 : old + 1)
EMULATOR_ATOMIC(atomicDec, unsigned, old == 0 || old > value ? value : old - 1)
EMULATOR_ATOMIC_INTEGERS(unsigned)

EMULATOR_ATOMIC_NUMBERS(unsigned long long)
EMULATOR_ATOMIC_INTEGERS(unsigned long long)

// CUDA has no atomicAdd and atomicExch of signed 64-bit integers.
EMULATOR_ATOMIC_INTEGERS(long long)

EMULATOR_ATOMIC_NUMBERS(float)
EMULATOR_ATOMIC_NUMBERS(double)

#ifndef __APPLE__
// Here uint64_t and int64_t are long; under NVRTC they are long long.
EMULATOR_ATOMIC_NUMBERS(unsigned long)
EMULATOR_ATOMIC_INTEGERS(unsigned long)
EMULATOR_ATOMIC_INTEGERS(long)
#endif
