// SPDX-License-Identifier: Apache-2.0
// Points on the faces of meshes: a thread a face for its chance, and a thread a sample; between the two the chances are
// summed up. mod.rs says what is computed, draw.rs holds the same functions.
#include "sample_points_from_meshes.h"

#include "faces.cuh"
#include "fixed_point.cuh"
#include "packing.cuh"
#include "philox.cuh"
#include "warp.cuh"

namespace {

constexpr int kTotalBits = 63;
// The area of what is no face.
constexpr double kNoFace = -1;

using Params = SamplePointsFromMeshesParams;

__device__ double full_chance(int64_t faces) {
    const int bits = faces < 2 ? 0 : 64 - __clzll(faces - 1);
    return static_cast<double>(1ull << (kTotalBits - bits));
}

__device__ uint64_t chance(double area, double greatest, double full) {
    if (area > 0) {
        const double share = area < greatest ? area / greatest : 1.0;
        const uint64_t units = static_cast<uint64_t>(share * full);
        return units > 0 ? units : 1;
    }
    return area == 0 && greatest == 0;
}

__device__ Words4 random_words(int64_t seed, uint64_t mesh, uint64_t sample, uint32_t block) {
    const Words4 counter = {uint32_t(sample), uint32_t(sample >> 32), uint32_t(mesh),
                            uint32_t(mesh >> 32) | block << 31};
    return philox(counter, uint32_t(seed), uint32_t(static_cast<uint64_t>(seed) >> 32));
}

template <typename T>
struct Uniform;

template <>
struct Uniform<float> {
    static constexpr bool is_long = false;
    static __device__ float of(uint32_t word, uint32_t) { return float(word >> 8) * (1.0f / float(1 << 24)); }
};

template <>
struct Uniform<double> {
    static constexpr bool is_long = true;
    static __device__ double of(uint32_t word, uint32_t more) {
        return double(uint64_t(word) << 21 | more >> 11) * (1.0 / double(1ull << 53));
    }
};

template <typename T>
__device__ Vec3<T> corner_weights(T u, T v) {
    const T one = 1, root = sqrt(u);
    return {one - root, root * (one - v), root * v};
}

__device__ Packing faces_of_meshes(const Params& p) { return {p.first_idxs, p.n, p.f}; }

// What is no number, next to vertices that are not finite, counts as no area.
template <typename T>
__device__ double area_of(const Params& p, int64_t f) {
    const int64_t* face = p.faces + 3 * f;
    if (!is_whole(face, p.v)) return kNoFace;
    const double area = load_triangle<T>(p.verts, face).wide_area();
    return area > 0 ? area : 0.0;
}

// The greatest of a warp.
__device__ uint64_t warp_greatest(uint64_t value) {
    for (int step = 16; step > 0; step /= 2) {
        const uint64_t other = __shfl_xor_sync(kAllLanes, value, step);
        value = other > value ? other : value;
    }
    return value;
}

// Raises the greatest area of a mesh. It only grows: what is not above an old value needs no atomic.
__device__ void raise(const Params& p, int64_t mesh, uint64_t bits) {
    uint64_t* const greatest = p.greatest + mesh;
    if (bits > *static_cast<volatile uint64_t*>(greatest)) {
        atomicMax(reinterpret_cast<unsigned long long*>(greatest), static_cast<unsigned long long>(bits));
    }
}

template <typename T>
__device__ void areas(const Params& p) {
    const int64_t f = this_thread();
    const bool is_face = f < p.f;
    const int64_t mesh = is_face ? faces_of_meshes(p).element_of(f) : -1;
    const double area = is_face ? area_of<T>(p, f) : kNoFace;
    if (is_face) p.sums[f] = __double_as_longlong(area);
    // The bits of numbers that are not negative order as the numbers do.
    const uint64_t bits = area > 0 ? __double_as_longlong(area) : 0;
    if (__all_sync(kAllLanes, mesh == __shfl_sync(kAllLanes, mesh, 0))) {
        const uint64_t greatest = warp_greatest(bits);
        if (threadIdx.x % 32 == 0 && mesh >= 0) raise(p, mesh, greatest);
    } else if (mesh >= 0) {
        raise(p, mesh, bits);
    }
}

__device__ void chances(const Params& p) {
    const int64_t f = this_thread();
    if (f >= p.f) return;
    const Packing meshes = faces_of_meshes(p);
    const int64_t mesh = meshes.element_of(f);
    uint64_t units = 0;
    if (mesh >= 0) {
        const Packing::Range faces = meshes.items_of(mesh);
        const double greatest = __longlong_as_double(p.greatest[mesh]);
        units = chance(__longlong_as_double(p.sums[f]), greatest, full_chance(faces.end - faces.begin));
    }
    p.sums[f] = units;
}

// The face of which the chances begin at `number` or before it, of several the last.
__device__ int64_t find_face(const Params& p, Packing::Range faces, uint64_t number) {
    const uint64_t before = p.sums[faces.begin];
    int64_t low = faces.begin;
    for (int64_t size = faces.end - faces.begin; size > 1;) {
        const int64_t half = size / 2;
        // Sums run through all meshes and wrap; differences within a mesh are right.
        if (p.sums[low + half] - before <= number) low += half;
        size -= half;
    }
    return low;
}

template <typename T>
__device__ void draw(const Params& p) {
    const int64_t i = this_thread();
    if (i >= p.n * p.s) return;
    const int64_t n = i / p.s, s = i % p.s;
    const Packing::Range faces = faces_of_meshes(p).items_of(n);
    const uint64_t total = faces.begin < faces.end ? p.sums[faces.end] - p.sums[faces.begin] : 0;
    int64_t face = -1;
    Vec3<T> weights = {}, point = {};
    if (total > 0) {
        const Words4 words = random_words(p.seed[0], n, s, 0);
        const Words4 more = Uniform<T>::is_long ? random_words(p.seed[0], n, s, 1) : Words4{};
        face = find_face(p, faces, __umul64hi(uint64_t(words.y) << 32 | words.x, total));
        weights = corner_weights(Uniform<T>::of(words.z, more.x), Uniform<T>::of(words.w, more.y));
        const int64_t* corners = p.faces + 3 * face;
        const Vec3<T> a = load_vec3<T>(p.verts, corners[0]), b = load_vec3<T>(p.verts, corners[1]),
                      c = load_vec3<T>(p.verts, corners[2]);
        point = {weights.x * a.x + weights.y * b.x + weights.z * c.x,
                 weights.x * a.y + weights.y * b.y + weights.z * c.y,
                 weights.x * a.z + weights.y * b.z + weights.z * c.z};
    }
    p.sampled_faces[i] = face;
    store_vec3(p.weights, i, weights);
    store_vec3(p.points, i, point);
}

template <typename T>
__device__ FixedPointSums<T> sums_of(const Params& p) {
    return {static_cast<T*>(p.grad_verts), p.fixed, p.summands, p.v, 3};
}

template <typename T, template <typename> class Pass>
__device__ void backward(const Params& p) {
    const int64_t i = this_thread();
    if (i >= p.n * p.s) return;
    const int64_t face = p.sampled_faces[i];
    if (face < 0 || face >= p.f) return;
    const FixedPointSums<T> sums = sums_of<T>(p);
    const T* grad = static_cast<const T*>(p.grad_points) + 3 * i;
    for (int corner = 0; corner < 3; ++corner) {
        const int64_t vertex = p.faces[3 * face + corner];
        if (!is_vertex(vertex, p.v)) continue;
        const T weight = static_cast<const T*>(p.weights)[3 * i + corner];
        for (int axis = 0; axis < 3; ++axis) Pass<T>::take(sums, 3 * vertex + axis, weight * grad[axis]);
    }
}

}  // namespace

extern "C" __global__ void sample_points_from_meshes_clear(const Params p) {
    if (this_thread() < p.n) p.greatest[this_thread()] = 0;
}
extern "C" __global__ void sample_points_from_meshes_chances(const Params p) { chances(p); }

#define KERNEL(pass, dtype) \
    extern "C" __global__ void sample_points_from_meshes_##pass##_##dtype(const SamplePointsFromMeshesParams p)

#define KERNELS(T, dtype)                                                 \
    KERNEL(areas, dtype) { areas<T>(p); }                                 \
    KERNEL(draw, dtype) { draw<T>(p); }                                   \
    KERNEL(backward_clear, dtype) { sums_of<T>(p).clear(this_thread()); } \
    KERNEL(backward_measure, dtype) { backward<T, MeasureSum>(p); }       \
    KERNEL(backward_add, dtype) { backward<T, AddToSum>(p); }             \
    KERNEL(backward_finish, dtype) { sums_of<T>(p).finish(this_thread()); }

KERNELS(float, f32)
KERNELS(double, f64)
