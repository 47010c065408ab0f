// SPDX-License-Identifier: Apache-2.0
// Mesh rasterization. mod.rs says what is computed; each decision here is made by the same operations in the same
// order.
//
// A block has a tile of 16 x 16 pixels, a warp 8 x 4 of them, a thread one. Forward: the block collects the groups of
// 32 faces whose boxes meet its tile, and of these the faces whose boxes do, in face order; each warp takes those that
// meet its pixels, and each thread keeps its K nearest. No list of faces overflows: it is worked off whenever it is
// nearly full.
#include "fixed_point.cuh"
#include "geometry.cuh"
#include "nearest_list.cuh"
#include "rasterize_meshes.h"
#include "warp.cuh"

namespace {

constexpr int kTile = 16, kWarpColumns = 8, kWarpRows = 4;
constexpr int kThreads = kTile * kTile, kWarps = kThreads / 32;
constexpr int kListed = 2 * kThreads;
constexpr int kGroup = 32;

template <typename T>
struct Face {
    Triangle2<T> xy;
    Vec3<T> z;
};

template <typename T>
__device__ Face<T> load_face(const RasterizeMeshesParams& p, int64_t face) {
    const T* v = static_cast<const T*>(p.face_verts) + 9 * face;
    return {{{v[0], v[1]}, {v[3], v[4]}, {v[6], v[7]}}, {v[2], v[5], v[8]}};
}

// A closed box in NDC.
template <typename T>
struct __align__(16) Box {
    T min_x, max_x, min_y, max_y;
};

template <typename T>
__device__ bool overlap(const Box<T>& a, const Box<T>& b) {
    return a.min_x <= b.max_x && b.min_x <= a.max_x && a.min_y <= b.max_y && b.min_y <= a.max_y;
}

template <typename T>
__device__ Box<T> nowhere() {
    return {T(INFINITY), -T(INFINITY), T(INFINITY), -T(INFINITY)};
}

template <typename T>
__device__ bool contains(const Box<T>& box, Vec2<T> point) {
    return box.min_x <= point.x && point.x <= box.max_x && box.min_y <= point.y && point.y <= box.max_y;
}

// Whether the squared length of an edge is finite.
template <typename T>
__device__ bool is_measurable(Vec2<T> a, Vec2<T> b) {
    const Vec2<T> along = {b.x - a.x, b.y - a.y};
    return is_finite(along.x * along.x + along.y * along.y);
}

// Where a face reaches; nowhere for a face that is never drawn.
template <typename T>
__device__ Box<T> box_of_face(const RasterizeMeshesParams& p, const Face<T>& face) {
    const Vec2<T> v0 = face.xy.v0, v1 = face.xy.v1, v2 = face.xy.v2;
    const bool finite = is_measurable(v0, v1) && is_measurable(v0, v2) && is_measurable(v1, v2) &&
                        is_finite(face.z.x) && is_finite(face.z.y) && is_finite(face.z.z);
    const T area = edge_function(v0, v1, v2);
    const bool drawn = finite && magnitude(area) > Geometry<T>::epsilon && is_finite(area) &&
                       lesser(lesser(face.z.x, face.z.y), face.z.z) >= Geometry<T>::epsilon &&
                       !(p.cull_backfaces && area < T(0));
    if (!drawn) return nowhere<T>();
    const T reach = sqrt(T(p.blur_radius));
    return {
        lesser(lesser(v0.x, v1.x), v2.x) - reach,
        greater(greater(v0.x, v1.x), v2.x) + reach,
        lesser(lesser(v0.y, v1.y), v2.y) - reach,
        greater(greater(v0.y, v1.y), v2.y) + reach,
    };
}

// The box of each face and of each group of faces.
template <typename T>
__device__ void setup(const RasterizeMeshesParams& p) {
    const int64_t face = this_thread();
    Box<T> box = face < p.f ? box_of_face(p, load_face<T>(p, face)) : nowhere<T>();
    if (face < p.f) static_cast<Box<T>*>(p.boxes)[face] = box;
    for (int step = kGroup / 2; step > 0; step /= 2) {
        box.min_x = lesser(box.min_x, __shfl_xor_sync(kAllLanes, box.min_x, step));
        box.max_x = greater(box.max_x, __shfl_xor_sync(kAllLanes, box.max_x, step));
        box.min_y = lesser(box.min_y, __shfl_xor_sync(kAllLanes, box.min_y, step));
        box.max_y = greater(box.max_y, __shfl_xor_sync(kAllLanes, box.max_y, step));
    }
    if (face < p.f && face % kGroup == 0) static_cast<Box<T>*>(p.group_boxes)[face / kGroup] = box;
}

// Which pixels a block, a warp and a thread have.
struct Place {
    int64_t image, row, column;       // of the thread
    int64_t tile_row, tile_column;    // first of the block
    int64_t block_row, block_column;  // first of the warp

    __device__ explicit Place(const RasterizeMeshesParams& p) {
        const int64_t columns = (p.w + kTile - 1) / kTile, rows = (p.h + kTile - 1) / kTile;
        const int64_t tile = blockIdx.x % (columns * rows);
        image = blockIdx.x / (columns * rows);
        tile_row = tile / columns * kTile;
        tile_column = tile % columns * kTile;
        const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        block_row = tile_row + warp / (kTile / kWarpColumns) * kWarpRows;
        block_column = tile_column + warp % (kTile / kWarpColumns) * kWarpColumns;
        row = block_row + lane / kWarpColumns;
        column = block_column + lane % kWarpColumns;
    }

    __device__ bool in_image(const RasterizeMeshesParams& p) const { return row < p.h && column < p.w; }

    __device__ int64_t pixel(const RasterizeMeshesParams& p) const { return (image * p.h + row) * p.w + column; }
};

template <typename T>
__device__ Vec2<T> center_of(const RasterizeMeshesParams& p, int64_t row, int64_t column) {
    return {pixel_center<T>(column, p.w, p.h), pixel_center<T>(row, p.h, p.w)};
}

// The box of the pixel centres of a piece of the image, for rounding is monotone. Of a piece beyond the image the last
// row or column.
template <typename T>
__device__ Box<T> box_of_pixels(const RasterizeMeshesParams& p, int64_t row, int64_t column, int rows, int columns) {
    const auto within = [](int64_t i, int64_t size) { return i < size ? i : size - 1; };
    const Vec2<T> first = center_of<T>(p, within(row, p.h), within(column, p.w));
    const Vec2<T> last = center_of<T>(p, within(row + rows - 1, p.h), within(column + columns - 1, p.w));
    return {last.x, first.x, last.y, first.y};
}

// A face at a pixel.
template <typename T>
struct Fragment {
    Vec3<T> bary;
    T z, dist2;
    bool inside;
};

// Whether a face hits a pixel of its box with a depth below `nearer_than`.
template <typename T>
__device__ bool evaluate(const RasterizeMeshesParams& p, const Face<T>& face, Vec2<T> point, T nearer_than,
                         Fragment<T>& at) {
    Vec3<T> u = barycentric_coordinates(point, face.xy);
    if (p.perspective_correct) u = perspective_correct(u, face.z);
    at.inside = u.x > T(0) && u.y > T(0) && u.z > T(0);
    const T blur = T(p.blur_radius);
    if (!at.inside && !(blur > T(0))) return false;
    at.bary = p.clip_barycentric_coords ? clip_barycentric(u) : u;
    // Adding 0 turns the negative zero into the positive one.
    at.z = dot3(at.bary, face.z) + T(0);
    if (!(at.z >= T(0) && at.z < nearer_than)) return false;
    at.dist2 = point_triangle_dist2(point, face.xy);
    return is_finite(at.dist2) && (at.inside || at.dist2 < blur);
}

// Whether the other half of a clipped quad hits the same pixel and takes it.
template <typename T>
__device__ bool yields(const RasterizeMeshesParams& p, int64_t face, Vec2<T> point, const Fragment<T>& at) {
    if (p.neighbor == nullptr) return false;
    const int64_t other = p.neighbor[face];
    if (other < 0 || other >= p.f) return false;
    if (!contains(static_cast<const Box<T>*>(p.boxes)[other], point)) return false;
    Fragment<T> rival;
    if (!evaluate(p, load_face<T>(p, other), point, T(INFINITY), rival)) return false;
    if (rival.inside != at.inside) return rival.inside;
    return rival.dist2 < at.dist2 || (rival.dist2 == at.dist2 && other < face);
}

// The range of faces of a mesh, within the packed faces.
struct FaceRange {
    int64_t begin, end;

    __device__ FaceRange(const RasterizeMeshesParams& p, int64_t mesh) {
        const auto clamp = [&](int64_t i) { return i < 0 ? 0 : (i < p.f ? i : p.f); };
        const int64_t first = p.first_face[mesh], count = p.num_faces[mesh] < 0 ? 0 : p.num_faces[mesh];
        begin = clamp(first);
        end = first < 0 || count < p.f - first ? clamp(first + count) : p.f;
    }
};

// Numbers the threads that have something from `listed` on, in their order. Returns how many there are with them.
// `counts` must be another one in the call after this.
__device__ int enlist(bool has, int listed, int (&counts)[kWarps], int& slot) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const unsigned lanes = __ballot_sync(kAllLanes, has);
    if (lane == 0) counts[warp] = __popc(lanes);
    __syncthreads();
    slot = listed + __popc(lanes & ((1u << lane) - 1));
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
        slot += w < warp ? counts[w] : 0;
        listed += counts[w];
    }
    return listed;
}

template <typename T, typename List>
__device__ void forward(const RasterizeMeshesParams& p) {
    __shared__ Box<T> boxes[kListed];
    __shared__ uint32_t faces[kListed];
    __shared__ uint32_t groups[kThreads];
    __shared__ int counts[2][kWarps];

    const Place place(p);
    const bool active = place.in_image(p);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const Box<T> tile = box_of_pixels<T>(p, place.tile_row, place.tile_column, kTile, kTile);
    const Box<T> block = box_of_pixels<T>(p, place.block_row, place.block_column, kWarpRows, kWarpColumns);
    const Vec2<T> point = active ? center_of<T>(p, place.row, place.column) : Vec2<T>{};
    const FaceRange range(p, place.image);
    const int64_t slots = active ? place.pixel(p) * p.k : 0;
    List list(p.k, static_cast<T*>(p.zbuf) + slots, p.pix_to_face + slots);

    int turn = 0;
    for (int64_t next = range.begin / kGroup; next * kGroup < range.end; next += kThreads) {
        const int64_t group = next + threadIdx.x;
        const auto* const group_boxes = static_cast<const Box<T>*>(p.group_boxes);
        const bool meets = group * kGroup < range.end && overlap(group_boxes[group], tile);
        int slot;
        const int num_groups = enlist(meets, 0, counts[turn ^= 1], slot);
        if (meets) groups[slot] = uint32_t(group);
        __syncthreads();
        for (int g = 0; g < num_groups;) {
            // A warp tests a group.
            int listed = 0;
            for (; g < num_groups && listed <= kListed - kThreads; g += kWarps) {
                const int64_t face = g + warp < num_groups ? int64_t(groups[g + warp]) * kGroup + lane : range.end;
                Box<T> box = nowhere<T>();
                if (range.begin <= face && face < range.end) box = static_cast<const Box<T>*>(p.boxes)[face];
                const bool hit = overlap(box, tile);
                listed = enlist(hit, listed, counts[turn ^= 1], slot);
                if (hit) {
                    boxes[slot] = box;
                    faces[slot] = uint32_t(face);
                }
            }
            __syncthreads();
            for (int first = 0; first < listed; first += 32) {
                const int mine = first + lane;
                unsigned near = __ballot_sync(kAllLanes, mine < listed && overlap(boxes[mine], block));
                for (; near; near &= near - 1) {
                    const int i = first + __ffs(near) - 1;
                    if (!active || !contains(boxes[i], point)) continue;
                    const uint32_t face = faces[i];
                    Fragment<T> at;
                    if (evaluate(p, load_face<T>(p, face), point, list.worst, at) && !yields(p, face, point, at)) {
                        list.insert(at.z, face);
                    }
                }
            }
            __syncthreads();
        }
    }
    if (!active) return;

    // Barycentrics and distances of the survivors are computed again: cheaper than carrying them through the list.
    list.store(p.pix_to_face + slots);
    for (int64_t slot = slots; slot < slots + p.k; ++slot) {
        const int64_t face = p.pix_to_face[slot];
        Fragment<T> at = {{T(-1), T(-1), T(-1)}, T(-1), T(-1), false};
        if (face >= 0) evaluate(p, load_face<T>(p, face), point, T(INFINITY), at);
        static_cast<T*>(p.zbuf)[slot] = at.z;
        T* const bary = static_cast<T*>(p.bary_coords) + 3 * slot;
        bary[0] = at.bary.x;
        bary[1] = at.bary.y;
        bary[2] = at.bary.z;
        static_cast<T*>(p.dists)[slot] = at.inside ? -at.dist2 : at.dist2;
    }
}

// Backward. The gradient of a face is a sum over the slots that hold it, anywhere in the image: fixed_point.cuh adds them
// up without walking the boxes of faces that others hide.
template <typename T>
__device__ FixedPointSums<T> sums_of(const RasterizeMeshesParams& p) {
    return {static_cast<T*>(p.grad_face_verts), p.sums, p.summands, p.f, 9};
}

// The upstream gradient of a slot.
template <typename T>
struct SlotGradient {
    T zbuf, dist;
    Vec3<T> bary;

    __device__ SlotGradient(const RasterizeMeshesParams& p, int64_t slot) {
        const auto at = [](const void* grad, int64_t i) { return grad ? static_cast<const T*>(grad)[i] : T(0); };
        zbuf = at(p.grad_zbuf, slot);
        dist = at(p.grad_dists, slot);
        const int64_t i = 3 * slot;
        bary = {at(p.grad_bary_coords, i), at(p.grad_bary_coords, i + 1), at(p.grad_bary_coords, i + 2)};
    }

    __device__ bool reaches_bary() const { return zbuf != T(0) || bary.x != T(0) || bary.y != T(0) || bary.z != T(0); }
};

// The gradient of a face's nine numbers from one slot.
template <typename T>
__device__ void slot_backward(const RasterizeMeshesParams& p, const Face<T>& face, Vec2<T> point,
                              const SlotGradient<T>& grad, T (&of)[9]) {
    const Vec3<T> w = barycentric_coordinates(point, face.xy);
    const Vec3<T> u = p.perspective_correct ? perspective_correct(w, face.z) : w;
    Triangle2<T> of_xy = {};
    Vec3<T> of_z = {};
    if (grad.reaches_bary()) {
        const Vec3<T> bary = p.clip_barycentric_coords ? clip_barycentric(u) : u;
        Vec3<T> g = {grad.bary.x + grad.zbuf * face.z.x, grad.bary.y + grad.zbuf * face.z.y,
                     grad.bary.z + grad.zbuf * face.z.z};
        if (p.clip_barycentric_coords) g = clip_barycentric_backward(u, g);
        if (p.perspective_correct) g = perspective_correct_backward(w, face.z, g, of_z);
        of_z = {of_z.x + grad.zbuf * bary.x, of_z.y + grad.zbuf * bary.y, of_z.z + grad.zbuf * bary.z};
        of_xy = barycentric_coordinates_backward(point, face.xy, g);
    }
    const bool inside = u.x > T(0) && u.y > T(0) && u.z > T(0);
    const Triangle2<T> of_dist = point_triangle_dist2_backward(point, face.xy, inside ? -grad.dist : grad.dist);
    of[0] = of_xy.v0.x + of_dist.v0.x;
    of[1] = of_xy.v0.y + of_dist.v0.y;
    of[2] = of_z.x;
    of[3] = of_xy.v1.x + of_dist.v1.x;
    of[4] = of_xy.v1.y + of_dist.v1.y;
    of[5] = of_z.y;
    of[6] = of_xy.v2.x + of_dist.v2.x;
    of[7] = of_xy.v2.y + of_dist.v2.y;
    of[8] = of_z.z;
}

// Slot by slot, a warp adds up what its pixels give to the same face and hands the nine sums on. The pixels' gradients
// lie in shared memory, so that lane c + 9 i can sum component c over the i-th third of the warp.
template <typename T, template <typename> class Pass>
__device__ void backward(const RasterizeMeshesParams& p) {
    __shared__ T gradients[kWarps][32][9];
    const Place place(p);
    const bool active = place.in_image(p);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int component = lane % 9, third = lane / 9;
    const unsigned lanes_of_third = third < 3 ? 0x7ffu << 11 * third : 0u;
    const Vec2<T> point = active ? center_of<T>(p, place.row, place.column) : Vec2<T>{};
    const int64_t start = active ? place.pixel(p) * p.k : 0;
    const FixedPointSums<T> sums = sums_of<T>(p);

    for (int64_t k = 0; k < p.k; ++k) {
        const int64_t face = active ? p.pix_to_face[start + k] : -1;
        bool has = face >= 0 && face < p.f;
        if (has) {
            const SlotGradient<T> grad(p, start + k);
            has = grad.reaches_bary() || grad.dist != T(0);
            if (has) slot_backward(p, load_face<T>(p, face), point, grad, gradients[warp][lane]);
        }
        __syncwarp();
        for (unsigned todo = __ballot_sync(kAllLanes, has); todo;) {
            const uint32_t common = __shfl_sync(kAllLanes, uint32_t(face), __ffs(todo) - 1);
            const unsigned members = __ballot_sync(kAllLanes, has && uint32_t(face) == common);
            todo &= ~members;
            T sum = T(0);
            for (unsigned rest = members & lanes_of_third; rest; rest &= rest - 1) {
                sum += gradients[warp][__ffs(rest) - 1][component];
            }
            const T middle = __shfl_sync(kAllLanes, sum, component + 9);
            const T last = __shfl_sync(kAllLanes, sum, component + 18);
            if (lane < 9) Pass<T>::take(sums, 9 * int64_t(common) + component, sum + middle + last);
        }
        __syncwarp();
    }
}

}  // namespace

#define KERNEL(pass, dtype)                                \
    extern "C" __global__ void __launch_bounds__(kThreads) \
        rasterize_meshes_##pass##_##dtype(const RasterizeMeshesParams p)

#define KERNELS(T, dtype)                                                 \
    KERNEL(setup, dtype) { setup<T>(p); }                                 \
    KERNEL(forward_list1, dtype) { forward<T, RegisterList<T, 1>>(p); }   \
    KERNEL(forward_list8, dtype) { forward<T, RegisterList<T, 8>>(p); }   \
    KERNEL(forward_list16, dtype) { forward<T, RegisterList<T, 16>>(p); } \
    KERNEL(forward_long_list, dtype) { forward<T, LongList<T>>(p); }      \
    KERNEL(backward_clear, dtype) { sums_of<T>(p).clear(this_thread()); } \
    KERNEL(backward_measure, dtype) { backward<T, MeasureSum>(p); }       \
    KERNEL(backward_add, dtype) { backward<T, AddToSum>(p); }             \
    KERNEL(backward_finish, dtype) { sums_of<T>(p).finish(this_thread()); }

KERNELS(float, f32)
KERNELS(double, f64)
