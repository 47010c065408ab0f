// SPDX-License-Identifier: Apache-2.0
//! The inverse of a map from pairs to targets on a GPU: for gradients that add up, in a fixed order, what many threads
//! bring to one place. `inverse.cuh` says how it is made.

use crate::device::Gpu;
use crate::error::Result;
use crate::launch::{Grid, Module, Params};
use crate::tensor::DevicePtr;

const THREADS: u32 = 256;
/// Targets of a block of the scan.
const TILE: usize = 8 * THREADS as usize;

crate::shared_struct! {
    /// `inverse.cuh` says what each field is.
    #[derive(Default)]
    pub struct Inverse {
        pub first: DevicePtr,
        pub count: DevicePtr,
        pub tiles: DevicePtr,
        pub pairs: DevicePtr,
        pub targets: i64,
    }
}

impl Inverse {
    /// Bytes of scratch memory for at most this many pairs.
    pub fn bytes(targets: usize, pairs: usize) -> usize {
        size_of::<i64>() * (2 * (targets + 1) + tiles(targets) + pairs)
    }

    /// In scratch memory.
    pub fn new(memory: DevicePtr, targets: usize) -> Self {
        let numbers = |pointer: DevicePtr, count: usize| pointer.after(size_of::<i64>() * count);
        let count = numbers(memory, targets + 1);
        let tiles_at = numbers(count, targets + 1);
        let pairs = numbers(tiles_at, tiles(targets));
        Self { first: memory, count, tiles: tiles_at, pairs, targets: targets as i64 }
    }

    /// Launches the kernels `<prefix>_clear` to `<prefix>_place` of a module; `threads` count and place the pairs.
    pub fn launch<P: Params>(
        &self,
        gpu: Gpu,
        module: &'static Module,
        prefix: &str,
        threads: usize,
        params: &P,
    ) -> Result<()> {
        let targets = self.targets as usize;
        let run = |pass: &str, threads: usize| {
            let kernel = format!("{prefix}_{pass}");
            gpu.launch(module, &kernel, Grid::per_element(&kernel, threads, THREADS)?, params)
        };
        let block = THREADS as usize;
        run("clear", targets + 1)?;
        run("count", threads)?;
        run("scan", block * tiles(targets))?;
        run("totals", block)?;
        run("place", threads)
    }
}

/// Tiles that hold all targets and one more.
fn tiles(targets: usize) -> usize {
    targets / TILE + 1
}
