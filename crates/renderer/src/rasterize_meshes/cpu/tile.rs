// SPDX-License-Identifier: Apache-2.0
//! The hits of one tile: found face by face, ranked pixel by pixel.

use std::cmp::Ordering;

use patina3d_core::simd::{Body, Simd};

use super::bins::Bins;
use super::face::Face;
use super::lanes::Lanes;
use super::{Number, Rule};

/// Columns of a block of pixels that one vector holds; every vector width is a multiple.
const BLOCK_COLUMNS: usize = 4;
/// The most lanes of a vector.
const MOST_LANES: usize = 16;
/// Hits that a tile gathers before it forgets those beyond K, at least.
const HITS: usize = 16 * 1024;

/// A face at a pixel of the tile.
#[derive(Clone, Copy)]
pub(super) struct Hit<T> {
    pub(super) z: T,
    pub(super) dist: T,
    pub(super) bary: [T; 3],
    pub(super) face: u32,
    pixel: u32,
}

/// The hits of a tile in the order of faces, pruned now and then to the K first of each pixel.
pub(super) struct Hits<T> {
    k: usize,
    found: Vec<Hit<T>>,
    /// For each pixel that already has K hits, the greatest z among them: faces to come must stay below. Empty before
    /// the first pruning.
    bound: Vec<T>,
    /// Where the hits of each pixel begin in `order`, and the end.
    first: Vec<usize>,
    /// z and place of each hit, by pixel, then z, then face.
    order: Vec<(T, usize)>,
}

impl<T: Number> Hits<T> {
    pub(super) fn new(k: usize) -> Self {
        Self { k, found: Vec::new(), bound: Vec::new(), first: Vec::new(), order: Vec::new() }
    }

    pub(super) fn clear(&mut self) {
        self.found.clear();
        self.bound.clear();
    }

    /// Brings the hits into order.
    pub(super) fn rank(&mut self, pixels: usize) -> Ranked<'_, T> {
        self.first.clear();
        self.first.resize(pixels + 1, 0);
        for hit in &self.found {
            self.first[hit.pixel as usize] += 1;
        }
        let mut end = 0;
        for first in &mut self.first {
            end += *first;
            *first = end;
        }
        self.order.clear();
        self.order.resize(self.found.len(), (T::default(), 0));
        // From the back, so that each pixel's hits stay in the order of faces and `first` ends up at their beginnings.
        for (place, hit) in self.found.iter().enumerate().rev() {
            let first = &mut self.first[hit.pixel as usize];
            *first -= 1;
            self.order[*first] = (hit.z, place);
        }
        for pixel in 0..pixels {
            let group = &mut self.order[self.first[pixel]..self.first[pixel + 1]];
            if group.len() > 1 {
                // Stable: equal depths keep the order of faces.
                group.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal));
            }
        }
        Ranked { hits: &self.found, first: &self.first, order: &self.order }
    }

    /// Forgets the hits that cannot be among the K first of their pixel, if there are many.
    fn prune(&mut self, pixels: usize) {
        let many = pixels.saturating_mul(self.k).saturating_mul(2).max(HITS);
        if self.found.len() < many {
            return;
        }
        let k = self.k;
        let ranked = self.rank(pixels);
        let mut kept = Vec::with_capacity(many);
        let mut bound = vec![T::of(f64::INFINITY); pixels];
        for pixel in 0..pixels {
            let before = kept.len();
            kept.extend(ranked.of(pixel).take(k).copied());
            if kept.len() - before == k {
                bound[pixel] = kept[kept.len() - 1].z;
            }
        }
        self.found = kept;
        self.bound = bound;
    }
}

/// Hits in order.
pub(super) struct Ranked<'a, T> {
    hits: &'a [Hit<T>],
    first: &'a [usize],
    order: &'a [(T, usize)],
}

impl<'a, T: Number> Ranked<'a, T> {
    /// The hits of a pixel by (z, face).
    #[inline(always)]
    pub(super) fn of(&self, pixel: usize) -> impl Iterator<Item = &'a Hit<T>> {
        let hits = self.hits;
        self.order[self.first[pixel]..self.first[pixel + 1]].iter().map(move |&(_, place)| &hits[place])
    }
}

/// Gathers the hits of a tile.
pub(super) struct Draw<'a, T> {
    /// (F, 3, 3)
    pub(super) faces: &'a [T],
    pub(super) neighbors: Option<&'a [i64]>,
    pub(super) rule: &'a Rule<T>,
    /// The faces of the mesh, in order.
    pub(super) bins: &'a [Bins],
    /// The number of the tile.
    pub(super) tile: usize,
    /// The centres of its pixels.
    pub(super) columns: &'a [T],
    pub(super) rows: &'a [T],
    pub(super) hits: &'a mut Hits<T>,
}

impl<T: Number> Body<T> for Draw<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Real = T>>(self, simd: S) {
        if self.bins.iter().all(|bins| bins.of(self.tile).is_empty()) {
            return;
        }
        let pixels = self.columns.len() * self.rows.len();
        let blocks = Blocks::new(S::LANES, self.columns, self.rows);
        for &index in self.bins.iter().flat_map(|bins| bins.of(self.tile)) {
            let make = |index: usize| Face::new(&self.faces[index * 9..index * 9 + 9], self.rule);
            let Some(face) = make(index as usize) else { continue };
            let rival = self.rival(index as usize).and_then(|rival| Some((make(rival)?, rival < index as usize)));
            draw(simd, self.rule, &blocks, (&face, index), rival.as_ref(), self.hits);
            self.hits.prune(pixels);
        }
    }
}

impl<T: Number> Draw<'_, T> {
    /// The other half of a clipped quad.
    #[inline(always)]
    fn rival(&self, face: usize) -> Option<usize> {
        let rival = usize::try_from(*self.neighbors?.get(face)?).ok()?;
        (rival != face && rival < self.faces.len() / 9).then_some(rival)
    }
}

/// The tile's pixel centres spread out for loading: the lanes of a block are `BLOCK_COLUMNS` columns of some rows.
struct Blocks<'a, T> {
    columns: &'a [T],
    rows: &'a [T],
    lanes: usize,
    /// For each first column, x of every lane of a block.
    x: Vec<T>,
    /// For each first row, y of every lane.
    y: Vec<T>,
}

impl<'a, T: Number> Blocks<'a, T> {
    #[inline(always)]
    fn new(lanes: usize, columns: &'a [T], rows: &'a [T]) -> Self {
        let mut x = Vec::with_capacity(columns.len() * lanes);
        for first in 0..columns.len() {
            for lane in 0..lanes {
                x.push(columns[(first + lane % BLOCK_COLUMNS).min(columns.len() - 1)]);
            }
        }
        let mut y = Vec::with_capacity(rows.len() * lanes);
        for first in 0..rows.len() {
            for lane in 0..lanes {
                y.push(rows[(first + lane / BLOCK_COLUMNS).min(rows.len() - 1)]);
            }
        }
        Self { columns, rows, lanes, x, y }
    }

    /// The lanes within a block of this many columns and rows.
    #[inline(always)]
    fn within(columns: usize, rows: usize) -> u32 {
        let row = (1_u32 << columns.min(BLOCK_COLUMNS)) - 1;
        // One bit at the beginning of each row.
        let starts = 0x1111 & ((1_u32 << (BLOCK_COLUMNS * rows.min(MOST_LANES / BLOCK_COLUMNS))) - 1);
        row * starts
    }
}

#[inline(always)]
fn draw<T: Number, S: Simd<Real = T>>(
    simd: S,
    rule: &Rule<T>,
    blocks: &Blocks<'_, T>,
    (face, index): (&Face<T>, u32),
    rival: Option<&(Face<T>, bool)>,
    hits: &mut Hits<T>,
) {
    let lanes = blocks.lanes;
    let all = (1 << lanes) - 1;
    let width = blocks.columns.len();
    let everywhere = Lanes::splat(simd, T::of(f64::INFINITY));
    let [columns, rows] = face.covered(blocks.columns, blocks.rows);
    for row in rows.clone().step_by(lanes / BLOCK_COLUMNS) {
        for column in columns.clone().step_by(BLOCK_COLUMNS) {
            let p = [
                Lanes::load(simd, &blocks.x[column * lanes..(column + 1) * lanes]),
                Lanes::load(simd, &blocks.y[row * lanes..(row + 1) * lanes]),
            ];
            let valid = Blocks::<T>::within(columns.end - column, rows.end - row) & all;
            let place = |lane: usize| (row + lane / BLOCK_COLUMNS) * width + column + lane % BLOCK_COLUMNS;
            let z_below = if hits.bound.is_empty() {
                everywhere
            } else {
                let mut bound = [T::default(); MOST_LANES];
                for lane in 0..lanes {
                    bound[lane] = hits.bound.get(place(lane)).copied().unwrap_or_default();
                }
                Lanes::load(simd, &bound)
            };
            let Some(samples) = face.sample(simd, rule, p, valid, z_below) else { continue };
            let mut hit = samples.hit;
            if let Some((rival, is_lower)) = rival {
                let candidates = hit & rival.boxed(simd, p);
                if let Some(other) = rival.sample(simd, rule, p, candidates, everywhere) {
                    hit &= !samples.beaten_by(&other, *is_lower);
                }
            }
            let mut values = [[T::default(); MOST_LANES]; 5];
            let [z, dist2, bary0, bary1, bary2] = &mut values;
            samples.z.store(z);
            samples.dist2.store(dist2);
            samples.bary[0].store(bary0);
            samples.bary[1].store(bary1);
            samples.bary[2].store(bary2);
            while hit != 0 {
                let lane = hit.trailing_zeros() as usize % MOST_LANES;
                hit &= hit - 1;
                let inside = samples.inside >> lane & 1 == 1;
                hits.found.push(Hit {
                    z: z[lane],
                    dist: if inside { -dist2[lane] } else { dist2[lane] },
                    bary: [bary0[lane], bary1[lane], bary2[lane]],
                    face: index,
                    pixel: place(lane) as u32,
                });
            }
        }
    }
}
