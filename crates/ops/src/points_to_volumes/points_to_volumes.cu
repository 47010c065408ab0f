// SPDX-License-Identifier: Apache-2.0
// Votes of points for the voxels around them. Forward: points are sorted by cells, and each voxel collects what the cells
// around it hold. Backward: each point looks at its voxels.
#include "points_to_volumes.h"

#include "warp.cuh"

namespace {

constexpr int kThreads = 256;
// Channels that a thread sums up at a time.
constexpr int kChannels = 4;
// Points around a voxel that are worth a whole warp.
constexpr int64_t kMany = 512;

using Params = PointsToVolumesParams;

template <typename T>
__device__ T at(const void* numbers, int64_t i) {
    return static_cast<const T*>(numbers)[i];
}

// The voxels of a volume that are in use, along x, y, z.
struct Lattice {
    int64_t sizes[3];

    __device__ Lattice(const Params& p, int64_t volume) {
        const int64_t all[3] = {p.w, p.h, p.d};
        for (int axis = 0; axis < 3; ++axis) {
            const int64_t size = p.grid_sizes ? p.grid_sizes[3 * volume + 2 - axis] : all[axis];
            sizes[axis] = size < 0 ? 0 : (size < all[axis] ? size : all[axis]);
        }
    }
};

// Where a point stands among the voxels of its volume: as place.rs says, operation by operation.
template <typename T>
struct Place {
    int64_t cell[3];  // cell c lies between voxels c - 1 and c
    T share[3];       // of voxel c; voxel c - 1 has the rest of 1

    // False where the point does not vote.
    __device__ bool find(const Params& p, const Lattice& lattice, int64_t point) {
        if (p.mask && !p.mask[point]) return false;
        for (int axis = 0; axis < 3; ++axis) {
            if (!find_on_axis(p, at<T>(p.points, 3 * point + axis), T(lattice.sizes[axis]), axis)) return false;
        }
        return true;
    }

    __device__ bool find_on_axis(const Params& p, T coordinate, T size, int axis) {
        const T fraction = (coordinate + T(1)) * T(0.5);
        const T index = p.align_corners ? fraction * (size - T(1)) : fraction * size - T(0.5);
        const T reach = p.splat ? T(1) : T(0.5);
        // Never true for NaN.
        if (!(index > -reach && index < size - T(1) + reach)) return false;
        int64_t whole = static_cast<int64_t>(index);
        if (T(whole) > index) --whole;
        const T beyond = index - T(whole);
        cell[axis] = whole + 1 + (!p.splat && beyond >= T(0.5));
        share[axis] = p.splat ? beyond : T(0);
        return true;
    }

    // The share of a voxel of the cell.
    __device__ T share_of(int axis, int64_t voxel) const {
        return cell[axis] == voxel ? share[axis] : T(1) - share[axis];
    }
};

// Gives this thread's point the cell that it is in.
template <typename T>
__device__ void set_cell(const Params& p) {
    const int64_t point = this_thread();
    if (point >= p.b * p.p) return;
    const int64_t volume = point / p.p;
    Place<T> place;
    int64_t cell = -1;
    if (place.find(p, Lattice(p, volume), point))
        cell = ((volume * (p.d + 1) + place.cell[2]) * (p.h + 1) + place.cell[1]) * (p.w + 1) + place.cell[0];
    inverse_set(p.inverse, point, cell);
}

// Of one voxel.
template <typename T>
struct Sums {
    T density;
    T features[kChannels];
};

// A voxel, the rows of cells around it, and the first of the channels that a thread sums up.
template <typename T>
struct Collector {
    const Params& p;
    int64_t x, y, z, volume, channel;

    __device__ Collector(const Params& p, int64_t voxel, int64_t channel)
        : p(p), x(voxel % p.w), y(voxel / p.w % p.h), z(voxel / p.w / p.h % p.d), volume(voxel / p.w / p.h / p.d),
          channel(channel) {}

    // The points of the cells to the left and to the right of the voxel, in one of four rows.
    __device__ void row(int number, int64_t& first, int64_t& end) const {
        const int64_t cell_z = z + number / 2, cell_y = y + number % 2;
        const int64_t cell = ((volume * (p.d + 1) + cell_z) * (p.h + 1) + cell_y) * (p.w + 1) + x;
        first = begin_of(p.inverse.segments, cell);
        end = end_of(p.inverse.segments, cell + 1);
    }

    __device__ bool in_use(const Lattice& lattice) const {
        return x < lattice.sizes[0] && y < lattice.sizes[1] && z < lattice.sizes[2];
    }

    __device__ int64_t num_points(const Lattice& lattice) const {
        int64_t count = 0, first, end;
        for (int number = 0; number < 4 && in_use(lattice); ++number) {
            row(number, first, end);
            count += end - first;
        }
        return count;
    }

    // Adds the votes of each stride-th point.
    __device__ void collect(const Lattice& lattice, int start, int stride, Sums<T>& sums) const {
        Place<T> place;
        int64_t first, end;
        for (int number = 0; number < 4; ++number) {
            row(number, first, end);
            for (int64_t i = first + start; i < end; i += stride) {
                const int64_t point = inverse_pair(p.inverse, i);
                place.find(p, lattice, point);
                const T across = place.share_of(2, z) * place.share_of(1, y);
                const T weight = across * place.share_of(0, x) * T(p.point_weight);
                if (weight == T(0)) continue;
                sums.density += weight;
                for (int k = 0; k < kChannels && channel + k < p.c; ++k)
                    sums.features[k] += weight * at<T>(p.features, point * p.c + channel + k);
            }
        }
    }
};

template <typename T>
__device__ void forward(const Params& p) {
    // All blocks of a group of channels, then those of the next.
    const int64_t voxels = p.w * p.h * p.d, blocks = (p.b * voxels + kThreads - 1) / kThreads;
    const int64_t voxel = blockIdx.x % blocks * kThreads + threadIdx.x;
    const bool has = voxel < p.b * voxels;
    const Collector<T> own(p, has ? voxel : 0, blockIdx.x / blocks * kChannels);
    const Lattice lattice(p, own.volume);
    const int64_t first_feature = (own.volume * p.c + own.channel) * voxels + voxel % voxels;
    Sums<T> sums = {};
    if (has) sums.density = at<T>(p.densities, voxel);
    for (int k = 0; k < kChannels && own.channel + k < p.c && has && p.volume_features; ++k)
        sums.features[k] = at<T>(p.volume_features, first_feature + k * voxels);

    const int64_t count = has ? own.num_points(lattice) : 0;
    if (count > 0 && count <= kMany) own.collect(lattice, 0, 1, sums);
    for (unsigned todo = __ballot_sync(kAllLanes, count > kMany); todo; todo &= todo - 1) {
        const int owner = __ffs(todo) - 1;
        const Collector<T> common(p, __shfl_sync(kAllLanes, voxel, owner), own.channel);
        const int lane = threadIdx.x % 32;
        Sums<T> part = {};
        common.collect(Lattice(p, common.volume), lane, 32, part);
        part.density = warp_sum(part.density);
        for (int k = 0; k < kChannels; ++k) part.features[k] = warp_sum(part.features[k]);
        if (lane != owner) continue;
        sums.density += part.density;
        for (int k = 0; k < kChannels; ++k) sums.features[k] += part.features[k];
    }
    if (!has) return;
    if (own.channel == 0) static_cast<T*>(p.out_densities)[voxel] = sums.density;
    for (int k = 0; k < kChannels && own.channel + k < p.c; ++k)
        static_cast<T*>(p.out_features)[first_feature + k * voxels] = sums.features[k];
}

template <typename T>
__device__ void backward(const Params& p) {
    const int64_t point = this_thread();
    if (point >= p.b * p.p) return;
    const int64_t volume = point / p.p, voxels = p.w * p.h * p.d;
    const Lattice lattice(p, volume);
    const T point_weight = T(p.point_weight);
    Place<T> place = {};
    const bool votes = place.find(p, lattice, point);
    // Of the eight voxels: where they are, -1 where there is nothing to see, what they get, and their gradients along the
    // features. A voxel of weight 0 matters to the point's place alone.
    int64_t voxel_at[8];
    T weight[8], value[8];
    for (int corner = 0; corner < 8; ++corner) {
        T share[3];
        int64_t voxel[3];
        bool there = votes;
        for (int axis = 0; axis < 3; ++axis) {
            const int side = corner >> axis & 1;
            voxel[axis] = place.cell[axis] - 1 + side;
            share[axis] = side ? place.share[axis] : T(1) - place.share[axis];
            there = there && voxel[axis] >= 0 && voxel[axis] < lattice.sizes[axis];
        }
        weight[corner] = share[2] * share[1] * share[0] * point_weight;
        there = there && (p.grad_points || weight[corner] != T(0));
        voxel_at[corner] = there ? (voxel[2] * p.h + voxel[1]) * p.w + voxel[0] : -1;
        value[corner] = there ? at<T>(p.densities, volume * voxels + voxel_at[corner]) : T(0);
    }
    for (int64_t c = 0; c < p.c; ++c) {
        T sum = 0;
        for (int corner = 0; corner < 8 && p.volume_features; ++corner) {
            if (voxel_at[corner] < 0) continue;
            const T grad = at<T>(p.volume_features, (volume * p.c + c) * voxels + voxel_at[corner]);
            value[corner] += at<T>(p.features, point * p.c + c) * grad;
            if (weight[corner] != T(0)) sum += weight[corner] * grad;
        }
        if (p.grad_features) static_cast<T*>(p.grad_features)[point * p.c + c] = sum;
    }
    if (!p.grad_points) return;
    T gradient[3] = {};
    for (int corner = 0; corner < 8; ++corner) {
        if (voxel_at[corner] < 0) continue;
        T share[3];
        for (int axis = 0; axis < 3; ++axis)
            share[axis] = corner >> axis & 1 ? place.share[axis] : T(1) - place.share[axis];
        const T others[3] = {share[2] * share[1], share[2] * share[0], share[1] * share[0]};
        for (int axis = 0; axis < 3; ++axis) {
            const T change = others[axis] * value[corner];
            gradient[axis] += corner >> axis & 1 ? change : -change;
        }
    }
    for (int axis = 0; axis < 3; ++axis) {
        const T slope = T(lattice.sizes[axis] - (p.align_corners ? 1 : 0)) * T(0.5) * point_weight;
        static_cast<T*>(p.grad_points)[3 * point + axis] = votes ? slope * gradient[axis] : T(0);
    }
}

}  // namespace

// `blocks` of a multiprocessor at least: as many as leave each thread the registers that it wants.
#define KERNEL(pass, blocks)                                       \
    extern "C" __global__ void __launch_bounds__(kThreads, blocks) \
        points_to_volumes_##pass(const PointsToVolumesParams p)

#define KERNELS(T, dtype, blocks)                       \
    KERNEL(targets_##dtype, blocks) { set_cell<T>(p); } \
    KERNEL(forward_##dtype, blocks) { forward<T>(p); }  \
    KERNEL(backward_##dtype, blocks) { backward<T>(p); }

KERNELS(float, f32, 4)
KERNELS(double, f64, 2)
