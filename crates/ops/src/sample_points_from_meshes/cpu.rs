// SPDX-License-Identifier: Apache-2.0
//! Areas of all faces, their sums mesh by mesh, then every sample looks itself up.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use patina3d_core::geometry::Vec3;
use patina3d_core::triangle::Triangle;
use patina3d_core::{Error, Result, pool};

use super::draw::{Uniform, below, chance, corner_weights, full_chance, random_words};
use super::{GradInputs, Gradients, Inputs, OPERATOR, Outputs, Sizes};

/// Faces, or samples, that are one piece of work.
const PIECE: usize = 4096;
/// Samples that are drawn step by step together, so that the memory which one reads is on its way while others are at it.
const GROUP: usize = 32;
/// Faces of a bucket of the guide, on average.
const FACES_OF_BUCKET: usize = 4;
/// Nanoseconds that a face and a sample cost, roughly: decides whether threads are worth waking.
const FACE_NANOSECONDS: usize = 10;
const SAMPLE_NANOSECONDS: usize = 50;

/// The vertices at the corners of a face, if all three are there.
#[inline(always)]
fn corners<T: Uniform>(verts: &[Vec3<T>], face: [i64; 3]) -> Option<[Vec3<T>; 3]> {
    // As unsigned numbers, negative ones are beyond every count.
    let [a, b, c] = face.map(|corner| verts.get(corner as usize));
    Some([*a?, *b?, *c?])
}

/// The faces of each mesh.
fn ranges(x: &Inputs<'_>, f: usize) -> Result<Vec<Range<usize>>> {
    let firsts = x.first_idxs.as_slice::<i64>()?;
    let ends = firsts.iter().skip(1).copied().chain([f as i64]);
    let mut before = 0;
    let range = |(n, (&first, end)): (usize, (&i64, i64))| {
        if first < before || first > f as i64 {
            let got = format!("{first} at {n}");
            return Err(Error::value(OPERATOR, "first_idxs", format!("ascending in [0, {f}]"), got));
        }
        before = first;
        Ok(first as usize..end.max(first) as usize)
    };
    firsts.iter().zip(ends).enumerate().map(range).collect()
}

/// The faces of a mesh as samples find them.
struct Mesh<'a> {
    /// The first of its faces.
    first: usize,
    /// The chances of all its faces before each; first the bits of their areas.
    sums: &'a mut [u64],
    /// The chances of all.
    total: u64,
    /// Where to look: by their first bits random numbers fall into buckets, and the face of the least number of a bucket
    /// stands here; then the last face. A long search in memory becomes a short one.
    guide: Vec<usize>,
    /// How many first bits.
    guide_bits: u32,
}

impl Mesh<'_> {
    /// Areas become sums of chances, and the guide to them is made, for so many samples.
    fn sum_up(&mut self, samples: usize) {
        // The bits of numbers that are not negative order as the numbers do.
        let greatest = f64::from_bits(self.sums.iter().copied().max().unwrap_or(0));
        let full = full_chance(self.sums.len());
        for entry in self.sums.iter_mut() {
            let before = self.total;
            self.total += chance(f64::from_bits(*entry), greatest, full);
            *entry = before;
        }
        if self.total == 0 {
            return;
        }
        let buckets = (self.sums.len() / FACES_OF_BUCKET).min(samples).max(1).next_power_of_two();
        self.guide_bits = buckets.trailing_zeros();
        let (last, mut place) = (self.sums.len() - 1, 0);
        let face_of = |bucket: usize| {
            let least = below(self.total, (bucket as u64).rotate_right(self.guide_bits));
            while place < last && self.sums[place + 1] <= least {
                place += 1;
            }
            place
        };
        self.guide = (0..buckets).map(face_of).chain([last]).collect();
    }

    /// The face of 64 random bits: that of which the chances begin at their number below the total or before it, of
    /// several the last.
    #[inline(always)]
    fn face(&self, bits: u64) -> usize {
        let number = below(self.total, bits);
        let bucket = bits.checked_shr(u64::BITS - self.guide_bits).unwrap_or(0) as usize;
        let (low, high) = (self.guide[bucket], self.guide[bucket + 1]);
        self.first + low + self.sums[low..=high].partition_point(|&before| before <= number) - 1
    }
}

/// The bits of the area of each face.
fn areas<T: Uniform>(verts: &[Vec3<T>], faces: &[[i64; 3]], threads: usize) -> Result<Vec<u64>> {
    let mut areas = vec![0; faces.len()];
    let stranger = AtomicUsize::new(usize::MAX);
    pool::run(threads, faces.len() * FACE_NANOSECONDS, |threads| {
        pool::for_each_chunk(threads, &mut areas, PIECE, |number, areas| {
            let first = number * PIECE;
            for (i, (area, &face)) in areas.iter_mut().zip(&faces[first..]).enumerate() {
                let Some(corners) = corners(verts, face) else {
                    stranger.fetch_min(first + i, Ordering::Relaxed);
                    return;
                };
                let wide = Triangle::new(corners).wide_area();
                // What is no number, next to vertices that are not finite, counts as no area.
                *area = if wide > 0.0 { wide.to_bits() } else { 0 };
            }
        });
    });
    let stranger = stranger.into_inner();
    match faces.get(stranger) {
        None => Ok(areas),
        Some(face) => {
            let v = verts.len();
            let expected = format!("indices of {v} vertices, in [0, {v})");
            Err(Error::value(OPERATOR, "faces", expected, format!("{face:?} at {stranger}")))
        }
    }
}

pub(super) fn forward<T: Uniform>(x: &Inputs<'_>, sizes: Sizes, threads: usize, out: &mut Outputs<'_>) -> Result<()> {
    let (verts, faces, seed) = (x.verts.as_rows::<T, 3>()?, x.faces.as_rows::<i64, 3>()?, x.seed.as_slice::<i64>()?[0]);
    let ranges = ranges(x, sizes.f)?;
    let mut areas = areas(verts, faces, threads)?;
    let (mut meshes, mut rest, mut place) = (Vec::with_capacity(sizes.n), areas.as_mut_slice(), 0);
    for Range { start, end } in ranges {
        let (sums, after) = rest[start - place..].split_at_mut(end - start);
        meshes.push(Mesh { first: start, sums, total: 0, guide: Vec::new(), guide_bits: 0 });
        (rest, place) = (after, end);
    }
    pool::run(threads, sizes.f * FACE_NANOSECONDS, |threads| {
        pool::for_each_chunk(threads, &mut meshes, 1, |_, mesh| mesh[0].sum_up(sizes.s));
    });

    let points = out.points.as_mut_slice::<T>()?.as_chunks_mut::<3>().0;
    let weights = out.weights.as_mut_slice::<T>()?.as_chunks_mut::<3>().0;
    let sampled = out.faces.as_mut_slice::<i64>()?;
    let mut work: Vec<_> =
        points.chunks_mut(PIECE).zip(weights.chunks_mut(PIECE)).zip(sampled.chunks_mut(PIECE)).collect();
    pool::run(threads, sizes.samples() * SAMPLE_NANOSECONDS, |threads| {
        pool::for_each_chunk(threads, &mut work, 1, |number, piece| {
            let ((points, weights), sampled) = &mut piece[0];
            let mut place = 0;
            while place < points.len() {
                let (n, s) = ((number * PIECE + place) / sizes.s, (number * PIECE + place) % sizes.s);
                let here = place..points.len().min(place + sizes.s - s);
                place = here.end;
                let (points, weights, sampled) =
                    (&mut points[here.clone()], &mut weights[here.clone()], &mut sampled[here]);
                Samples { seed, n: n as u64, s: s as u64, points, weights, sampled }.draw(&meshes[n], verts, faces);
            }
        });
    });
    Ok(())
}

/// Samples of one mesh.
struct Samples<'a, T> {
    seed: i64,
    n: u64,
    /// The first of them.
    s: u64,
    points: &'a mut [Vec3<T>],
    weights: &'a mut [Vec3<T>],
    sampled: &'a mut [i64],
}

impl<T: Uniform> Samples<'_, T> {
    fn draw(self, mesh: &Mesh<'_>, verts: &[Vec3<T>], faces: &[[i64; 3]]) {
        let Self { seed, n, s, points, weights, sampled } = self;
        if mesh.total == 0 {
            points.fill([T::ZERO; 3]);
            weights.fill([T::ZERO; 3]);
            sampled.fill(-1);
            return;
        }
        let groups = points.chunks_mut(GROUP).zip(weights.chunks_mut(GROUP)).zip(sampled.chunks_mut(GROUP));
        for (first, ((points, weights), sampled)) in (s..).step_by(GROUP).zip(groups) {
            let mut words = [[0; 4]; GROUP];
            for (s, words) in (first..).zip(&mut words) {
                *words = random_words(seed, n, s, 0);
            }
            for (sampled, &[low, high, ..]) in sampled.iter_mut().zip(&words) {
                *sampled = mesh.face(u64::from(high) << 32 | u64::from(low)) as i64;
            }
            let mut corners = [[0; 3]; GROUP];
            for (corners, &face) in corners.iter_mut().zip(&*sampled) {
                *corners = faces[face as usize];
            }
            let outputs = points.iter_mut().zip(weights).zip(words.iter().zip(&corners));
            for (s, ((point, weight), (&[_, _, u, v], corners))) in (first..).zip(outputs) {
                let [more_u, more_v, ..] = if T::LONG { random_words(seed, n, s, 1) } else { [0; 4] };
                let [w0, w1, w2] = corner_weights(T::uniform(u, more_u), T::uniform(v, more_v));
                let [a, b, c] = corners.map(|corner| verts[corner as usize]);
                *point = std::array::from_fn(|axis| w0 * a[axis] + w1 * b[axis] + w2 * c[axis]);
                *weight = [w0, w1, w2];
            }
        }
    }
}

pub(super) fn backward<T: Uniform>(
    x: &GradInputs<'_>,
    sizes: Sizes,
    threads: usize,
    out: &mut Gradients<'_>,
) -> Result<()> {
    let (faces, sampled) = (x.faces.as_rows::<i64, 3>()?, x.sampled_faces.as_slice::<i64>()?);
    let (weights, grads) = (x.weights.as_rows::<T, 3>()?, x.grad_points.as_rows::<T, 3>()?);
    let of_verts = out.verts.as_mut_slice::<T>()?.as_chunks_mut::<3>().0;
    pool::run(threads, sizes.samples() * SAMPLE_NANOSECONDS, |threads| {
        // Each piece of the vertices looks at all samples: the same sums whatever the number of pieces.
        let piece = sizes.v.div_ceil(threads).max(1);
        pool::for_each_chunk(threads, of_verts, piece, |number, sums| {
            sums.fill([T::ZERO; 3]);
            for ((&face, weights), grad) in sampled.iter().zip(weights).zip(grads) {
                let Some(face) = faces.get(face as usize) else { continue };
                for (&corner, &weight) in face.iter().zip(weights) {
                    if let Some(sum) = sums.get_mut((corner as usize).wrapping_sub(number * piece)) {
                        *sum = std::array::from_fn(|axis| sum[axis] + weight * grad[axis]);
                    }
                }
            }
        });
    });
    Ok(())
}
