// SPDX-License-Identifier: Apache-2.0
// The K things with the least keys (distances, depths), kept sorted. Things are offered in ascending order of their
// numbers, so of equal keys the first offered stays first. A key that is not below the limit is never among them.
#pragma once
#include "cuda.cuh"

constexpr uint32_t kNothing = UINT32_MAX;  // no thing has this number

// K <= Capacity, in registers: once the loops are unrolled every index is a constant.
template <typename T, int Capacity>
struct RegisterList {
    T key[Capacity];
    uint32_t thing[Capacity];
    T worst;  // a key that is not below it does not enter
    int64_t k;

    __device__ RegisterList(int64_t k, T*, int64_t*, T limit = T(INFINITY)) : worst(limit), k(k) {
#pragma unroll
        for (int i = 0; i < Capacity; ++i) {
            key[i] = limit;
            thing[i] = kNothing;
        }
    }

    __device__ void insert(T new_key, int64_t new_thing) {
        const uint32_t number = static_cast<uint32_t>(new_thing);
#pragma unroll
        for (int i = Capacity - 1; i > 0; --i) {
            if (new_key < key[i - 1]) {
                key[i] = key[i - 1];
                thing[i] = thing[i - 1];
            } else if (new_key < key[i]) {
                key[i] = new_key;
                thing[i] = number;
            }
        }
        if (new_key < key[0]) {
            key[0] = new_key;
            thing[0] = number;
        }
#pragma unroll
        for (int i = 0; i < Capacity; ++i) worst = i < k ? key[i] : worst;
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

// Of any length, kept where the result belongs.
template <typename T>
struct LongList {
    T* key;
    int64_t* thing;
    T worst;
    int64_t k, size = 0;

    __device__ LongList(int64_t k, T* keys, int64_t* things, T limit = T(INFINITY))
        : key(keys), thing(things), worst(limit), k(k) {}

    __device__ void insert(T new_key, int64_t new_thing) {
        int64_t i = size < k ? size++ : k - 1;
        for (; i > 0 && new_key < key[i - 1]; --i) {
            key[i] = key[i - 1];
            thing[i] = thing[i - 1];
        }
        key[i] = new_key;
        thing[i] = new_thing;
        if (size == k) worst = key[k - 1];
    }

    __device__ void store(int64_t* things) const {
        for (int64_t i = size; i < k; ++i) things[i] = -1;
    }

    __device__ void store(T*, int64_t* things) const { store(things); }
};
