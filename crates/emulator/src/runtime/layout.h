// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace emulator {

struct Field {
    const char* name;
    size_t offset;
};

// The layout of one params struct: its fields in order and, last, its size under the name `sizeof`.
struct Layout {
    const char* name;
    const Field* fields;
    size_t num_fields;
};

void record_layout(const char* name, const char* comma_separated_fields, const size_t* offsets, size_t num_offsets);
const Layout* find_layout(const char* name);

// The size of a struct that has just these fields.
template <typename... Fields>
constexpr size_t size_of_struct() {
    size_t end = 0, alignment = 1;
    for (const auto& [size, align] : {std::pair<size_t, size_t>{sizeof(Fields), alignof(Fields)}...}) {
        end = (end + align - 1) / align * align + size;
        alignment = align > alignment ? align : alignment;
    }
    return (end + alignment - 1) / alignment * alignment;
}

template <typename Struct, typename... Fields>
void record_fields(const char* name, const char* names, const void* base, const Fields&... fields) {
    static_assert(std::is_standard_layout_v<Struct> && std::is_trivially_copyable_v<Struct>,
                  "a params struct is plain C, for Rust and the GPU read the same bytes");
    static_assert(size_of_struct<Fields...>() == sizeof(Struct), "PATINA3D_LAYOUT lists every field, in order");
    const size_t offsets[] = {size_t(reinterpret_cast<const char*>(&fields) - static_cast<const char*>(base))...,
                              sizeof(Struct)};
    record_layout(name, names, offsets, sizeof...(Fields) + 1);
}

}  // namespace emulator

// Inside a member function of a derived struct the bare field names mean that object's fields.
#define EMULATOR_LAYOUT(Struct, ...)                                                                                 \
    struct Struct##Layout : Struct {                                                                                 \
        Struct##Layout() : Struct() { ::emulator::record_fields<Struct>(#Struct, #__VA_ARGS__, this, __VA_ARGS__); } \
    };                                                                                                               \
    [[maybe_unused]] static const Struct##Layout Struct##_layout;
