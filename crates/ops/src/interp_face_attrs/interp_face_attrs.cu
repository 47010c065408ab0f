// SPDX-License-Identifier: Apache-2.0
// Values at the corners of faces, mixed at slots: a thread a value of the result; backward a thread a slot, and for the
// values of faces a thread a pixel, each image from a warp on.
#include "fixed_point.cuh"
#include "interp_face_attrs.h"
#include "warp.cuh"

namespace {

constexpr int kThreads = 256;

using Params = InterpFaceAttrsParams;

template <typename T>
__device__ T at(const void* numbers, int64_t i) {
    return static_cast<const T*>(numbers)[i];
}

template <typename T>
__device__ void forward(const Params& p) {
    const int64_t i = this_thread();
    if (i >= p.pixels * p.k * p.d) return;
    const int64_t slot = i / p.d, face = p.pix_to_face[slot];
    T mixed = 0;
    if (face >= 0 && face < p.f) {
        const int64_t first = 3 * face * p.d + i % p.d;
        mixed = at<T>(p.barycentric_coords, 3 * slot) * at<T>(p.face_attributes, first) +
                at<T>(p.barycentric_coords, 3 * slot + 1) * at<T>(p.face_attributes, first + p.d) +
                at<T>(p.barycentric_coords, 3 * slot + 2) * at<T>(p.face_attributes, first + 2 * p.d);
    }
    static_cast<T*>(p.out)[i] = mixed;
}

template <typename T>
__device__ void backward_weights(const Params& p) {
    const int64_t slot = this_thread();
    if (slot >= p.pixels * p.k) return;
    const int64_t face = p.pix_to_face[slot];
    T sums[3] = {};
    if (face >= 0 && face < p.f) {
        for (int64_t c = 0; c < p.d; ++c) {
            const T grad = at<T>(p.grad, slot * p.d + c);
            for (int corner = 0; corner < 3; ++corner) {
                sums[corner] += grad * at<T>(p.face_attributes, (3 * face + corner) * p.d + c);
            }
        }
    }
    for (int corner = 0; corner < 3; ++corner)
        static_cast<T*>(p.grad_barycentric_coords)[3 * slot + corner] = sums[corner];
}

template <typename T>
__device__ FixedPointSums<T> sums_of(const Params& p) {
    return {static_cast<T*>(p.grad_face_attributes), p.sums, p.summands, p.f, 3 * p.d};
}

// The pixel of a thread, `pixels` or more where it has none. Images begin at warps of their own: a warp adds up the same
// pixels, in the same order, whatever images stand beside theirs.
__device__ int64_t pixel_of(const Params& p, int64_t thread) {
    const int64_t threads_of_image = (p.pixels_of_image + 31) / 32 * 32;
    const int64_t image = thread / threads_of_image, pixel = thread % threads_of_image;
    return pixel < p.pixels_of_image ? image * p.pixels_of_image + pixel : p.pixels;
}

// Slot by slot, a warp adds up what its pixels give to the same face and hands the sums on.
template <typename T, template <typename> class Pass>
__device__ void backward_values(const Params& p) {
    const int64_t pixel = pixel_of(p, this_thread());
    const int lane = threadIdx.x % 32;
    const FixedPointSums<T> sums = sums_of<T>(p);
    for (int64_t k = 0; k < p.k; ++k) {
        const int64_t slot = pixel * p.k + k;
        const int64_t face = pixel < p.pixels ? p.pix_to_face[slot] : -1;
        const bool has = face >= 0 && face < p.f;
        for (unsigned todo = __ballot_sync(kAllLanes, has); todo;) {
            const int64_t common = __shfl_sync(kAllLanes, face, __ffs(todo) - 1);
            const bool member = has && face == common;
            todo &= ~__ballot_sync(kAllLanes, member);
            for (int64_t c = 0; c < p.d; ++c) {
                const T grad = member ? at<T>(p.grad, slot * p.d + c) : T(0);
                for (int corner = 0; corner < 3; ++corner) {
                    const T mine = member ? at<T>(p.barycentric_coords, 3 * slot + corner) * grad : T(0);
                    const T sum = warp_sum(mine);
                    if (lane == corner) Pass<T>::take(sums, (3 * common + corner) * p.d + c, sum);
                }
            }
        }
    }
}

}  // namespace

#define KERNEL(pass, dtype)                                \
    extern "C" __global__ void __launch_bounds__(kThreads) \
        interp_face_attrs_##pass##_##dtype(const InterpFaceAttrsParams p)

#define KERNELS(T, dtype)                                                         \
    KERNEL(forward, dtype) { forward<T>(p); }                                     \
    KERNEL(backward_weights, dtype) { backward_weights<T>(p); }                   \
    KERNEL(backward_values_clear, dtype) { sums_of<T>(p).clear(this_thread()); }  \
    KERNEL(backward_values_measure, dtype) { backward_values<T, MeasureSum>(p); } \
    KERNEL(backward_values_add, dtype) { backward_values<T, AddToSum>(p); }       \
    KERNEL(backward_values_finish, dtype) { sums_of<T>(p).finish(this_thread()); }

KERNELS(float, f32)
KERNELS(double, f64)
