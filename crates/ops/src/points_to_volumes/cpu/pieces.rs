// SPDX-License-Identifier: Apache-2.0
//! The points of a cloud, cut into pieces and sorted by rows of cells. Pieces follow each other in the order of points, so
//! that going through the pieces row by row gives one order, however many pieces there are.

use std::ops::Range;

use patina3d_core::geometry::Scalar;
use patina3d_core::simd::{self, Body, Simd, Vectorised};
use patina3d_core::{Result, pool};

use super::super::place::{Lattice, Place};
use super::super::{Cloud, Sizes};

/// Points that are worth a piece of their own.
const FEWEST: usize = 4096;

/// The points of all clouds.
pub(super) struct Points<'a, T> {
    coordinates: &'a [[T; 3]],
    /// Side by side for each point.
    pub(super) features: &'a [T],
    mask: Option<&'a [u8]>,
    pub(super) weight: T,
    pub(super) lattices: Vec<Lattice>,
    pub(super) sizes: Sizes,
}

impl<'a, T: Scalar + Vectorised> Points<'a, T> {
    pub(super) fn new(cloud: &Cloud<'a>, sizes: Sizes) -> Result<Self> {
        Ok(Self {
            coordinates: cloud.points.as_rows()?,
            features: cloud.features.as_slice::<T>()?,
            mask: cloud.mask.as_ref().map(patina3d_core::Tensor::as_bytes).transpose()?,
            weight: T::of(cloud.point_weight),
            lattices: Lattice::of_all(cloud, sizes)?,
            sizes,
        })
    }

    /// Points in a piece, for this many threads. Of each volume there are equally many pieces.
    pub(super) fn piece_size(&self, threads: usize) -> usize {
        let Sizes { b, p, .. } = self.sizes;
        p.div_ceil(threads.div_ceil(b.max(1)).max(1)).max(FEWEST)
    }

    /// All points in order of volumes, then of points.
    pub(super) fn pieces(&self, threads: usize) -> Vec<Piece<T>> {
        let Sizes { b, p, .. } = self.sizes;
        let size = self.piece_size(threads);
        let of_volume = p.div_ceil(size);
        let mut pieces: Vec<_> = (0..b * of_volume).map(|_| Piece::default()).collect();
        pool::for_each_chunk(threads, &mut pieces, 1, |number, piece| {
            let (volume, first) = (number / of_volume, number % of_volume * size);
            piece[0] = self.piece(volume, first..p.min(first + size));
        });
        pieces
    }

    /// Some points of a volume.
    pub(super) fn piece(&self, volume: usize, points: Range<usize>) -> Piece<T> {
        let first = volume * self.sizes.p;
        simd::dispatch(Sort { points: self, volume, range: first + points.start..first + points.end })
    }
}

/// A point that votes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Voter<T> {
    /// Its cell along x.
    pub(super) x: usize,
    /// What the voxel to the right has, along x, y, z.
    pub(super) share: [T; 3],
    /// Its number, counted through all volumes.
    pub(super) point: usize,
}

/// Those of a few points of one volume that vote, by rows of cells.
#[derive(Debug, Default)]
pub(super) struct Piece<T> {
    voters: Vec<Voter<T>>,
    /// Where the voters of each row begin, and where the last one's end.
    firsts: Vec<usize>,
    /// Rows of cells for one z.
    rows: usize,
}

impl<T> Piece<T> {
    /// The voters of the cells with this z and y.
    #[inline(always)]
    pub(super) fn row(&self, z: usize, y: usize) -> &[Voter<T>] {
        let row = z * self.rows + y;
        &self.voters[self.firsts[row]..self.firsts[row + 1]]
    }

    /// Each row with voters, its z, y and them.
    pub(super) fn all(&self) -> impl Iterator<Item = ([usize; 2], &[Voter<T>])> {
        (0..self.firsts.len().saturating_sub(1))
            .map(|row| [row / self.rows, row % self.rows])
            .map(|[z, y]| ([z, y], self.row(z, y)))
            .filter(|(_, voters)| !voters.is_empty())
    }
}

struct Sort<'a, T> {
    points: &'a Points<'a, T>,
    volume: usize,
    range: Range<usize>,
}

impl<T: Scalar> Body<T> for Sort<'_, T> {
    type Output = Piece<T>;

    /// Counting sort: stable, as sums need it.
    #[inline(always)]
    fn run<S: Simd<Real = T>>(self, _: S) -> Piece<T> {
        let Self { points, volume, range } = self;
        let lattice = points.lattices[volume];
        let [_, h, depth] = points.sizes.voxels;
        let rows = h + 1;
        // Row r is counted at r + 2, begins at r + 1 while voters are placed, and then at r.
        let mut firsts = vec![0; (depth + 1) * rows + 2];
        let mut placed = Vec::with_capacity(range.len());
        for point in range {
            if points.mask.is_some_and(|mask| mask[point] == 0) {
                continue;
            }
            if let Some(Place { cell: [x, y, z], share }) = lattice.place(points.coordinates[point]) {
                let row = z * rows + y;
                firsts[row + 2] += 1;
                placed.push((row, Voter { x, share, point }));
            }
        }
        for row in 1..firsts.len() {
            firsts[row] += firsts[row - 1];
        }
        let mut voters = vec![Voter::default(); placed.len()];
        for (row, voter) in placed {
            voters[firsts[row + 1]] = voter;
            firsts[row + 1] += 1;
        }
        firsts.pop();
        Piece { voters, firsts, rows }
    }
}
