// SPDX-License-Identifier: Apache-2.0
// One value for all entries of each segment of a list, in an order that the segment alone decides: the same bits in every
// run and beside whatever other segments. Entries are joined in ascending order by one thread; those of a segment of more
// than a chunk first chunk by chunk, each by a thread of its own, then one thread joins the rows of the chunks in series.
// So a segment of n entries takes kChunk + n / kChunk steps one after the other, not n; beyond kChunk^2 entries, 65536,
// the chunks are most of them.
//
// A kernel file with values of its own makes two kernels of this: one calls `reduce_chunks` with a thread for each
// component of two chunks in each window of kChunk entries of the list, the next `reduce_segment` for each segment. Its
// `Rows` says what an entry brings and how two are joined:
//
//   using Row = ...;                                     a number, or several that are always wanted together
//   Row row(int64_t segment, int64_t entry, int64_t component) const;
//   static Row nothing();                                what an empty segment has
//   static Row join(Row a, Row b);                       a before b
#pragma once
#include "cuda.cuh"

constexpr int kChunk = 256;

// Rows of numbers that are added up.
template <typename T>
struct SumRows {
    using Row = T;
    static __device__ T nothing() { return 0; }
    static __device__ T join(T a, T b) { return a + b; }
};

struct Segments {
    const uint64_t* first;  // (S + 1): where the entries of each segment begin
    void* chunks;           // (2 windows, components) rows: those of long segments
    int64_t segments;       // S
    int64_t entries;
    int64_t components;  // rows of each entry
};

PATINA3D_LAYOUT(Segments, first, chunks, segments, entries, components)

inline __device__ int64_t begin_of(const Segments& x, int64_t segment) { return int64_t(x.first[segment]); }
inline __device__ int64_t end_of(const Segments& x, int64_t segment) { return int64_t(x.first[segment + 1]); }
inline __device__ bool is_long(const Segments& x, int64_t segment) {
    return end_of(x, segment) - begin_of(x, segment) > kChunk;
}

// The last segment that begins at or before an entry: the one that holds it, unless it is in none.
inline __device__ int64_t segment_at(const Segments& x, int64_t entry) {
    int64_t low = 0, high = x.segments - 1;
    while (low < high) {
        const int64_t middle = low + (high - low + 1) / 2;
        if (begin_of(x, middle) <= entry) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low;
}

// Joins entries from `begin` to `end` of a segment.
template <typename Rows>
__device__ typename Rows::Row reduce_entries(const Rows& rows, int64_t segment, int64_t begin, int64_t end,
                                             int64_t component) {
    typename Rows::Row row = Rows::nothing();
    for (int64_t entry = begin; entry < end; ++entry) row = Rows::join(row, rows.row(segment, entry, component));
    return row;
}

// Where a chunk's row is. Chunks begin at multiples of kChunk from where their segment begins. Of long segments at most
// two chunks begin in a window: the first one of a segment, and a later one of the segment before.
inline __device__ int64_t row_of_chunk(int64_t begin_of_segment, int64_t begin_of_chunk) {
    return 2 * (begin_of_chunk / kChunk) + (begin_of_chunk == begin_of_segment);
}

// A thread a component of a row of the chunks.
template <typename Rows>
__device__ void reduce_chunks(const Segments& x, const Rows& rows) {
    const int64_t i = this_thread();
    const int64_t row = i / x.components, start = row / 2 * kChunk;
    if (start >= x.entries) return;
    const int64_t end = x.entries - start < kChunk ? x.entries : start + kChunk;
    // A long segment that begins in the window goes on beyond it.
    const int64_t segment = segment_at(x, row % 2 == 0 ? start : end - 1);
    if (!is_long(x, segment)) return;
    const int64_t begin = begin_of(x, segment), end_of_segment = end_of(x, segment);
    const int64_t chunk = row % 2 == 0 ? begin + (start - begin + kChunk - 1) / kChunk * kChunk : begin;
    if (row_of_chunk(begin, chunk) != row || chunk >= end_of_segment) return;
    const int64_t end_of_chunk = end_of_segment - chunk < kChunk ? end_of_segment : chunk + kChunk;
    static_cast<typename Rows::Row*>(x.chunks)[i] =
        reduce_entries(rows, segment, chunk, end_of_chunk, i % x.components);
}

// A component of the value of a segment; after reduce_chunks.
template <typename Rows>
__device__ typename Rows::Row reduce_segment(const Segments& x, const Rows& rows, int64_t segment, int64_t component) {
    using Row = typename Rows::Row;
    const int64_t begin = begin_of(x, segment), end = end_of(x, segment);
    if (end - begin <= kChunk) return reduce_entries(rows, segment, begin, end, component);
    const Row* chunks = static_cast<const Row*>(x.chunks);
    Row row = Rows::nothing();
    for (int64_t chunk = begin; chunk < end; chunk += kChunk) {
        row = Rows::join(row, chunks[row_of_chunk(begin, chunk) * x.components + component]);
    }
    return row;
}
