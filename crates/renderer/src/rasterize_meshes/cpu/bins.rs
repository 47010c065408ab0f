// SPDX-License-Identifier: Apache-2.0
//! Which faces may touch which tile: counted, scanned, filled, so that nothing has a capacity.

use std::ops::Range;

use super::face::{bounds, covered};
use super::{BAND_ROWS, Centres, Number, Rule, TILE_COLUMNS};

/// The tiles of an image.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    pub(super) bands: usize,
    pub(super) columns: usize,
}

impl Grid {
    pub(super) fn tile(self, band: usize, column: usize) -> usize {
        band * self.columns + column
    }
}

/// Consecutive faces of one mesh by the tiles that their boxes meet; each face is once in each such tile, in order.
pub(super) struct Bins {
    /// Where the faces of each tile begin, and the end.
    first: Vec<usize>,
    faces: Vec<u32>,
}

impl Bins {
    pub(super) fn new<T: Number>(
        faces: &[T],
        range: Range<usize>,
        rule: &Rule<T>,
        centres: &Centres<T>,
        grid: Grid,
    ) -> Self {
        let boxes: Vec<[u32; 4]> = (faces[range.start * 9..range.end * 9].chunks_exact(9))
            .map(|face| {
                let Some([low, high]) = bounds(face, rule) else { return [0; 4] };
                let columns = covered(&centres.columns, low[0], high[0]);
                let rows = covered(&centres.rows, low[1], high[1]);
                if columns.is_empty() || rows.is_empty() {
                    return [0; 4];
                }
                let tiles = |pixels: Range<usize>, size: usize| [pixels.start / size, pixels.end.div_ceil(size)];
                let ([x0, x1], [y0, y1]) = (tiles(columns, TILE_COLUMNS), tiles(rows, BAND_ROWS));
                [x0 as u32, x1 as u32, y0 as u32, y1 as u32]
            })
            .collect();
        let mut first = vec![0; grid.bands * grid.columns + 1];
        for_each_tile(&boxes, grid, |_, tile| first[tile + 1] += 1);
        for tile in 1..first.len() {
            first[tile] += first[tile - 1];
        }
        let mut next = first.clone();
        let mut binned = vec![0; first.last().copied().unwrap_or(0)];
        for_each_tile(&boxes, grid, |index, tile| {
            binned[next[tile]] = (range.start + index) as u32;
            next[tile] += 1;
        });
        Self { first, faces: binned }
    }

    /// The faces of a tile, ascending.
    pub(super) fn of(&self, tile: usize) -> &[u32] {
        &self.faces[self.first[tile]..self.first[tile + 1]]
    }
}

fn for_each_tile(boxes: &[[u32; 4]], grid: Grid, mut visit: impl FnMut(usize, usize)) {
    for (index, &[x0, x1, y0, y1]) in boxes.iter().enumerate() {
        for band in y0..y1 {
            for column in x0..x1 {
                visit(index, grid.tile(band as usize, column as usize));
            }
        }
    }
}
