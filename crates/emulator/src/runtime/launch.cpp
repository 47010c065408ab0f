// SPDX-License-Identifier: Apache-2.0
#include "launch.h"

#include <cstring>
#include <string>

const emulator::Kernel* patina3d_emulator_find(const char* name, size_t length) {
    for (const emulator::Unit* unit = emulator::units; *unit; ++unit) {
        for (const emulator::Kernel* kernel = *unit; kernel->name; ++kernel) {
            if (std::strlen(kernel->name) == length && std::memcmp(kernel->name, name, length) == 0) return kernel;
        }
    }
    return nullptr;
}

const char* patina3d_emulator_name(size_t index) {
    for (const emulator::Unit* unit = emulator::units; *unit; ++unit) {
        for (const emulator::Kernel* kernel = *unit; kernel->name; ++kernel) {
            if (index-- == 0) return kernel->name;
        }
    }
    return nullptr;
}

const emulator::Layout* patina3d_emulator_layout(const char* name) { return emulator::find_layout(name); }
