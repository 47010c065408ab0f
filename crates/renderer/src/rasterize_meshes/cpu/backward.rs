// SPDX-License-Identifier: Apache-2.0
//! Each band adds up the gradients of its slots by face, slot by slot; each face then adds up its bands, band by band.
//! Bands do not depend on the number of threads, so neither do the sums.

use patina3d_core::geometry::{
    Vec3, barycentric_coordinates, barycentric_coordinates_backward, clip_barycentric, clip_barycentric_backward,
    perspective_correct, perspective_correct_backward, point_triangle_dist2_backward,
};
use patina3d_core::simd::{self, Body, Simd};
use patina3d_core::{Result, pool};

use super::super::{GradInputs, Gradients, Sizes};
use super::{BAND_ROWS, Centres, Number, Rule};

/// Faces whose sums are made by one piece of work.
const FACES: usize = 1024;

/// The slots of some rows of one image.
struct Slots<'a, T> {
    first_row: usize,
    pix_to_face: &'a [i64],
    zbuf: Option<&'a [T]>,
    bary_coords: Option<&'a [T]>,
    dists: Option<&'a [T]>,
}

pub(in super::super) fn backward<T: Number>(
    x: &GradInputs<'_>,
    sizes: Sizes,
    threads: usize,
    out: &mut Gradients<'_>,
) -> Result<()> {
    let Sizes { n, h, w, k, .. } = sizes;
    let faces = x.inputs.face_verts.as_slice::<T>()?;
    let grad_faces = out.face_verts.as_mut_slice::<T>()?;
    let pix_to_face = x.pix_to_face.as_slice::<i64>()?;
    let [zbuf, bary_coords, dists] =
        [x.grad_zbuf, x.grad_bary_coords, x.grad_dists].map(|grad| grad.map(|grad| grad.as_slice::<T>()).transpose());
    let (zbuf, bary_coords, dists) = (zbuf?, bary_coords?, dists?);
    let rule = Rule::new(&x.inputs.settings);
    let centres = Centres::new(h, w);

    let mut bands = Vec::with_capacity(n * h.div_ceil(BAND_ROWS));
    for image in 0..n {
        for first_row in (0..h).step_by(BAND_ROWS) {
            let first = (image * h + first_row) * w * k;
            let end = first + BAND_ROWS.min(h - first_row) * w * k;
            let slots = Slots {
                first_row,
                pix_to_face: &pix_to_face[first..end],
                zbuf: zbuf.map(|grad| &grad[first..end]),
                bary_coords: bary_coords.map(|grad| &grad[first * 3..end * 3]),
                dists: dists.map(|grad| &grad[first..end]),
            };
            bands.push((slots, Sums::default()));
        }
    }
    pool::run(threads, 4 * sizes.num_slots() + grad_faces.len(), |threads| {
        pool::for_each_chunk(threads, &mut bands, 1, |_, band| {
            let (slots, sums) = &mut band[0];
            *sums = simd::dispatch(Accumulate { faces, rule: &rule, centres: &centres, k, slots });
        });
        pool::for_each_chunk(threads, grad_faces, FACES * 9, |chunk, grad| {
            grad.fill(T::of(0.0));
            let first = chunk * FACES;
            for (_, sums) in &bands {
                let from = sums.faces.partition_point(|&(face, _)| (face as usize) < first);
                for &(face, place) in &sums.faces[from..] {
                    let Some(grad) = grad.get_mut((face as usize - first) * 9..(face as usize - first + 1) * 9) else {
                        break;
                    };
                    for (grad, &sum) in grad.iter_mut().zip(&sums.sums[place as usize]) {
                        *grad = *grad + sum;
                    }
                }
            }
        });
    });
    Ok(())
}

/// The sums of a band.
struct Sums<T> {
    /// Faces, ascending, with their places in `sums`.
    faces: Vec<(u32, u32)>,
    sums: Vec<[T; 9]>,
}

impl<T> Default for Sums<T> {
    fn default() -> Self {
        Self { faces: Vec::new(), sums: Vec::new() }
    }
}

/// A used slot with a gradient.
#[derive(Clone, Copy)]
struct Fragment {
    slot: usize,
    face: u32,
}

struct Accumulate<'a, T> {
    faces: &'a [T],
    rule: &'a Rule<T>,
    centres: &'a Centres<T>,
    k: usize,
    slots: &'a Slots<'a, T>,
}

impl<T: Number> Body<T> for Accumulate<'_, T> {
    type Output = Sums<T>;

    #[inline(always)]
    fn run<S: Simd<Real = T>>(self, _: S) -> Sums<T> {
        let fragments = self.fragments();
        let Some(least) = fragments.iter().map(|fragment| fragment.face).min() else { return Sums::default() };
        let most = fragments.iter().map(|fragment| fragment.face).max().unwrap_or(least);
        // For each face of the band's range, its place in the sums.
        let mut places = vec![u32::MAX; (most - least) as usize + 1];
        let mut sums = Sums::default();
        for fragment in &fragments {
            let place = &mut places[(fragment.face - least) as usize];
            if *place == u32::MAX {
                *place = sums.sums.len() as u32;
                sums.faces.push((fragment.face, *place));
                sums.sums.push([T::of(0.0); 9]);
            }
            let grad = self.gradient(fragment);
            let sum = &mut sums.sums[*place as usize];
            for i in 0..9 {
                sum[i] = sum[i] + grad[i];
            }
        }
        sums.faces.sort_unstable();
        sums
    }
}

impl<T: Number> Accumulate<'_, T> {
    /// The slots that have a face and a gradient, in order.
    fn fragments(&self) -> Vec<Fragment> {
        let zero = T::of(0.0);
        let Slots { pix_to_face, zbuf, bary_coords, dists, .. } = *self.slots;
        let num_faces = (self.faces.len() / 9) as u64;
        let mut fragments = Vec::new();
        for (slot, &face) in pix_to_face.iter().enumerate() {
            // As unsigned numbers, the negative ones are beyond every count.
            if face as u64 >= num_faces {
                continue;
            }
            let nonzero = zbuf.is_some_and(|g| g[slot] != zero)
                || dists.is_some_and(|g| g[slot] != zero)
                || bary_coords.is_some_and(|g| g[slot * 3..slot * 3 + 3].iter().any(|&g| g != zero));
            if nonzero {
                fragments.push(Fragment { slot, face: face as u32 });
            }
        }
        fragments
    }

    /// The gradient of the nine numbers of a fragment's face.
    #[inline(always)]
    fn gradient(&self, fragment: &Fragment) -> [T; 9] {
        let &Fragment { slot, face } = fragment;
        let zero = T::of(0.0);
        let (pixel, width) = (slot / self.k, self.centres.columns.len());
        let p = [self.centres.columns[pixel % width], self.centres.rows[self.slots.first_row + pixel / width]];
        let face = &self.faces[face as usize * 9..face as usize * 9 + 9];
        let v = [[face[0], face[1]], [face[3], face[4]], [face[6], face[7]]];
        let z = [face[2], face[5], face[8]];

        let w = barycentric_coordinates(p, v);
        let u = if self.rule.perspective_correct { perspective_correct(w, z) } else { w };
        let inside = u[0] > zero && u[1] > zero && u[2] > zero;
        let of_dist = self.slots.dists.map_or(zero, |g| g[slot]);
        let mut of_v = point_triangle_dist2_backward(p, v, if inside { -of_dist } else { of_dist });
        let mut of_z = [zero; 3];
        if self.slots.zbuf.is_some() || self.slots.bary_coords.is_some() {
            let grad_z = self.slots.zbuf.map_or(zero, |g| g[slot]);
            let grad_c = self.slots.bary_coords.map_or([zero; 3], |g| [g[slot * 3], g[slot * 3 + 1], g[slot * 3 + 2]]);
            let (through_v, through_z) = self.through_bary(p, (v, z), (w, u), grad_z, grad_c);
            of_z = through_z;
            for corner in 0..3 {
                for axis in 0..2 {
                    of_v[corner][axis] = of_v[corner][axis] + through_v[corner][axis];
                }
            }
        }
        let [[x0, y0], [x1, y1], [x2, y2]] = of_v;
        [x0, y0, of_z[0], x1, y1, of_z[1], x2, y2, of_z[2]]
    }

    /// The part of `z` and the coordinates.
    #[inline(always)]
    fn through_bary(
        &self,
        p: [T; 2],
        (v, z): (Vec3<[T; 2]>, Vec3<T>),
        (w, u): (Vec3<T>, Vec3<T>),
        grad_z: T,
        grad_c: Vec3<T>,
    ) -> (Vec3<[T; 2]>, Vec3<T>) {
        let clip = self.rule.clip_barycentric_coords;
        let c = if clip { clip_barycentric(u) } else { u };
        let mut of_z = c.map(|c| grad_z * c);
        let of_c = [grad_c[0] + grad_z * z[0], grad_c[1] + grad_z * z[1], grad_c[2] + grad_z * z[2]];
        let of_u = if clip { clip_barycentric_backward(u, of_c) } else { of_c };
        let of_w = if self.rule.perspective_correct {
            let (of_w, through) = perspective_correct_backward(w, z, of_u);
            for corner in 0..3 {
                of_z[corner] = of_z[corner] + through[corner];
            }
            of_w
        } else {
            of_u
        };
        (barycentric_coordinates_backward(p, v, of_w), of_z)
    }
}
