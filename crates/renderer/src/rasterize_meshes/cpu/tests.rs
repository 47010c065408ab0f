// SPDX-License-Identifier: Apache-2.0
//! The tiles, bins and vectors against the contract written down pixel by pixel.

use patina3d_core::geometry::{
    barycentric_coordinates, clip_barycentric, edge_function, perspective_correct, pixel_center, point_triangle_dist2,
};
use patina3d_core::{Tensor, TensorMut};

use super::super::{GradInputs, Gradients, Inputs, Outputs, Settings, backward, forward};
use super::Number;

const PLAIN: Settings = Settings {
    image_size: [20, 33],
    blur_radius: 0.0,
    faces_per_pixel: 3,
    perspective_correct: false,
    clip_barycentric_coords: false,
    cull_backfaces: false,
};

/// Meshes as packed faces.
#[derive(Default)]
struct Scene<T> {
    faces: Vec<T>,
    first: Vec<i64>,
    count: Vec<i64>,
    neighbors: Option<Vec<i64>>,
}

#[derive(Debug, PartialEq)]
struct Fragments<T> {
    pix_to_face: Vec<i64>,
    zbuf: Vec<T>,
    bary_coords: Vec<T>,
    dists: Vec<T>,
}

/// Numbers in [0, 1), the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / (1 << 24) as f64
    }
}

/// Triangles of this size about the image; every tenth has something wrong with it.
fn soup<T: Number>(meshes: usize, faces: usize, size: f64) -> Scene<T> {
    let mut random = Random(faces as u64);
    let mut scene = Scene::<T> { first: vec![], count: vec![], faces: vec![], neighbors: None };
    for _ in 0..meshes {
        scene.first.push((scene.faces.len() / 9) as i64);
        scene.count.push(faces as i64);
        for face in 0..faces {
            let centre = [random.next() * 4.0 - 2.0, random.next() * 2.4 - 1.2, 1.0 + random.next() * 2.0];
            let mut numbers: Vec<f64> = (0..9).map(|i| centre[i % 3] + (random.next() - 0.5) * size).collect();
            match face % 40 {
                0 => numbers[2] = -0.5,
                10 => numbers.copy_within(0..3, 6),
                20 => numbers[4] = f64::NAN,
                30 => numbers[0] = f64::INFINITY,
                // The face before once more: a tie.
                12 => {
                    let before = &scene.faces[scene.faces.len() - 9..];
                    numbers = before.iter().map(|number| number.to_f64()).collect();
                }
                // Seen edge on, up to rounding.
                21 => (6..8).for_each(|i| numbers[i] = 2.0 * numbers[i - 3] - numbers[i - 6]),
                _ => {}
            }
            scene.faces.extend(numbers.iter().map(|&number| T::of(number)));
        }
    }
    scene
}

impl<T: Number> Scene<T> {
    fn inputs(&self, settings: Settings, threads: usize) -> Inputs<'_> {
        let index = |values| Tensor::from_slice("test", values, &[self.first.len()]).unwrap();
        Inputs {
            face_verts: Tensor::from_slice("test", &self.faces, &[self.faces.len() / 9, 3, 3])
                .unwrap()
                .with_threads(threads),
            mesh_to_face_first_idx: index(&self.first),
            num_faces_per_mesh: index(&self.count),
            clipped_faces_neighbor_idx: (self.neighbors.as_ref())
                .map(|neighbors| Tensor::from_slice("test", neighbors, &[neighbors.len()]).unwrap()),
            settings,
        }
    }

    fn rasterize(&self, settings: Settings, threads: usize) -> Fragments<T> {
        let ([h, w], n, k) = (settings.image_size, self.first.len(), settings.faces_per_pixel);
        let slots = n * h * w * k;
        let mut got = Fragments {
            pix_to_face: vec![-7; slots],
            zbuf: vec![T::of(-7.0); slots],
            bary_coords: vec![T::of(-7.0); slots * 3],
            dists: vec![T::of(-7.0); slots],
        };
        let mut out = Outputs {
            pix_to_face: TensorMut::from_slice("test", &mut got.pix_to_face, &[n, h, w, k]).unwrap(),
            zbuf: TensorMut::from_slice("test", &mut got.zbuf, &[n, h, w, k]).unwrap(),
            bary_coords: TensorMut::from_slice("test", &mut got.bary_coords, &[n, h, w, k, 3]).unwrap(),
            dists: TensorMut::from_slice("test", &mut got.dists, &[n, h, w, k]).unwrap(),
            scratch: TensorMut::from_slice::<u8>("test", &mut [], &[0]).unwrap(),
        };
        forward(&self.inputs(settings, threads), &mut out).unwrap();
        got
    }

    fn gradient(&self, settings: Settings, fragments: &Fragments<T>, threads: usize) -> Vec<T> {
        let ([h, w], n, k) = (settings.image_size, self.first.len(), settings.faces_per_pixel);
        let mut random = Random(7);
        let mut grads = |count: usize| -> Vec<T> { (0..count).map(|_| T::of(random.next() - 0.5)).collect() };
        let slots = n * h * w * k;
        let (zbuf, bary, dists) = (grads(slots), grads(slots * 3), grads(slots));
        let mut got = vec![T::of(-7.0); self.faces.len()];
        let x = GradInputs {
            inputs: self.inputs(settings, threads),
            pix_to_face: Tensor::from_slice("test", &fragments.pix_to_face, &[n, h, w, k]).unwrap(),
            grad_zbuf: Some(Tensor::from_slice("test", &zbuf, &[n, h, w, k]).unwrap()),
            grad_bary_coords: Some(Tensor::from_slice("test", &bary, &[n, h, w, k, 3]).unwrap()),
            grad_dists: Some(Tensor::from_slice("test", &dists, &[n, h, w, k]).unwrap()),
        };
        let mut out = Gradients {
            face_verts: TensorMut::from_slice("test", &mut got, &[self.faces.len() / 9, 3, 3]).unwrap(),
            scratch: TensorMut::from_slice::<u8>("test", &mut [], &[0]).unwrap(),
        };
        backward(&x, &mut out).unwrap();
        got
    }

    /// The contract, pixel by pixel.
    fn expected(&self, settings: Settings) -> Fragments<T> {
        let ([h, w], k) = (settings.image_size, settings.faces_per_pixel);
        let mut want = Fragments { pix_to_face: vec![], zbuf: vec![], bary_coords: vec![], dists: vec![] };
        for (&first, &count) in self.first.iter().zip(&self.count) {
            for (y, x) in (0..h).flat_map(|y| (0..w).map(move |x| (y, x))) {
                let p = [pixel_center(x, w, h), pixel_center(y, h, w)];
                let mut hits: Vec<(usize, Hit<T>)> = (first..first + count)
                    .filter_map(|face| Some((face as usize, self.hit(face as usize, p, settings)?)))
                    .filter(|(face, hit)| {
                        let rival = self.neighbors.as_ref().and_then(|n| usize::try_from(n[*face]).ok());
                        let other = rival.and_then(|rival| Some((rival, self.hit(rival, p, settings)?)));
                        other.is_none_or(|(rival, other)| {
                            let order = |face: usize, hit: &Hit<T>| (!hit.inside, hit.dist2.to_f64(), face);
                            order(*face, hit) <= order(rival, &other)
                        })
                    })
                    .collect();
                hits.sort_by(|a, b| (a.1.z.to_f64(), a.0).partial_cmp(&(b.1.z.to_f64(), b.0)).unwrap());
                for slot in 0..k {
                    let none = T::of(-1.0);
                    let hit = hits.get(slot);
                    want.pix_to_face.push(hit.map_or(-1, |(face, _)| *face as i64));
                    want.zbuf.push(hit.map_or(none, |(_, hit)| hit.z));
                    want.bary_coords.extend(hit.map_or([none; 3], |(_, hit)| hit.c));
                    want.dists.push(hit.map_or(none, |(_, hit)| if hit.inside { -hit.dist2 } else { hit.dist2 }));
                }
            }
        }
        want
    }

    fn hit(&self, face: usize, p: [T; 2], settings: Settings) -> Option<Hit<T>> {
        let numbers = &self.faces[face * 9..face * 9 + 9];
        let v = [0, 3, 6].map(|i| [numbers[i], numbers[i + 1]]);
        let z = [2, 5, 8].map(|i| numbers[i]);
        let (zero, epsilon, infinity) = (T::of(0.0), T::of(1e-8), T::of(f64::INFINITY));
        let area = edge_function(v[0], v[1], v[2]);
        let solid = (area > epsilon && area < infinity) || (-area > epsilon && -area < infinity);
        let edges = [0, 1, 2].map(|i| [0, 1].map(|axis| v[(i + 1) % 3][axis] - v[i][axis]));
        let long = edges.iter().any(|edge| !(edge[0] * edge[0] + edge[1] * edge[1]).is_finite());
        if !solid || long || z.iter().any(|&z| z < epsilon || !z.is_finite()) {
            return None;
        }
        if settings.cull_backfaces && area < zero {
            return None;
        }
        let blur = T::of(settings.blur_radius);
        for axis in 0..2 {
            let all = |test: &dyn Fn(T) -> bool| v.iter().all(|corner| test(corner[axis]));
            if all(&|x| p[axis] < x - blur.sqrt()) || all(&|x| p[axis] > x + blur.sqrt()) {
                return None;
            }
        }
        let w = barycentric_coordinates(p, v);
        let u = if settings.perspective_correct { perspective_correct(w, z) } else { w };
        let inside = u.iter().all(|&u| u > zero);
        let c = if settings.clip_barycentric_coords { clip_barycentric(u) } else { u };
        let depth = c[0] * z[0] + c[1] * z[1] + c[2] * z[2];
        let dist2 = point_triangle_dist2(p, v);
        let hits = depth >= zero && depth < infinity && dist2 < infinity && (inside || dist2 < blur);
        hits.then_some(Hit { z: depth, c, dist2, inside })
    }
}

#[derive(Clone, Copy)]
struct Hit<T> {
    z: T,
    c: [T; 3],
    dist2: T,
    inside: bool,
}

fn settings() -> Vec<Settings> {
    let mut all = Vec::new();
    for (i, blur_radius) in [0.0, 1e-4, 0.02, 0.5].into_iter().enumerate() {
        for flags in 0..8 {
            all.push(Settings {
                image_size: [[20, 33], [33, 20], [1, 7], [17, 1]][(i + flags) % 4],
                blur_radius,
                faces_per_pixel: [1, 4, 50][(i + flags) % 3],
                perspective_correct: flags & 1 != 0,
                clip_barycentric_coords: flags & 2 != 0,
                cull_backfaces: flags & 4 != 0,
            });
        }
    }
    all
}

fn agree<T: Number + std::fmt::Debug>(scene: &Scene<T>) {
    for settings in settings() {
        let want = scene.expected(settings);
        let small = settings.image_size[0] * settings.image_size[1] < 100;
        assert!(small || want.pix_to_face.iter().any(|&face| face >= 0), "{settings:?} hits nothing");
        for threads in [1, 3] {
            assert_eq!(scene.rasterize(settings, threads), want, "{settings:?}");
        }
    }
}

#[test]
fn agrees_with_the_contract_to_the_bit() {
    agree(&soup::<f32>(2, 160, 0.8));
    agree(&soup::<f64>(1, 160, 0.8));
    agree(&soup::<f32>(1, 2000, 0.05));
}

#[test]
fn halves_yield_before_the_cut() {
    let mut scene = soup::<f32>(1, 200, 0.8);
    // Mutual neighbours, some of a face with itself or with none, one that is not mutual.
    let neighbors = (0..200)
        .map(|i| {
            if i % 7 == 0 {
                i
            } else if i % 5 == 0 {
                -1
            } else {
                i ^ 1
            }
        })
        .collect();
    scene.neighbors = Some(neighbors);
    agree(&scene);
}

/// Faces of which an area or the squared length of an edge overflows.
fn overflowing<T: Number>(big: f64) -> Scene<T> {
    let corners = [
        [[0.0, 0.0], [1.0, 1.0], [3.0, 2.0]],
        [[0.0, 0.0], [1.0, 1.0], [2.0, 1.0]],
        [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]],
        [[-1.0, -1.0], [1.0, -1.0], [0.0, 1.0]],
        [[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0 / big]],
        // The area does not overflow, and a short edge is near.
        [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0 / big]],
    ];
    let faces = corners.iter().flatten().flat_map(|&[x, y]| [T::of(x * big), T::of(y * big), T::of(1.0)]);
    Scene { faces: faces.collect(), first: vec![0], count: vec![6], neighbors: None }
}

#[test]
fn a_face_that_overflows_is_drawn_nowhere() {
    fn none<T: Number + std::fmt::Debug>(scene: &Scene<T>) {
        for settings in settings() {
            let got = scene.rasterize(settings, 1);
            assert!(got.pix_to_face.iter().all(|&face| face == -1), "{settings:?}");
            assert_eq!(got, scene.expected(settings));
        }
    }
    none(&overflowing::<f32>(1e20));
    none(&overflowing::<f64>(1e160));
    // Near the end of the range all is well.
    let scene = overflowing::<f32>(1e18);
    let settings = Settings { image_size: [20, 33], blur_radius: 0.01, faces_per_pixel: 8, ..PLAIN };
    assert!(scene.rasterize(settings, 1).pix_to_face.iter().any(|&face| face >= 0));
    assert_eq!(scene.rasterize(settings, 1), scene.expected(settings));
}

#[test]
fn a_wide_image_has_several_tiles_a_band() {
    let scene = soup::<f32>(1, 80, 0.8);
    let settings = Settings { image_size: [9, 530], blur_radius: 0.01, ..PLAIN };
    assert_eq!(scene.rasterize(settings, 2), scene.expected(settings));
}

#[test]
fn more_hits_than_a_tile_gathers() {
    let scene = soup::<f32>(1, 1500, 3.0);
    for faces_per_pixel in [1, 3, 2000] {
        let settings = Settings { image_size: [12, 12], blur_radius: 0.1, faces_per_pixel, ..PLAIN };
        assert_eq!(scene.rasterize(settings, 2), scene.expected(settings));
    }
}

#[test]
fn empty_meshes_and_ranges_beyond_the_faces() {
    let mut scene = soup::<f32>(1, 80, 0.8);
    scene.first = vec![0, 40, -5, 40, 90];
    scene.count = vec![0, 1000, 3, -2, 1];
    let fragments = scene.rasterize(PLAIN, 1);
    scene.first = vec![0, 40, 0, 0, 0];
    scene.count = vec![0, 40, 0, 0, 0];
    assert_eq!(fragments, scene.expected(PLAIN));
    let empty = Scene::<f32> { first: vec![0], count: vec![0], ..Scene::default() };
    assert_eq!(empty.rasterize(PLAIN, 1), empty.expected(PLAIN));
}

#[test]
fn gradients_do_not_depend_on_the_number_of_threads() {
    let scene = soup::<f32>(2, 400, 0.5);
    let settings = Settings { image_size: [50, 40], blur_radius: 0.01, perspective_correct: true, ..PLAIN };
    let fragments = scene.rasterize(settings, 1);
    let one = scene.gradient(settings, &fragments, 1);
    assert!(one.iter().all(|g| g.is_finite()) && one.iter().any(|&g| g != 0.0));
    assert_eq!(one, scene.gradient(settings, &fragments, 3));
}
