// SPDX-License-Identifier: Apache-2.0
// Soft blending: one thread a pixel, which looks at its slots several times rather than keep a list of them. mod.rs says
// what is computed.
#include "blending.h"
#include "geometry.cuh"

namespace {

constexpr int kThreads = 128;
// Channels whose sums live in registers together.
constexpr int kChannels = 4;

using Params = BlendingParams;

__device__ float exponential(float x) { return expf(x); }
__device__ double exponential(double x) { return exp(x); }

template <typename T>
struct LeastNormal;
template <>
struct LeastNormal<float> {
    static constexpr float value = FLT_MIN;
};
template <>
struct LeastNormal<double> {
    static constexpr double value = DBL_MIN;
};

// A pixel with its slots.
template <typename T>
struct Pixel {
    const Params& p;
    const int64_t* faces;
    const T *colors, *dists, *zbuf, *background;
    // zfar, zfar - znear, 1 / sigma, 1 / gamma
    T far, range, sharpness, contrast, least;
    // The largest closeness, and the first slot that has it, if any is as close as the background.
    T shift;
    int64_t first;
    // The background's weight before it is raised to its least value.
    T behind;

    __device__ Pixel(const Params& params, int64_t pixel) : p(params) {
        faces = p.pix_to_face + pixel * p.k;
        colors = static_cast<const T*>(p.colors) + pixel * p.k * p.c;
        dists = static_cast<const T*>(p.dists) + pixel * p.k;
        zbuf = static_cast<const T*>(p.zbuf) + pixel * p.k;
        background = static_cast<const T*>(p.background) + (p.one_background ? 0 : pixel * p.c);
        const int64_t image = pixel / p.pixels_of_image;
        far = static_cast<const T*>(p.zfar)[p.one_zfar ? 0 : image];
        range = far - static_cast<const T*>(p.znear)[p.one_znear ? 0 : image];
        sharpness = T(1) / greater(T(p.sigma), LeastNormal<T>::value);
        contrast = T(1) / greater(T(p.gamma), LeastNormal<T>::value);
        least = T(p.least);
        shift = least;
        first = -1;
        for (int64_t k = 0; k < p.k && p.c > 0; ++k) {
            if (faces[k] < 0) continue;
            const T closeness = (far - zbuf[k]) / range;
            if (closeness > shift || (first < 0 && closeness >= shift)) {
                shift = closeness;
                first = k;
            }
        }
        behind = exponential((least - shift) * contrast);
    }

    __device__ T background_weight() const { return greater(behind, least); }

    // p and 1 - p.
    __device__ void coverage(int64_t k, T& covered, T& open) const {
        const T x = dists[k] * sharpness;
        const T e = exponential(-magnitude(x));
        const T large = T(1) / (T(1) + e), small = e * large;
        covered = x > T(0) ? small : large;
        open = x > T(0) ? large : small;
    }

    __device__ T weight(int64_t k, T covered) const {
        return exponential(((far - zbuf[k]) / range - shift) * contrast) * covered;
    }
};

template <typename T>
__device__ void forward(const Params& p) {
    const int64_t i = this_thread();
    if (i >= p.pixels) return;
    const Pixel<T> pixel(p, i);
    T* const image = static_cast<T*>(p.image) + i * (p.c + 1);
    int64_t channel = 0;
    do {
        T sums[kChannels] = {};
        T total = 0, through = 1;
        for (int64_t k = 0; k < p.k; ++k) {
            if (pixel.faces[k] < 0) continue;
            T covered, open;
            pixel.coverage(k, covered, open);
            through *= open;
            if (p.c == 0) continue;
            const T weight = pixel.weight(k, covered);
            total += weight;
#pragma unroll
            for (int c = 0; c < kChannels; ++c) {
                if (channel + c < p.c) sums[c] += weight * pixel.colors[k * p.c + channel + c];
            }
        }
        const T behind = pixel.background_weight();
        total += behind;
#pragma unroll
        for (int c = 0; c < kChannels; ++c) {
            if (channel + c >= p.c) continue;
            image[channel + c] = (sums[c] + behind * pixel.background[channel + c]) / total;
        }
        image[p.c] = T(1) - through;
        channel += kChannels;
    } while (channel < p.c);
}

template <typename T>
__device__ void backward(const Params& p) {
    const int64_t i = this_thread();
    if (i >= p.pixels) return;
    const Pixel<T> pixel(p, i);
    const T* const rgb = static_cast<const T*>(p.image) + i * (p.c + 1);
    const T* const grad = static_cast<const T*>(p.grad_image) + i * (p.c + 1);
    T total = 0, through = 1;
    for (int64_t k = 0; k < p.k; ++k) {
        if (pixel.faces[k] < 0) continue;
        T covered, open;
        pixel.coverage(k, covered, open);
        through *= open;
        if (p.c > 0) total += pixel.weight(k, covered);
    }
    total += pixel.background_weight();
    const T behind = pixel.background_weight() / total;
    const T grad_through = grad[p.c] * through;
    const auto along = [&](const T* color) {
        T sum = 0;
        for (int64_t c = 0; c < p.c; ++c) sum += grad[c] * (color[c] - rgb[c]);
        return sum;
    };
    for (int64_t k = 0; k < p.k; ++k) {
        const int64_t slot = i * p.k + k;
        T share = 0, of_dist = 0, of_depth = 0;
        if (pixel.faces[k] >= 0) {
            T covered, open, of_log = 0;
            pixel.coverage(k, covered, open);
            if (p.c > 0) {
                share = pixel.weight(k, covered) / total;
                of_log = share * along(pixel.colors + k * p.c);
                const bool keeps_shift = k == pixel.first && pixel.behind < pixel.least;
                const T left = keeps_shift ? behind * along(pixel.background) : T(0);
                of_depth = -(of_log + left) * pixel.contrast / pixel.range;
            }
            of_dist = -(covered * grad_through + open * of_log) * pixel.sharpness;
        }
        for (int64_t c = 0; p.grad_colors && c < p.c; ++c) {
            static_cast<T*>(p.grad_colors)[slot * p.c + c] = pixel.faces[k] >= 0 ? share * grad[c] : T(0);
        }
        if (p.grad_dists) static_cast<T*>(p.grad_dists)[slot] = of_dist;
        if (p.grad_zbuf) static_cast<T*>(p.grad_zbuf)[slot] = of_depth;
    }
    for (int64_t c = 0; p.grad_background && c < p.c; ++c) {
        static_cast<T*>(p.grad_background)[i * p.c + c] = behind * grad[c];
    }
}

}  // namespace

#define KERNEL(pass, T, dtype)                                                                                 \
    extern "C" __global__ void __launch_bounds__(kThreads) blending_##pass##_##dtype(const BlendingParams p) { \
        pass<T>(p);                                                                                            \
    }

KERNEL(forward, float, f32)
KERNEL(forward, double, f64)
KERNEL(backward, float, f32)
KERNEL(backward, double, f64)
