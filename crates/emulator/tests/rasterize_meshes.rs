// SPDX-License-Identifier: Apache-2.0
//! `rasterize_meshes` on the emulator against the CPU path: the forward bit by bit, the backward within rounding, both the
//! same bits in every order of threads and blocks.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod support;

use std::fmt::Debug;

use patina3d_core::geometry::{Scalar, pixel_center};
use patina3d_core::launch::Params;
use patina3d_core::{Device, Tensor, TensorMut};
use patina3d_emulator::Order;
use patina3d_renderer::rasterize_meshes::{
    self, GradInputs, Gradients, Inputs, Outputs, RasterizeMeshesParams, Settings, backward_scratch_bytes,
    forward_scratch_bytes,
};
use support::{ORDERS, Random, emulated, tensor, tensor_mut};

/// A batch of meshes and how to draw it.
#[derive(Debug, Clone)]
struct Scene {
    faces: Vec<[[f64; 3]; 3]>,
    first: Vec<i64>,
    count: Vec<i64>,
    neighbor: Option<Vec<i64>>,
    settings: Settings,
}

/// What a face of a scene is like.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// Of the size of some pixels or of the image.
    Plain,
    /// Corners on a coarse grid: edges through pixel centres, equal depths.
    Aligned,
    /// Repeated corners, tiny areas, corners behind the camera, numbers that are not finite.
    Degenerate,
}

/// Its square is beyond float32.
const HUGE: f64 = 1e30;

fn face(random: &mut Random, shape: Shape) -> [[f64; 3]; 3] {
    let size = random.pick(&[0.05, 0.3, 2.0]);
    let [x, y, z] = [random.uniform(-1.2, 1.2), random.uniform(-1.2, 1.2), random.uniform(0.5, 3.0)];
    let mut corner = || {
        let [dx, dy, dz] = [0, 1, 2].map(|_| random.uniform(-size, size));
        [x + dx, y + dy, (z + 0.3 * dz).max(0.1)]
    };
    let mut face = [corner(), corner(), corner()];
    match shape {
        Shape::Plain => {}
        Shape::Aligned => face.iter_mut().flatten().for_each(|value| *value = (*value * 4.0).round() / 4.0),
        Shape::Degenerate => match random.pick(&[0, 1, 2, 3, 4, 5, 6]) {
            0 => face[1] = face[0],
            1 => face[2] = [0, 1, 2].map(|i| 2.0 * face[1][i] - face[0][i]),
            2 => face[random.pick(&[0, 1, 2])][2] = random.pick(&[-1.0, 0.0, 1e-8, 1e-7, 1e-4]),
            3 => {
                face[random.pick(&[0, 1, 2])][random.pick(&[0, 1, 2])] =
                    random.pick(&[f64::NAN, f64::INFINITY, HUGE, -1e9]);
            }
            // Areas and squared lengths that overflow in float32.
            4 => face.iter_mut().for_each(|v| *v = [v[0] * 1e20, v[1] * 1e20, v[2]]),
            5 => face.iter_mut().for_each(|v| *v = [x + 1e-4 * (v[0] - x), y + 1e-4 * (v[1] - y), v[2]]),
            _ => face.iter_mut().for_each(|v| *v = [v[0] * 1e3, v[1] * 1e3, v[2] * 1e-3]),
        },
    }
    face
}

fn scene(random: &mut Random, shapes: &[Shape], max_faces: i64) -> Scene {
    let meshes = random.pick(&[1, 2, 3]);
    let count: Vec<i64> = (0..meshes).map(|_| random.pick(&[0, 1, 7, max_faces])).collect();
    let first: Vec<i64> = count.iter().scan(0, |sum, &n| Some(std::mem::replace(sum, *sum + n))).collect();
    let total = count.iter().sum::<i64>();
    let mut faces: Vec<_> = (0..total)
        .map(|_| {
            let shape = random.pick(shapes);
            face(random, shape)
        })
        .collect();
    // Pairs that share an edge, some of them lying over each other.
    let neighbor = random.pick(&[true, false]).then(|| {
        let mut neighbor = vec![-1; total as usize];
        for i in (0..total as usize - total as usize % 2).step_by(2) {
            if random.pick(&[true, false]) {
                (neighbor[i], neighbor[i + 1]) = (i as i64 + 1, i as i64);
                faces[i + 1][0] = faces[i][1];
                faces[i + 1][1] = faces[i][0];
                if random.pick(&[true, false]) {
                    faces[i + 1][2] = faces[i][2];
                }
            }
        }
        neighbor
    });
    let flag = |random: &mut Random| random.pick(&[true, false]);
    let settings = Settings {
        image_size: random.pick(&[[1, 1], [5, 9], [16, 16], [17, 33], [40, 24], [3, 70]]),
        blur_radius: random.pick(&[0.0, 0.0, 1e-4, 0.01, 0.3, f64::INFINITY]),
        faces_per_pixel: random.pick(&[1, 2, 8, 9, 16, 17, 40, 100]),
        perspective_correct: flag(random),
        clip_barycentric_coords: flag(random),
        cull_backfaces: flag(random),
    };
    Scene { faces, first, count, neighbor, settings }
}

/// The four outputs.
#[derive(Debug, Clone, PartialEq)]
struct Fragments<T> {
    pix_to_face: Vec<i64>,
    zbuf: Vec<T>,
    bary_coords: Vec<T>,
    dists: Vec<T>,
}

/// The gradients of `zbuf`, `bary_coords` and `dists`.
type Incoming<T> = [Option<Vec<T>>; 3];

/// Scratch and outputs come as torch gives them: with whatever was there before.
const GARBAGE: f64 = 77.0;

/// Scratch in `memory`, aligned as torch's is.
fn scratch(memory: &mut Vec<u8>, bytes: usize, device: Device) -> TensorMut<'_> {
    memory.resize(bytes + 16, 0x55);
    let first = memory.as_ptr().align_offset(16);
    tensor_mut(&mut memory[first..first + bytes], &[bytes], device)
}

fn index(values: &[i64], device: Device) -> Tensor<'_> {
    tensor(values, &[values.len()], device)
}

impl Scene {
    fn verts<T: Scalar>(&self) -> Vec<T> {
        self.faces.iter().flatten().flatten().map(|&value| T::of(value)).collect()
    }

    fn slots(&self) -> [usize; 4] {
        let [h, w] = self.settings.image_size;
        [self.first.len(), h, w, self.settings.faces_per_pixel]
    }

    fn with_inputs<T: Scalar, R>(&self, device: Device, body: impl FnOnce(Inputs<'_>) -> R) -> R {
        let verts = self.verts::<T>();
        body(Inputs {
            face_verts: tensor(&verts, &[self.faces.len(), 3, 3], device),
            mesh_to_face_first_idx: index(&self.first, device),
            num_faces_per_mesh: index(&self.count, device),
            clipped_faces_neighbor_idx: self.neighbor.as_ref().map(|neighbor| index(neighbor, device)),
            settings: self.settings,
        })
    }

    fn forward<T: Scalar>(&self, device: Device) -> Fragments<T> {
        self.with_inputs::<T, _>(device, |x| {
            let [n, h, w, k] = self.slots();
            let slots = n * h * w * k;
            let garbage = T::of(GARBAGE);
            let mut out = Fragments {
                pix_to_face: vec![77; slots],
                zbuf: vec![garbage; slots],
                bary_coords: vec![garbage; 3 * slots],
                dists: vec![garbage; slots],
            };
            let mut memory = Vec::new();
            let mut outputs = Outputs {
                pix_to_face: tensor_mut(&mut out.pix_to_face, &[n, h, w, k], device),
                zbuf: tensor_mut(&mut out.zbuf, &[n, h, w, k], device),
                bary_coords: tensor_mut(&mut out.bary_coords, &[n, h, w, k, 3], device),
                dists: tensor_mut(&mut out.dists, &[n, h, w, k], device),
                scratch: scratch(&mut memory, forward_scratch_bytes(&x).unwrap(), device),
            };
            rasterize_meshes::forward(&x, &mut outputs).unwrap();
            out
        })
    }

    fn backward<T: Scalar>(&self, device: Device, pix_to_face: &[i64], incoming: &Incoming<T>) -> Vec<T> {
        self.with_inputs::<T, _>(device, |inputs| {
            let [n, h, w, k] = self.slots();
            let gradient = |i: usize, sizes: &[usize]| incoming[i].as_ref().map(|values| tensor(values, sizes, device));
            let x = GradInputs {
                inputs,
                pix_to_face: tensor(pix_to_face, &[n, h, w, k], device),
                grad_zbuf: gradient(0, &[n, h, w, k]),
                grad_bary_coords: gradient(1, &[n, h, w, k, 3]),
                grad_dists: gradient(2, &[n, h, w, k]),
            };
            let mut grad = vec![T::of(GARBAGE); 9 * self.faces.len()];
            let mut memory = Vec::new();
            let mut out = Gradients {
                face_verts: tensor_mut(&mut grad, &[self.faces.len(), 3, 3], device),
                scratch: scratch(&mut memory, backward_scratch_bytes(&x).unwrap(), device),
            };
            rasterize_meshes::backward(&x, &mut out).unwrap();
            grad
        })
    }
}

/// All bits, every NaN the same.
trait Bits: Scalar + Debug {
    fn bits(self) -> u64;
    fn wide(self) -> f64;
}

impl Bits for f32 {
    fn bits(self) -> u64 {
        if self.is_nan() { u64::MAX } else { u64::from(self.to_bits()) }
    }
    fn wide(self) -> f64 {
        self.into()
    }
}

impl Bits for f64 {
    fn bits(self) -> u64 {
        if self.is_nan() { u64::MAX } else { self.to_bits() }
    }
    fn wide(self) -> f64 {
        self
    }
}

fn same_bits<T: Bits>(what: &str, a: &[T], b: &[T], scene: &Scene, order: Order) {
    assert_eq!(a.len(), b.len());
    if let Some(i) = (0..a.len()).find(|&i| a[i].bits() != b[i].bits()) {
        panic!("{what}[{i}]: {:?} and {:?}, {order:?}, {scene:?}", a[i], b[i]);
    }
}

fn forward_agrees<T: Bits>(seed: u64, shapes: &[Shape], scenes: usize, max_faces: i64) {
    let mut random = Random(seed);
    let mut used = 0;
    for _ in 0..scenes {
        let scene = scene(&mut random, shapes, max_faces);
        let expected = scene.forward::<T>(Device::SERIAL);
        used += expected.pix_to_face.iter().filter(|&&face| face >= 0).count();
        for order in ORDERS {
            let got = scene.forward::<T>(emulated(order));
            let differs = got.pix_to_face.iter().zip(&expected.pix_to_face).position(|(a, b)| a != b);
            assert_eq!(differs.map(|i| (i, got.pix_to_face[i], expected.pix_to_face[i])), None, "{order:?} {scene:?}");
            same_bits("zbuf", &got.zbuf, &expected.zbuf, &scene, order);
            same_bits("bary_coords", &got.bary_coords, &expected.bary_coords, &scene, order);
            same_bits("dists", &got.dists, &expected.dists, &scene, order);
        }
    }
    assert!(used > 100 * scenes, "only {used} slots were used: the scenes are too empty to tell anything");
}

#[test]
fn forward_has_the_bits_of_the_cpu_on_plain_faces() {
    forward_agrees::<f32>(1, &[Shape::Plain], 40, 60);
    forward_agrees::<f64>(2, &[Shape::Plain], 20, 60);
}

#[test]
fn forward_has_the_bits_of_the_cpu_on_ties() {
    forward_agrees::<f32>(3, &[Shape::Aligned, Shape::Aligned, Shape::Plain], 40, 60);
    forward_agrees::<f64>(4, &[Shape::Aligned], 20, 60);
}

#[test]
fn forward_has_the_bits_of_the_cpu_on_degenerate_faces() {
    forward_agrees::<f32>(5, &[Shape::Degenerate, Shape::Degenerate, Shape::Plain], 40, 60);
    forward_agrees::<f64>(6, &[Shape::Degenerate, Shape::Plain], 20, 60);
}

#[test]
fn forward_works_off_lists_longer_than_a_block_keeps() {
    // Several rounds of collecting and drawing in each tile.
    forward_agrees::<f32>(7, &[Shape::Plain, Shape::Aligned], 4, 1900);
}

#[test]
fn forward_looks_at_more_groups_than_a_block_has_threads() {
    // Small faces, each on one pixel, few enough on each to be kept: none may be missed.
    let mut random = Random(8);
    let mut scene = one_triangle([20, 20], 64);
    let pixels: Vec<f64> = (0..20).map(|i| pixel_center(i, 20, 20)).collect();
    let mut small = || {
        let [x, y, z] = [random.pick(&pixels), random.pick(&pixels), random.uniform(1.0, 2.0)];
        [[x - 0.02, y - 0.02, z], [x + 0.03, y - 0.01, z], [x, y + 0.03, z]]
    };
    scene.faces = (0..20_000).map(|_| small()).collect();
    (scene.first, scene.count) = (vec![0, 9_000], vec![9_000, 11_000]);
    let expected = scene.forward::<f32>(Device::SERIAL);
    assert_eq!(expected.pix_to_face.iter().filter(|&&face| face >= 0).count(), 20_000);
    assert_eq!(scene.forward::<f32>(emulated(Order::Forward)), expected);
}

#[test]
fn ranges_of_faces_may_leave_the_faces_or_share_them() {
    let mut random = Random(9);
    let mut scene = scene(&mut random, &[Shape::Plain], 60);
    scene.faces = (0..70).map(|_| face(&mut random, Shape::Plain)).collect();
    scene.neighbor = None;
    scene.first = vec![-5, 60, 10, 30, 90, 3, i64::MIN, i64::MAX];
    scene.count = vec![20, 20, 40, -3, 2, i64::MAX, i64::MAX, i64::MAX];
    let expected = scene.forward::<f64>(Device::SERIAL);
    let got = scene.forward::<f64>(emulated(Order::Forward));
    assert_eq!(got, expected);
    let grad = [Some(expected.zbuf.clone()), None, Some(expected.dists.clone())];
    let [expected, got] =
        [Device::SERIAL, emulated(Order::Forward)].map(|device| scene.backward(device, &got.pix_to_face, &grad));
    let scale = expected.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    assert!(got.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 1e-10 * scale), "{got:?} instead of {expected:?}");
}

fn incoming<T: Bits>(random: &mut Random, fragments: &Fragments<T>) -> Incoming<T> {
    [fragments.zbuf.len(), fragments.bary_coords.len(), fragments.dists.len()].map(|len| {
        let share = random.pick(&[0.0, 0.3, 1.0, 1.0]);
        let mut number = || if random.uniform(0.0, 1.0) < share { random.uniform(-1.0, 1.0) } else { 0.0 };
        (share > 0.0).then(|| (0..len).map(|_| T::of(number())).collect())
    })
}

/// The backward of random scenes; `tolerance` is relative to the largest component of a face's gradient.
fn backward_agrees<T: Bits>(seed: u64, shapes: &[Shape], scenes: usize, tolerance: Option<f64>) {
    let mut random = Random(seed);
    for _ in 0..scenes {
        let mut scene = scene(&mut random, shapes, 60);
        scene.settings.blur_radius = scene.settings.blur_radius.min(0.3);
        let fragments = scene.forward::<T>(Device::SERIAL);
        let incoming = incoming(&mut random, &fragments);
        let expected = scene.backward::<T>(Device::SERIAL, &fragments.pix_to_face, &incoming);
        let got = ORDERS.map(|order| scene.backward::<T>(emulated(order), &fragments.pix_to_face, &incoming));
        for (order, other) in ORDERS.into_iter().zip(&got) {
            same_bits("gradient", other, &got[0], &scene, order);
        }
        for (face, grad) in scene.faces.iter().zip(got[0].chunks(9)) {
            assert!(
                face.as_flattened().contains(&HUGE) || grad.iter().all(|value| value.wide().is_finite()),
                "{grad:?} of {face:?} in {:?}",
                scene.settings
            );
        }
        let Some(tolerance) = tolerance else { continue };
        for (i, (got, expected)) in got[0].chunks(9).zip(expected.chunks(9)).enumerate() {
            let scale = expected.iter().fold(0.0, |most: f64, value| most.max(value.wide().abs()));
            let off = got.iter().zip(expected).fold(0.0, |most: f64, (a, b)| most.max((a.wide() - b.wide()).abs()));
            assert!(off <= tolerance * scale, "face {i}: {got:?} instead of {expected:?}, {scene:?}");
        }
    }
}

#[test]
fn backward_is_that_of_the_cpu() {
    backward_agrees::<f64>(11, &[Shape::Plain], 60, Some(1e-9));
    backward_agrees::<f32>(12, &[Shape::Plain], 60, Some(2e-3));
}

#[test]
fn backward_is_finite_on_degenerate_faces() {
    backward_agrees::<f32>(13, &[Shape::Degenerate, Shape::Aligned], 60, None);
    backward_agrees::<f64>(14, &[Shape::Degenerate, Shape::Aligned], 30, None);
}

/// One triangle over the whole image, slots as given.
fn one_triangle(image_size: [usize; 2], faces_per_pixel: usize) -> Scene {
    Scene {
        faces: vec![[[-4.0, -3.0, 1.0], [4.0, -3.0, 1.5], [0.0, 5.0, 2.0]]],
        first: vec![0],
        count: vec![1],
        neighbor: None,
        settings: Settings {
            image_size,
            blur_radius: 0.0,
            faces_per_pixel,
            perspective_correct: true,
            clip_barycentric_coords: false,
            cull_backfaces: false,
        },
    }
}

#[test]
fn a_gradient_may_be_large_small_or_cancel() {
    let scene = one_triangle([33, 47], 1);
    let fragments = scene.forward::<f32>(Device::SERIAL);
    assert!(fragments.pix_to_face.iter().all(|&face| face == 0));
    let size = fragments.zbuf.len();
    for scale in [1e-38, 1e-20, 1.0, 1e20, 1e30] {
        // All but one cancel in pairs.
        let values = (0..size).map(|i| {
            if i == 0 {
                scale
            } else if i % 2 == 0 {
                1e3 * scale
            } else {
                -1e3 * scale
            }
        });
        let incoming = [Some(values.map(|x| x as f32).collect()), None, None];
        let expected = scene.backward::<f64>(
            Device::SERIAL,
            &fragments.pix_to_face,
            &incoming.clone().map(|values: Option<Vec<f32>>| values.map(|v| v.into_iter().map(f64::from).collect())),
        );
        let got = scene.backward::<f32>(emulated(Order::Forward), &fragments.pix_to_face, &incoming);
        for (got, expected) in got.iter().zip(expected) {
            assert!((f64::from(*got) - expected).abs() <= 1e-3 * 1e3 * scale, "{scale}: {got} instead of {expected}");
        }
    }
}

#[test]
fn a_gradient_that_is_not_finite_stays_so_and_reaches_its_face_alone() {
    let mut scene = one_triangle([20, 20], 2);
    scene.faces.push(scene.faces[0].map(|[x, y, z]| [x, y, z + 1.0]));
    scene.count = vec![2];
    let fragments = scene.forward::<f32>(Device::SERIAL);
    let mut zbuf = vec![1.0_f32; fragments.zbuf.len()];
    for bad in [f32::NAN, f32::INFINITY] {
        zbuf[10] = bad;
        let got =
            scene.backward::<f32>(emulated(Order::Forward), &fragments.pix_to_face, &[Some(zbuf.clone()), None, None]);
        assert_eq!(fragments.pix_to_face[10], 0);
        assert!(got[2].is_nan() && got[9..].iter().all(|value| value.is_finite()), "{got:?}");
    }
}

#[test]
fn a_face_that_overflows_is_drawn_nowhere() {
    for corners in [
        [[0.0, 0.0], [1e20, 1e20], [3e20, 2e20]],
        [[0.0, 0.0], [1e20, 1e20], [2e20, 1e20]],
        [[-1e20, -1e20], [1e20, -1e20], [0.0, 1e20]],
        // The area does not overflow, and a short edge is near.
        [[0.0, 0.0], [1e20, 0.0], [0.0, 1.0]],
    ] {
        let mut scene = one_triangle([9, 7], 2);
        scene.faces = vec![corners.map(|[x, y]| [x, y, 1.0])];
        for blur_radius in [0.0, 0.1, f64::INFINITY] {
            scene.settings.blur_radius = blur_radius;
            for device in [Device::SERIAL, emulated(Order::Forward)] {
                let fragments = scene.forward::<f32>(device);
                assert!(fragments.pix_to_face.iter().all(|&face| face == -1), "{device:?} {scene:?}");
            }
        }
    }
}

#[test]
fn outputs_and_scratch_elsewhere_or_too_small_are_errors() {
    let scene = one_triangle([2, 2], 1);
    scene.with_inputs::<f32, _>(emulated(Order::Forward), |x| {
        let bytes = forward_scratch_bytes(&x).unwrap();
        let error = |at: Device, scratch_at: Device, bytes: usize| {
            let (mut faces, mut z, mut bary, mut dists) =
                (vec![0_i64; 4], vec![0.0_f32; 4], [0.0_f32; 12], [0.0_f32; 4]);
            let mut memory = Vec::new();
            let here = x.face_verts.device();
            let mut outputs = Outputs {
                pix_to_face: tensor_mut(&mut faces, &[1, 2, 2, 1], here),
                zbuf: tensor_mut(&mut z, &[1, 2, 2, 1], at),
                bary_coords: tensor_mut(&mut bary, &[1, 2, 2, 1, 3], here),
                dists: tensor_mut(&mut dists, &[1, 2, 2, 1], here),
                scratch: scratch(&mut memory, bytes, scratch_at),
            };
            rasterize_meshes::forward(&x, &mut outputs).err().map(|error| error.to_string())
        };
        let here = x.face_verts.device();
        assert_eq!(error(here, here, bytes), None);
        let zbuf = error(Device::SERIAL, here, bytes).unwrap();
        assert!(zbuf.starts_with("rasterize_meshes: zbuf must be on the device of face_verts"), "{zbuf}");
        let scratch = error(here, Device::SERIAL, bytes).unwrap();
        assert!(scratch.starts_with("rasterize_meshes: scratch must be on the device of face_verts"), "{scratch}");
        let scratch = error(here, here, bytes - 1).unwrap();
        assert!(scratch.starts_with("rasterize_meshes: scratch must be of at least"), "{scratch}");
    });
}

#[test]
fn the_params_have_one_layout() {
    let layout = patina3d_emulator::layout(RasterizeMeshesParams::NAME).unwrap();
    let rust: Vec<_> = RasterizeMeshesParams::layout().into_iter().map(|(name, at)| (name.to_owned(), at)).collect();
    assert_eq!(layout, rust);
}
