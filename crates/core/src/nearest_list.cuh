// SPDX-License-Identifier: Apache-2.0
// The K things with the least keys (distances, depths), of equal keys those with the lowest numbers. Keys are below the
// limit, infinity if nothing else is said, and not NaN.
#pragma once
#include "cuda.cuh"

constexpr uint32_t kNothing = UINT32_MAX;  // no thing has this number

// Whether things are offered in ascending order of their numbers: a later one is then behind all of its key.
enum class Offered { kAscending, kAnyOrder };

// K <= Capacity, sorted, in registers: once the loops are unrolled every index is a constant.
template <typename T, int Capacity, Offered order = Offered::kAscending>
struct RegisterList {
    T key[Capacity];
    uint32_t thing[Capacity];
    T worst;            // a thing whose key is not below it does not enter,
    uint32_t last = 0;  // but those offered in any order do with this very key and a lower number than this
    int64_t k;

    __device__ RegisterList(int64_t k, T*, int64_t*, T limit = T(INFINITY)) : worst(limit), k(k) {
#pragma unroll
        for (int i = 0; i < Capacity; ++i) {
            key[i] = limit;
            thing[i] = kNothing;
        }
    }

    __device__ bool before(T new_key, uint32_t number, int i) const {
        return new_key < key[i] || (order == Offered::kAnyOrder && new_key == key[i] && number < thing[i]);
    }

    __device__ void insert(T new_key, int64_t new_thing) {
        const uint32_t number = static_cast<uint32_t>(new_thing);
#pragma unroll
        for (int i = Capacity - 1; i > 0; --i) {
            if (before(new_key, number, i - 1)) {
                key[i] = key[i - 1];
                thing[i] = thing[i - 1];
            } else if (before(new_key, number, i)) {
                key[i] = new_key;
                thing[i] = number;
            }
        }
        if (before(new_key, number, 0)) {
            key[0] = new_key;
            thing[0] = number;
        }
#pragma unroll
        for (int i = 0; i < Capacity; ++i) {
            worst = i < k ? key[i] : worst;
            if (order == Offered::kAnyOrder) last = i < k ? thing[i] : last;
        }
        if (order == Offered::kAnyOrder && last == kNothing) last = 0;
    }

    // Writes K numbers, -1 where there is nothing.
    __device__ void store(int64_t* things) const {
#pragma unroll
        for (int i = 0; i < Capacity; ++i) {
            if (i < k) things[i] = thing[i] == kNothing ? -1 : static_cast<int64_t>(thing[i]);
        }
    }

    // And K keys, the limit where there is nothing.
    __device__ void store(T* keys, int64_t* things) const {
        store(things);
#pragma unroll
        for (int i = 0; i < Capacity; ++i) {
            if (i < k) keys[i] = key[i];
        }
    }
};

// Of any length, kept where the result belongs: a heap, whose first is the one to go, until it is stored. Things come in
// any order.
template <typename T>
struct LongList {
    T* key;
    int64_t* thing;
    T worst;
    uint32_t last = 0;
    int64_t k, size = 0;

    __device__ LongList(int64_t k, T* keys, int64_t* things, T limit = T(INFINITY))
        : key(keys), thing(things), worst(limit), k(k) {}

    __device__ bool before(T a, int64_t of_a, T b, int64_t of_b) const { return a < b || (a == b && of_a < of_b); }

    __device__ void put(int64_t i, T new_key, int64_t new_thing) {
        key[i] = new_key;
        thing[i] = new_thing;
    }

    // Puts a thing into the heap's first `count` places, of which the first is free.
    __device__ void sink(int64_t count, T new_key, int64_t new_thing) {
        int64_t i = 0;
        for (int64_t child = 1; child < count; child = 2 * i + 1) {
            if (child + 1 < count && before(key[child], thing[child], key[child + 1], thing[child + 1])) ++child;
            if (!before(new_key, new_thing, key[child], thing[child])) break;
            put(i, key[child], thing[child]);
            i = child;
        }
        put(i, new_key, new_thing);
    }

    __device__ void insert(T new_key, int64_t new_thing) {
        if (size == k) {
            sink(k, new_key, new_thing);
        } else {
            int64_t i = size++;
            for (; i > 0 && before(key[(i - 1) / 2], thing[(i - 1) / 2], new_key, new_thing); i = (i - 1) / 2) {
                put(i, key[(i - 1) / 2], thing[(i - 1) / 2]);
            }
            put(i, new_key, new_thing);
        }
        if (size == k) {
            worst = key[0];
            last = static_cast<uint32_t>(thing[0]);
        }
    }

    // Sorts what there is, and writes -1 for numbers where there is nothing.
    __device__ void store(int64_t* things) {
        for (int64_t i = size; i < k; ++i) things[i] = -1;
        for (int64_t count = size - 1; count > 0; --count) {
            const T moved = key[count];
            const int64_t moved_thing = thing[count];
            put(count, key[0], thing[0]);
            sink(count, moved, moved_thing);
        }
    }

    __device__ void store(T*, int64_t* things) { store(things); }
};
