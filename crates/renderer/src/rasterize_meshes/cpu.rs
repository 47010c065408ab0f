// SPDX-License-Identifier: Apache-2.0
//! The image is cut into bands of rows, the unit of parallel work, and bands into tiles. Faces are binned to the tiles
//! that their boxes meet (`bins`); a tile evaluates each of its faces on blocks of pixels (`face`, `lanes`), gathers the
//! hits and ranks them (`tile`). The backward pass goes over the same bands (`backward`).

mod backward;
mod bins;
mod face;
mod lanes;
mod tile;

#[cfg(test)]
mod tests;

use std::ops::Range;

use patina3d_core::geometry::{Scalar, pixel_center};
use patina3d_core::simd::{self, Vectorised};
use patina3d_core::{Result, Tensor, pool};

use super::{Inputs, Outputs, Settings, Sizes};
use bins::{Bins, Grid};
use tile::{Draw, Hits};

pub(super) use backward::backward;

/// Rows of a band.
const BAND_ROWS: usize = 8;
/// Columns of a tile.
const TILE_COLUMNS: usize = 256;
/// Faces that are binned together at least.
const FACES_PER_BINS: usize = 4096;

/// float32 or float64.
pub(super) trait Number: Scalar + Vectorised {}
impl Number for f32 {}
impl Number for f64 {}

/// The settings in the dtype of the faces.
#[derive(Clone, Copy)]
struct Rule<T> {
    /// The squared distance.
    blur: T,
    /// Its root.
    reach: T,
    perspective_correct: bool,
    clip_barycentric_coords: bool,
    cull_backfaces: bool,
}

impl<T: Number> Rule<T> {
    fn new(settings: &Settings) -> Self {
        let blur = T::of(settings.blur_radius);
        Self {
            blur,
            reach: blur.sqrt(),
            perspective_correct: settings.perspective_correct,
            clip_barycentric_coords: settings.clip_barycentric_coords,
            cull_backfaces: settings.cull_backfaces,
        }
    }
}

/// The centres of the pixels: x of each column, y of each row, both descending.
struct Centres<T> {
    columns: Vec<T>,
    rows: Vec<T>,
}

impl<T: Number> Centres<T> {
    fn new(h: usize, w: usize) -> Self {
        Self {
            columns: (0..w).map(|x| pixel_center(x, w, h)).collect(),
            rows: (0..h).map(|y| pixel_center(y, h, w)).collect(),
        }
    }
}

/// The packed faces of each mesh.
fn face_ranges(x: &Inputs<'_>, sizes: Sizes) -> Result<Vec<Range<usize>>> {
    let (first, count) = (x.mesh_to_face_first_idx.as_slice::<i64>()?, x.num_faces_per_mesh.as_slice::<i64>()?);
    let clamp = |number: i64| number.clamp(0, sizes.f as i64) as usize;
    Ok(first
        .iter()
        .zip(count)
        .map(|(&first, &count)| clamp(first)..clamp(first.saturating_add(count.max(0))))
        .collect())
}

/// Rows of one image in the four outputs.
struct Band<'a, T> {
    image: usize,
    first_row: usize,
    pix_to_face: &'a mut [i64],
    zbuf: &'a mut [T],
    bary_coords: &'a mut [T],
    dists: &'a mut [T],
}

pub(super) fn forward<T: Number>(x: &Inputs<'_>, sizes: Sizes, threads: usize, out: &mut Outputs<'_>) -> Result<()> {
    let Sizes { n, h, w, k, .. } = sizes;
    if sizes.num_slots() == 0 {
        return Ok(());
    }
    let faces = x.face_verts.as_slice::<T>()?;
    let neighbors = x.clipped_faces_neighbor_idx.as_ref().map(Tensor::as_slice::<i64>).transpose()?;
    let meshes = face_ranges(x, sizes)?;
    let rule = Rule::new(&x.settings);
    let centres = Centres::new(h, w);
    let grid = Grid { bands: h.div_ceil(BAND_ROWS), columns: w.div_ceil(TILE_COLUMNS) };

    let slots = BAND_ROWS * w * k;
    let mut bands = Vec::with_capacity(n * grid.bands);
    let images = (out.pix_to_face.as_mut_slice::<i64>()?.chunks_mut(h * w * k))
        .zip(out.zbuf.as_mut_slice::<T>()?.chunks_mut(h * w * k))
        .zip(out.bary_coords.as_mut_slice::<T>()?.chunks_mut(h * w * k * 3))
        .zip(out.dists.as_mut_slice::<T>()?.chunks_mut(h * w * k));
    for (image, (((pix_to_face, zbuf), bary_coords), dists)) in images.enumerate() {
        let rows = (pix_to_face.chunks_mut(slots).zip(zbuf.chunks_mut(slots)))
            .zip(bary_coords.chunks_mut(slots * 3).zip(dists.chunks_mut(slots)));
        for (band, ((pix_to_face, zbuf), (bary_coords, dists))) in rows.enumerate() {
            bands.push(Band { image, first_row: band * BAND_ROWS, pix_to_face, zbuf, bary_coords, dists });
        }
    }

    let total: usize = meshes.iter().map(ExactSizeIterator::len).sum();
    let cost = 400 * total + 2 * sizes.num_slots();
    pool::run(threads, cost, |threads| {
        let mut jobs: Vec<(usize, Range<usize>, Option<Bins>)> = Vec::new();
        for (mesh, range) in meshes.iter().enumerate() {
            let size = range.len().div_ceil(4 * threads).max(FACES_PER_BINS);
            jobs.extend(range.clone().step_by(size).map(|first| (mesh, first..(first + size).min(range.end), None)));
        }
        pool::for_each_chunk(threads, &mut jobs, 1, |_, job| {
            job[0].2 = Some(Bins::new(faces, job[0].1.clone(), &rule, &centres, grid));
        });
        let mut bins: Vec<Vec<Bins>> = (0..n).map(|_| Vec::new()).collect();
        for (mesh, _, made) in jobs {
            bins[mesh].extend(made);
        }
        pool::for_each_chunk(threads, &mut bands, 1, |_, band| {
            let band = &mut band[0];
            let rows = &centres.rows[band.first_row..h.min(band.first_row + BAND_ROWS)];
            let mut hits = Hits::new(k);
            for (column, columns) in centres.columns.chunks(TILE_COLUMNS).enumerate() {
                simd::dispatch(Draw {
                    faces,
                    neighbors,
                    rule: &rule,
                    bins: &bins[band.image],
                    tile: grid.tile(band.first_row / BAND_ROWS, column),
                    columns,
                    rows,
                    hits: &mut hits,
                });
                write(&mut hits, band, k, columns.len(), column * TILE_COLUMNS, rows.len(), w);
                hits.clear();
            }
        });
    });
    Ok(())
}

/// Writes all slots of a tile of `columns` x `rows` pixels whose first column is `first_column`.
fn write<T: Number>(
    hits: &mut Hits<T>,
    band: &mut Band<'_, T>,
    k: usize,
    columns: usize,
    first_column: usize,
    rows: usize,
    w: usize,
) {
    let none = T::of(-1.0);
    let ranked = hits.rank(columns * rows);
    for row in 0..rows {
        for column in 0..columns {
            let first = (row * w + first_column + column) * k;
            let pix_to_face = &mut band.pix_to_face[first..first + k];
            let zbuf = &mut band.zbuf[first..first + k];
            let bary_coords = &mut band.bary_coords[first * 3..(first + k) * 3];
            let dists = &mut band.dists[first..first + k];
            let mut used = 0;
            for hit in ranked.of(row * columns + column).take(k) {
                pix_to_face[used] = i64::from(hit.face);
                // Adding zero turns the negative zero into the positive one.
                zbuf[used] = hit.z + T::of(0.0);
                bary_coords[used * 3..used * 3 + 3].copy_from_slice(&hit.bary);
                dists[used] = hit.dist;
                used += 1;
            }
            pix_to_face[used..].fill(-1);
            zbuf[used..].fill(none);
            bary_coords[used * 3..].fill(none);
            dists[used..].fill(none);
        }
    }
}
