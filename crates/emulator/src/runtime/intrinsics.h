// SPDX-License-Identifier: Apache-2.0
// Bits, casts, arithmetic with named rounding, loads with a cache hint, min and max.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

namespace emulator {

template <typename To, typename From>
inline To bit_cast(From value) {
    static_assert(sizeof(To) == sizeof(From), "");
    To to;
    std::memcpy(&to, &value, sizeof(To));
    return to;
}

// The device saturates where C++ leaves the conversion undefined; a NaN becomes 0, in 64 bits the sign bit alone.
template <typename To, typename From>
inline To saturate(From value) {
    if (value != value) return sizeof(To) == 8 ? To(uint64_t(1) << 63) : To(0);
    constexpr From low = From(std::numeric_limits<To>::min()), high = From(std::numeric_limits<To>::max());
    if (value <= low) return std::numeric_limits<To>::min();
    if (value >= high) return std::numeric_limits<To>::max();
    return To(value);
}

template <typename A, typename B>
using Common = std::enable_if_t<std::is_arithmetic_v<A> && std::is_arithmetic_v<B>, std::common_type_t<A, B>>;

}  // namespace emulator

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
inline unsigned __brev(unsigned x) {
    x = (x >> 1 & 0x55555555u) | (x & 0x55555555u) << 1;
    x = (x >> 2 & 0x33333333u) | (x & 0x33333333u) << 2;
    x = (x >> 4 & 0x0f0f0f0fu) | (x & 0x0f0f0f0fu) << 4;
    return __builtin_bswap32(x);
}
inline unsigned long long __brevll(unsigned long long x) {
    return (unsigned long long)__brev(unsigned(x)) << 32 | __brev(unsigned(x >> 32));
}
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
    const uint64_t bytes = uint64_t(b) << 32 | a;
    unsigned result = 0;
    for (int i = 0; i < 4; ++i) result |= unsigned(bytes >> (selector >> 4 * i & 7) * 8 & 0xff) << 8 * i;
    return result;
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
    return unsigned((uint64_t(high) << 32 | low) << (shift & 31) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
    return unsigned((uint64_t(high) << 32 | low) >> (shift & 31));
}
inline int __mulhi(int a, int b) { return int(int64_t(a) * b >> 32); }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned(uint64_t(a) * b >> 32); }
inline long long __mul64hi(long long a, long long b) { return (long long)(__int128(a) * b >> 64); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)(a)*b >> 64);
}

inline int __float_as_int(float x) { return emulator::bit_cast<int>(x); }
inline unsigned __float_as_uint(float x) { return emulator::bit_cast<unsigned>(x); }
inline float __int_as_float(int x) { return emulator::bit_cast<float>(x); }
inline float __uint_as_float(unsigned x) { return emulator::bit_cast<float>(x); }
inline long long __double_as_longlong(double x) { return emulator::bit_cast<long long>(x); }
inline double __longlong_as_double(long long x) { return emulator::bit_cast<double>(x); }

#define EMULATOR_ROUND(to, T, from, suffix)                                                      \
    inline T __##from##2##to##_rn(suffix x) { return emulator::saturate<T>(std::nearbyint(x)); } \
    inline T __##from##2##to##_rz(suffix x) { return emulator::saturate<T>(std::trunc(x)); }     \
    inline T __##from##2##to##_rd(suffix x) { return emulator::saturate<T>(std::floor(x)); }     \
    inline T __##from##2##to##_ru(suffix x) { return emulator::saturate<T>(std::ceil(x)); }
EMULATOR_ROUND(int, int, float, float)
EMULATOR_ROUND(uint, unsigned, float, float)
EMULATOR_ROUND(ll, long long, float, float)
EMULATOR_ROUND(ull, unsigned long long, float, float)
EMULATOR_ROUND(int, int, double, double)
EMULATOR_ROUND(uint, unsigned, double, double)
EMULATOR_ROUND(ll, long long, double, double)
EMULATOR_ROUND(ull, unsigned long long, double, double)
inline float __int2float_rn(int x) { return float(x); }
inline float __uint2float_rn(unsigned x) { return float(x); }
inline float __ll2float_rn(long long x) { return float(x); }
inline float __ull2float_rn(unsigned long long x) { return float(x); }
inline double __int2double_rn(int x) { return double(x); }
inline double __ll2double_rn(long long x) { return double(x); }
inline float __double2float_rn(double x) { return float(x); }

// The kernels are compiled with -ffp-contract=off, so each of these rounds once by itself.
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __frcp_rn(float a) { return 1.0f / a; }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __drcp_rn(double a) { return 1.0 / a; }
inline double __dsqrt_rn(double a) { return std::sqrt(a); }
inline double __fma_rn(double a, double b, double c) { return std::fma(a, b, c); }

inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }
inline float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }
inline float __fdividef(float a, float b) { return a / b; }
// The C library may have functions of these names; the device's are fast and less exact.
#define __expf(x) expf(x)
#define __exp10f(x) powf(10.0f, x)
#define __logf(x) logf(x)
#define __log2f(x) log2f(x)
#define __powf(x, y) powf(x, y)
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)

template <typename T>
inline T __ldg(const T* address) {
    return *address;
}
template <typename T>
inline T __ldcg(const T* address) {
    return *address;
}
template <typename T>
inline T __ldcs(const T* address) {
    return *address;
}
template <typename T>
inline void __stcg(T* address, T value) {
    *address = value;
}
template <typename T>
inline void __stcs(T* address, T value) {
    *address = value;
}

// As on the device: of a number and a NaN the number, and -0 < +0.
template <typename A, typename B>
inline emulator::Common<A, B> min(A a, B b) {
    const emulator::Common<A, B> x = a, y = b;
    if constexpr (std::is_floating_point_v<emulator::Common<A, B>>) {
        if (x == y) return std::signbit(x) ? x : y;
        return x < y || y != y ? x : y;
    } else {
        return y < x ? y : x;
    }
}
template <typename A, typename B>
inline emulator::Common<A, B> max(A a, B b) {
    const emulator::Common<A, B> x = a, y = b;
    if constexpr (std::is_floating_point_v<emulator::Common<A, B>>) {
        if (x == y) return std::signbit(x) ? y : x;
        return x > y || y != y ? x : y;
    } else {
        return y > x ? y : x;
    }
}
#define fminf(a, b) ::min<float, float>(a, b)
#define fmaxf(a, b) ::max<float, float>(a, b)
#define fmin(a, b) ::min<double, double>(a, b)
#define fmax(a, b) ::max<double, double>(a, b)
