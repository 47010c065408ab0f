// SPDX-License-Identifier: Apache-2.0
//! Every pair of two clouds, looked at once: a distance is that of x to y and that of y to x.
//!
//! Points of one cloud are rows, those of the other columns, in groups of [`GROUP`]. While [`ROWS`] rows walk over a
//! group, its columns keep the least distance in registers, and each row keeps it lane by lane. Neither keeps which point
//! it was: a row only in which group, a column only from which chunk of rows. The point is looked up at the end, among
//! those few, by its distance, which has the same bits every time it is computed.

use patina3d_core::pool;
use patina3d_core::simd::{self, Body, Simd};
use patina3d_core::tree::{Query, accumulate};

use crate::knn::Norm;
use crate::knn::cpu::brute_force::{MOST_GROUPS, TOGETHER, Tiles};
use crate::knn::cpu::{Block, GROUP, Metric, Number, Rows, Way, cloud_of, distance};

/// Rows that walk over the columns together.
const ROWS: usize = 16;
/// No vector has more lanes.
const MOST_LANES: usize = 16;
/// Columns that are looked up together.
const COLUMNS: usize = 256;
/// In clouds of more points the numbers of chunks are not exact in float32.
pub(super) const MOST_POINTS: usize = MOST_GROUPS * ROWS;

/// Consecutive rows of one cloud.
struct Part<'a, T> {
    cloud: usize,
    first: usize,
    rows: Rows<'a, T>,
    nearest: Columns<T>,
}

/// For each column the least distance to the rows of a part, and the first chunk of rows that had it.
#[derive(Default)]
struct Columns<T> {
    distances: Vec<T>,
    chunks: Vec<T>,
}

/// Fills the rows of the queries and those of the points; to be called in the pool.
pub(super) fn search<T: Number>(
    threads: usize,
    metric: Metric,
    way: Way<'_, T>,
    of_queries: Rows<'_, T>,
    of_points: Rows<'_, T>,
) {
    let (clouds, d) = (way.lengths1.len(), metric.d);
    if clouds == 0 {
        return;
    }
    let (num_rows, num_columns) = (of_queries.dists.len() / clouds, of_points.dists.len() / clouds);
    // Where there are fewer clouds than threads, a cloud is cut: what its columns find is the same.
    let parts = if threads <= 1 { 1 } else { (4 * threads).div_ceil(clouds) };
    let part = num_rows.div_ceil(parts).next_multiple_of(ROWS).max(ROWS);
    let mut work: Vec<Part<'_, T>> = Vec::with_capacity(clouds * parts);
    for (cloud, rows) in of_queries.chunks(num_rows).enumerate() {
        work.extend(rows.chunks(part).enumerate().map(|(i, rows)| {
            let nearest = Columns { distances: Vec::new(), chunks: Vec::new() };
            Part { cloud, first: i * part, rows, nearest }
        }));
    }
    let mut tiles: Vec<Option<Tiles<T>>> = (0..clouds).map(|_| None).collect();
    pool::for_each_chunk(threads, &mut tiles, 1, |cloud, tiles| {
        tiles[0] = Some(Tiles::new(cloud_of(way.points, way.lengths2, cloud, d), d));
    });
    pool::for_each_chunk(threads, &mut work, 1, |_, part| {
        let part = &mut part[0];
        let queries = cloud_of(way.queries, way.lengths1, part.cloud, d);
        let active = (queries.len() / d).saturating_sub(part.first).min(part.rows.dists.len());
        let rows = part.rows.pad(active, 0);
        if let (Some(tiles), true) = (&tiles[part.cloud], active > 0) {
            let size = tiles.values.len() / d;
            part.nearest = Columns { distances: vec![T::INFINITY; size], chunks: vec![T::NONE; size] };
            let queries = &queries[part.first * d..(part.first + active) * d];
            let points = cloud_of(way.points, way.lengths2, part.cloud, d);
            let block = Block { queries, points, d, k: 1, norm: metric.norm, within: None, rows };
            let first = part.first / ROWS;
            simd::dispatch(Walk { block, first, columns: &tiles.values, nearest: &mut part.nearest });
        }
    });
    let mut columns: Vec<(usize, usize, Rows<'_, T>)> = Vec::new();
    for (cloud, rows) in of_points.chunks(num_columns).enumerate() {
        columns.extend(rows.chunks(COLUMNS).enumerate().map(|(i, rows)| (cloud, i * COLUMNS, rows)));
    }
    let parts = num_rows.div_ceil(part);
    pool::for_each_chunk(threads, &mut columns, 1, |_, block| {
        let (cloud, first, rows) = &mut block[0];
        let points = cloud_of(way.points, way.lengths2, *cloud, d);
        let active = (points.len() / d).saturating_sub(*first).min(rows.dists.len());
        let rows = rows.pad(active, 0);
        if active > 0 {
            let queries = &points[*first * d..(*first + active) * d];
            let points = cloud_of(way.queries, way.lengths1, *cloud, d);
            let block = Block { queries, points, d, k: 1, norm: metric.norm, within: None, rows };
            simd::dispatch(LookUp { block, first: *first, parts: &work[*cloud * parts..][..parts] });
        }
    });
}

/// Rows over all columns.
struct Walk<'a, T> {
    block: Block<'a, T>,
    /// The number of the first chunk.
    first: usize,
    /// As [`Tiles`] has them.
    columns: &'a [T],
    nearest: &'a mut Columns<T>,
}

impl<T: Number> Body<T> for Walk<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Real = T>>(self, simd: S) {
        match (self.block.norm, self.block.d) {
            (Norm::SquaredL2, 3) => self.walk::<S, 3, false>(simd),
            (Norm::SquaredL2, _) => self.walk::<S, 0, false>(simd),
            (Norm::L1, _) => self.walk::<S, 0, true>(simd),
        }
    }
}

impl<T: Number> Walk<'_, T> {
    /// `D` is the dimension, or 0 where it is only known at run time.
    #[inline(always)]
    fn walk<S: Simd<Real = T>, const D: usize, const L1: bool>(self, simd: S) {
        let Self { mut block, first, columns, nearest } = self;
        let d = if D == 0 { block.d } else { D };
        let queries = block.queries;
        for (chunk, rows) in queries.chunks(ROWS * d).enumerate() {
            let number = simd.splat(T::number(first + chunk));
            let mut lanes =
                Lanes { distances: [[T::INFINITY; MOST_LANES]; ROWS], groups: [[T::NONE; MOST_LANES]; ROWS] };
            for (group, points) in columns.chunks_exact(GROUP * d).enumerate() {
                for start in (0..GROUP).step_by(TOGETHER * S::LANES) {
                    let at = group * GROUP + start;
                    let kept = &mut nearest.distances[at..][..TOGETHER * S::LANES];
                    let least = lanes.walk::<S, D, L1>(simd, rows, &points[start..], d, group, kept);
                    for vector in 0..TOGETHER {
                        let from = vector * S::LANES;
                        let (before, chunks) = (simd.load(&kept[from..]), &mut nearest.chunks[at + from..]);
                        let chunk = simd.select_less(least[vector], before, number, simd.load(chunks));
                        simd.store(chunk, chunks);
                        simd.store(least[vector], &mut kept[from..]);
                    }
                }
            }
            for row in 0..rows.len() / d {
                let best = lanes.nearest(simd, row, &rows[row * d..][..d], &block);
                block.write(chunk * ROWS + row, best.as_slice());
            }
        }
    }
}

/// For each row and lane the least distance, and the first group that had it in this lane.
struct Lanes<T> {
    distances: [[T; MOST_LANES]; ROWS],
    groups: [[T; MOST_LANES]; ROWS],
}

impl<T: Number> Lanes<T> {
    /// Takes the rows over `TOGETHER` vectors of a group; returns the least distances of these columns to the rows and
    /// what was kept so far.
    #[inline(always)]
    fn walk<S: Simd<Real = T>, const D: usize, const L1: bool>(
        &mut self,
        simd: S,
        rows: &[T],
        points: &[T],
        d: usize,
        group: usize,
        kept: &[T],
    ) -> [S::Vector; TOGETHER] {
        let number = simd.splat(T::number(group));
        let mut least = [number; TOGETHER];
        for vector in 0..TOGETHER {
            least[vector] = simd.load(&kept[vector * S::LANES..]);
        }
        for ((row, distances), groups) in rows.chunks_exact(d).zip(&mut self.distances).zip(&mut self.groups) {
            let query = Query::<S, D>::new(simd, row);
            let mut sums = [simd.splat(T::ZERO); TOGETHER];
            for axis in 0..d {
                let query = query.spread(simd, axis);
                for vector in 0..TOGETHER {
                    let difference = simd.sub(query, simd.load(&points[axis * GROUP + vector * S::LANES..]));
                    sums[vector] = accumulate::<S, L1>(simd, difference, sums[vector]);
                }
            }
            let before = simd.load(distances);
            let mut now = before;
            for vector in 0..TOGETHER {
                now = simd.min(sums[vector], now);
                least[vector] = simd.min(sums[vector], least[vector]);
            }
            simd.store(simd.select_less(now, before, number, simd.load(groups)), groups);
            simd.store(now, distances);
        }
        least
    }

    /// The key of the column nearest to a row, if one is below infinity.
    #[inline(always)]
    fn nearest<S: Simd<Real = T>>(&self, simd: S, row: usize, query: &[T], block: &Block<'_, T>) -> Option<T::Key> {
        let lanes = simd.load(&self.distances[row]);
        let least = simd.least(lanes);
        let mut index = u32::MAX;
        // The lanes that have it.
        let mut bits = !simd.less(simd.splat(least), lanes) & (u32::MAX >> (32 - S::LANES));
        while bits != 0 && least < T::INFINITY {
            let lane = bits.trailing_zeros() as usize % MOST_LANES;
            bits &= bits - 1;
            let group = self.groups[row][lane].index_of() as usize * GROUP;
            for column in (group + lane..group + GROUP).step_by(S::LANES) {
                let found = column as u32;
                if found < index
                    && let Some(point) = block.points.get(column * query.len()..(column + 1) * query.len())
                    && distance(block.norm, query, point) == least
                {
                    index = found;
                }
            }
        }
        (least < T::INFINITY).then(|| T::key(least, index))
    }
}

/// Columns, and the parts whose rows walked over them.
struct LookUp<'a, T> {
    block: Block<'a, T>,
    /// The number of the first column.
    first: usize,
    parts: &'a [Part<'a, T>],
}

impl<T: Number> Body<T> for LookUp<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Real = T>>(self, _: S) {
        match (self.block.norm, self.block.d) {
            (Norm::SquaredL2, 3) => self.look_up::<3>(Norm::SquaredL2),
            (norm, _) => self.look_up::<0>(norm),
        }
    }
}

impl<T: Number> LookUp<'_, T> {
    #[inline(always)]
    fn look_up<const D: usize>(self, norm: Norm) {
        let Self { mut block, first, parts } = self;
        let d = if D == 0 { block.d } else { D };
        let rows = block.points;
        for column in 0..block.rows.dists.len() {
            let (mut least, mut chunk) = (T::INFINITY, T::NONE);
            for part in parts.iter().filter(|part| !part.nearest.distances.is_empty()) {
                let Columns { distances, chunks } = &part.nearest;
                // Strictly: of equal ones the first.
                if distances[first + column] < least {
                    (least, chunk) = (distances[first + column], chunks[first + column]);
                }
            }
            let mut best = None;
            if least < T::INFINITY {
                let point = &block.queries[column * d..][..d];
                let start = chunk.index_of() as usize * ROWS;
                for (i, row) in rows[start * d..].chunks_exact(d).take(ROWS).enumerate() {
                    if distance(norm, point, row) == least {
                        best = Some(T::key(least, (start + i) as u32));
                        break;
                    }
                }
            }
            block.write(column, best.as_slice());
        }
    }
}
