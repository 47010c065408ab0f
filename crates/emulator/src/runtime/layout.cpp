// SPDX-License-Identifier: Apache-2.0
#include "layout.h"

#include <cstring>
#include <deque>
#include <map>
#include <string>
#include <vector>

namespace emulator {
namespace {

struct Record {
    std::deque<std::string> names;
    std::vector<Field> fields;
    Layout layout;
};

// Filled before main by the kernels' headers, read-only afterwards.
std::map<std::string, Record>& records() {
    static std::map<std::string, Record> all;
    return all;
}

}  // namespace

void record_layout(const char* name, const char* comma_separated_fields, const size_t* offsets, size_t num_offsets) {
    const auto [place, is_new] = records().try_emplace(name);
    if (!is_new) return;  // Another kernel file includes the same header.
    Record& record = place->second;
    for (const char* start = comma_separated_fields; record.names.size() + 1 < num_offsets;) {
        start += std::strspn(start, ", ");
        const size_t length = std::strcspn(start, ", ");
        record.names.emplace_back(start, length);
        start += length;
    }
    record.names.emplace_back("sizeof");
    for (size_t i = 0; i < num_offsets; ++i) record.fields.push_back({record.names[i].c_str(), offsets[i]});
    record.layout = {place->first.c_str(), record.fields.data(), record.fields.size()};
}

const Layout* find_layout(const char* name) {
    const auto place = records().find(name);
    return place == records().end() ? nullptr : &place->second.layout;
}

}  // namespace emulator
