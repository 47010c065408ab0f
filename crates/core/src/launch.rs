// SPDX-License-Identifier: Apache-2.0
//! From a PTX module and a params struct to a running kernel.

use std::sync::OnceLock;

use crate::cuda;
use crate::device::Gpu;
use crate::error::{Error, Result};

/// The kernels of one operator: the stem of its `.cu` and the PTX made of it, NUL-terminated.
#[derive(Debug)]
pub struct Module {
    /// The stem of the `.cu` file.
    pub name: &'static str,
    /// PTX, ending in a NUL byte.
    pub ptx: &'static str,
}

/// Declares the [`Module`] of the operator in this folder.
#[macro_export]
macro_rules! module {
    ($stem:literal) => {
        $crate::Module { name: $stem, ptx: concat!(include_str!(concat!($stem, ".ptx")), "\0") }
    };
}

/// How many blocks of how many threads, and how much dynamic shared memory a block has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Blocks in x, y, z.
    pub blocks: [u32; 3],
    /// Threads of a block in x, y, z.
    pub threads: [u32; 3],
    /// Bytes of dynamic shared memory.
    pub shared_bytes: u32,
}

impl Grid {
    /// One thread an element.
    pub fn per_element(kernel: &str, elements: usize, threads: u32) -> Result<Self> {
        Self::of_blocks(kernel, [elements.div_ceil(threads as usize), 1, 1], threads)
    }

    /// This many blocks of `threads` threads. The y and z counts of a grid end at 65535.
    pub fn of_blocks(kernel: &str, blocks: [usize; 3], threads: u32) -> Result<Self> {
        let limits = [i32::MAX as usize, 65_535, 65_535];
        if blocks.iter().zip(limits).any(|(&n, limit)| n > limit) {
            return Err(Error::device(
                kernel,
                format!("a grid of {blocks:?} blocks is more than a CUDA device can launch"),
            ));
        }
        Ok(Self { blocks: blocks.map(|n| n as u32), threads: [threads, 1, 1], shared_bytes: 0 })
    }

    /// With dynamic shared memory.
    #[must_use]
    pub fn with_shared(mut self, bytes: usize) -> Self {
        self.shared_bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self
    }
}

/// A struct that both languages share and a kernel receives by value. Declare it with [`shared_struct!`](crate::shared_struct).
pub trait Params: Copy + Send + Sync + 'static {
    /// Its name in both languages.
    const NAME: &'static str;

    /// Field names with their offsets, then `sizeof` with the size.
    fn layout() -> Vec<(&'static str, usize)>;
}

/// Declares a `#[repr(C)]` struct that the `.h` of the same folder declares too; a test compares both layouts.
#[macro_export]
macro_rules! shared_struct {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Debug, Clone, Copy)]
        #[allow(missing_docs, unreachable_pub, reason = "the .h documents each field; only the layout test looks from outside")]
        pub struct $name { $($(#[$field_meta])* pub $field: $type,)* }

        impl $crate::launch::Params for $name {
            const NAME: &'static str = stringify!($name);

            fn layout() -> Vec<(&'static str, usize)> {
                vec![$((stringify!($field), std::mem::offset_of!($name, $field)),)* ("sizeof", size_of::<$name>())]
            }
        }
    };
}

/// Runs a kernel on the host: kernel, blocks, threads, bytes of dynamic shared memory, params.
pub type EmulatorLaunch = fn(&str, [u32; 3], [u32; 3], u32, *const u8) -> std::result::Result<(), String>;

static EMULATOR: OnceLock<EmulatorLaunch> = OnceLock::new();

/// Lets [`Gpu::Emulated`] launch; test builds call it once.
pub fn install_emulator(launch: EmulatorLaunch) {
    // A second installation is the same function: nothing to do.
    let _ = EMULATOR.set(launch);
}

/// Whether this build can emulate.
pub fn has_emulator() -> bool {
    EMULATOR.get().is_some()
}

impl Gpu {
    /// Launches a kernel; a grid without blocks launches nothing.
    pub fn launch<P: Params>(self, module: &'static Module, kernel: &str, grid: Grid, params: &P) -> Result<()> {
        if grid.blocks.contains(&0) {
            return Ok(());
        }
        match self {
            Self::Cuda { ordinal, stream } => cuda::launch(ordinal, stream, module, kernel, grid, params),
            Self::Emulated => {
                let launch = EMULATOR.get().ok_or_else(|| Error::device(kernel, "this build has no emulator"))?;
                launch(kernel, grid.blocks, grid.threads, grid.shared_bytes, std::ptr::from_ref(params).cast())
                    .map_err(|reason| Error::device(kernel, reason))
            }
        }
    }
}

/// Whether the driver of device `ordinal` accepts this module's PTX: what `doctor()` reports.
pub fn load_check(ordinal: i32, module: &'static Module) -> Result<()> {
    cuda::load_check(ordinal, module)
}

pub use cuda::{DeviceInfo, Driver, driver};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_that_no_device_can_launch_is_an_error() {
        assert!(Grid::of_blocks("k", [1, 65_536, 1], 32).is_err());
        assert_eq!(Grid::per_element("k", 257, 256).unwrap().blocks, [2, 1, 1]);
    }

    shared_struct! {
        /// Nothing.
        pub struct Empty { pub x: u64, }
    }

    #[test]
    fn without_an_emulator_the_error_says_so() {
        static MODULE: Module = Module { name: "none", ptx: "\0" };
        let grid = Grid::per_element("k", 1, 32).unwrap();
        let error = Gpu::Emulated.launch(&MODULE, "k", grid, &Empty { x: 0 }).unwrap_err();
        assert!(error.to_string().contains("no emulator"), "{error}");
        assert_eq!(Empty::layout(), vec![("x", 0), ("sizeof", 8)]);
    }
}
