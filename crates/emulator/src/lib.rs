// SPDX-License-Identifier: Apache-2.0
//! Runs the CUDA kernels of this workspace on the CPU, so that machines without a GPU test them.
//!
//! The build script compiles the same `.cu` files that NVRTC compiles. [`launch`] runs one block at a time and each CUDA
//! thread of it on a fiber of the calling CPU thread: barriers, shuffles and votes mean what they mean on a device, and a
//! kernel that would hang there returns an error here. Shared memory is filled with `0xFF` (a NaN, or -1) before each
//! block. Floating point rounds as in the PTX, except in functions like `expf` that have no exact definition.
//!
//! What it does not model is threads that run at the same moment. Run each test of a kernel in several orders of threads
//! and blocks: set `PATINA3D_EMULATOR_ORDER` to `forward` (the default), `reversed` or `shuffled`, and for the latter
//! `PATINA3D_EMULATOR_SEED` to a number.
//!
//! This is a test tool: it is never in a release and never what a user falls back to.
#![expect(unsafe_code, reason = "the kernels and the runtime are C++, and kernels read and write through pointers")]

use std::env;
use std::ffi::{CStr, CString, c_char, c_void};
use std::ops::Range;
use std::sync::OnceLock;

/// In which order the blocks of a grid run, and the threads of a block where they may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// From the first to the last.
    Forward,
    /// From the last to the first.
    Reversed,
    /// At random, the same for the same seed.
    Shuffled(u64),
}

impl Order {
    /// What the environment asks for.
    fn from_environment() -> Result<Self, String> {
        static ORDER: OnceLock<Result<Order, String>> = OnceLock::new();
        ORDER
            .get_or_init(|| {
                let [order, seed] = ["PATINA3D_EMULATOR_ORDER", "PATINA3D_EMULATOR_SEED"].map(text_of);
                Self::parse(order.as_deref(), seed.as_deref())
            })
            .clone()
    }

    fn parse(order: Option<&str>, seed: Option<&str>) -> Result<Self, String> {
        match order {
            None | Some("" | "forward") => Ok(Self::Forward),
            Some("reversed") => Ok(Self::Reversed),
            Some("shuffled") => match seed {
                None | Some("") => Ok(Self::Shuffled(0)),
                Some(text) => text
                    .parse()
                    .map(Self::Shuffled)
                    .map_err(|_| format!("PATINA3D_EMULATOR_SEED must be a number from 0 to 2^64 - 1, got {text:?}")),
            },
            Some(other) => Err(format!("PATINA3D_EMULATOR_ORDER must be forward, reversed or shuffled, got {other:?}")),
        }
    }
}

fn text_of(variable: &str) -> Option<String> {
    env::var_os(variable).map(|value| value.to_string_lossy().into_owned())
}

/// Runs a kernel over a grid in the order that the environment asks for.
///
/// `params` points to the kernel's params struct, and that struct to memory of this process. The launch has ended when
/// this returns. Launches from different CPU threads run side by side.
///
/// # Errors
/// Whatever a device would refuse or hang on: an unknown kernel, a block or grid beyond the limits, too much shared
/// memory, threads that wait for others which never come.
pub fn launch(
    kernel: &str,
    grid: [u32; 3],
    block: [u32; 3],
    shared_bytes: u32,
    params: *const u8,
) -> Result<(), String> {
    launch_in(Order::from_environment()?, kernel, grid, block, shared_bytes, params)
}

/// [`launch`] in a given order.
///
/// # Errors
/// As [`launch`].
pub fn launch_in(
    order: Order,
    kernel: &str,
    grid: [u32; 3],
    block: [u32; 3],
    shared_bytes: u32,
    params: *const u8,
) -> Result<(), String> {
    let blocks = grid.iter().map(|&n| u64::from(n)).product();
    launch_some(0..blocks, order, kernel, grid, block, shared_bytes, params)
}

/// [`launch_in`] of some blocks of the grid, numbered along x, then y, then z; the others do not run. So a test reaches
/// the end of a grid, and of tensors, that nobody has the time to run whole.
///
/// # Errors
/// As [`launch`], and where the grid does not have these blocks.
pub fn launch_some(
    blocks: Range<u64>,
    order: Order,
    kernel: &str,
    grid: [u32; 3],
    block: [u32; 3],
    shared_bytes: u32,
    params: *const u8,
) -> Result<(), String> {
    // SAFETY: the runtime reads `length` bytes of the name, and its kernels live as long as the process.
    let found = unsafe { patina3d_emulator_find(kernel.as_ptr().cast(), kernel.len()).as_ref() }
        .ok_or_else(|| format!("no kernel of this name was compiled: {kernel}"))?;
    check_limits(found, grid, block, shared_bytes)?;
    if blocks.is_empty() || blocks.end > grid.iter().map(|&n| u64::from(n)).product() {
        return Err(format!("the blocks that run must be some of the grid {grid:?}, got {blocks:?}"));
    }
    let blocks = Blocks { first: blocks.start, count: blocks.end - blocks.start };
    let (order, seed) = match order {
        Order::Forward => (0, 0),
        Order::Reversed => (1, 0),
        Order::Shuffled(seed) => (2, seed),
    };
    // SAFETY: grid and block are three numbers each. The caller vouches for `params`, as it would to a CUDA driver. The
    // text that comes back lives until this thread's next launch.
    unsafe {
        let error = patina3d_emulator_launch(
            found,
            grid.as_ptr(),
            blocks,
            block.as_ptr(),
            shared_bytes,
            params.cast(),
            order,
            seed,
        );
        if error.is_null() { Ok(()) } else { Err(string(error)) }
    }
}

/// The limits of the devices that `compute_70` code runs on.
fn check_limits(kernel: &Kernel, grid: [u32; 3], block: [u32; 3], shared_bytes: u32) -> Result<(), String> {
    const MAX_GRID: [u32; 3] = [i32::MAX as u32, 65_535, 65_535];
    const MAX_BLOCK: [u32; 3] = [1024, 1024, 64];
    const MAX_SHARED: u32 = 227 * 1024;
    let within = |size: [u32; 3], limit: [u32; 3]| size.iter().zip(limit).all(|(&n, most)| (1..=most).contains(&n));
    if !within(grid, MAX_GRID) {
        return Err(format!("a grid must be 1 to {MAX_GRID:?} blocks, got {grid:?}"));
    }
    if !within(block, MAX_BLOCK) {
        return Err(format!("a block must be 1 to {MAX_BLOCK:?} threads, got {block:?}"));
    }
    let threads: u32 = block.iter().product();
    if threads > kernel.max_threads {
        return Err(format!("a block of this kernel must be at most {} threads, got {block:?}", kernel.max_threads));
    }
    if shared_bytes > MAX_SHARED {
        return Err(format!("dynamic shared memory must be at most {MAX_SHARED} bytes, got {shared_bytes}"));
    }
    Ok(())
}

/// The names of all kernels that were compiled, sorted.
pub fn kernels() -> Vec<String> {
    let mut names = Vec::new();
    // SAFETY: the runtime takes any index and returns the name of a static table, or null.
    while let Some(name) = unsafe { non_null(patina3d_emulator_name(names.len())) } {
        names.push(name);
    }
    names.sort();
    names
}

/// The fields of a params struct with their offsets in C, in order, then `sizeof` with the size. None where no compiled
/// kernel file declares the struct with `PATINA3D_LAYOUT`.
pub fn layout(struct_name: &str) -> Option<Vec<(String, usize)>> {
    let name = CString::new(struct_name).ok()?;
    // SAFETY: the layouts are filled before main and never change.
    unsafe {
        let layout = patina3d_emulator_layout(name.as_ptr()).as_ref()?;
        let fields = std::slice::from_raw_parts(layout.fields, layout.num_fields);
        Some(fields.iter().map(|field| (string(field.name), field.offset)).collect())
    }
}

/// # Safety
/// `text` ends in a NUL byte.
unsafe fn string(text: *const c_char) -> String {
    // SAFETY: the caller's.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// # Safety
/// `text` is null or ends in a NUL byte.
unsafe fn non_null(text: *const c_char) -> Option<String> {
    // SAFETY: the caller's.
    (!text.is_null()).then(|| unsafe { string(text) })
}

// The structs and functions of src/runtime/launch.h and layout.h.
#[repr(C)]
struct Kernel {
    name: *const c_char,
    run_thread: unsafe extern "C" fn(*const c_void),
    max_threads: u32,
}

#[repr(C)]
struct Blocks {
    first: u64,
    count: u64,
}

#[repr(C)]
struct Field {
    name: *const c_char,
    offset: usize,
}

#[repr(C)]
struct Layout {
    name: *const c_char,
    fields: *const Field,
    num_fields: usize,
}

unsafe extern "C" {
    fn patina3d_emulator_find(name: *const c_char, length: usize) -> *const Kernel;
    fn patina3d_emulator_name(index: usize) -> *const c_char;
    fn patina3d_emulator_launch(
        kernel: *const Kernel,
        grid: *const u32,
        blocks: Blocks,
        block: *const u32,
        shared_bytes: u32,
        params: *const c_void,
        order: u32,
        seed: u64,
    ) -> *const c_char;
    fn patina3d_emulator_layout(name: *const c_char) -> *const Layout;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_names_an_order() {
        assert_eq!(Order::parse(None, Some("7")), Ok(Order::Forward));
        assert_eq!(Order::parse(Some("reversed"), None), Ok(Order::Reversed));
        assert_eq!(Order::parse(Some("shuffled"), None), Ok(Order::Shuffled(0)));
        assert_eq!(Order::parse(Some("shuffled"), Some("7")), Ok(Order::Shuffled(7)));
    }

    #[test]
    fn an_unknown_order_or_seed_is_an_error() {
        assert!(Order::parse(Some("backward"), None).unwrap_err().contains("got \"backward\""));
        assert!(Order::parse(Some("shuffled"), Some("-1")).unwrap_err().contains("got \"-1\""));
    }
}
