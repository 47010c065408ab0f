// SPDX-License-Identifier: Apache-2.0
//! The CUDA driver: found at run time, contexts shared with torch, functions cached by device.
//!
//! cudarc panics where libcuda is missing, even while it prints an error. Everything here therefore starts at
//! [`driver`], which opens the library once by itself and keeps the answer.
#![expect(unsafe_code, reason = "the driver's API is C")]

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::sync::{Mutex, OnceLock, PoisonError};

use cudarc::driver::{result, sys};

use crate::error::{Error, Result};
use crate::launch::{Grid, Module, Params};

/// A usable driver.
#[derive(Debug, Clone)]
pub struct Driver {
    /// The CUDA version of the driver, for instance 12040 for 12.4.
    pub version: i32,
    /// Its devices, by ordinal; there may be none.
    pub devices: Vec<DeviceInfo>,
}

/// One CUDA device.
#[derive(Debug, Clone)]
pub struct DeviceInfo {
    /// Its name.
    pub name: String,
    /// Its compute capability.
    pub capability: (i32, i32),
}

/// The oldest CUDA level whose driver loads our PTX (ISA 7.8).
const OLDEST_CUDA: i32 = 11_080;

/// The driver, or why there is none, as a sentence. The first call opens libcuda; `import patina3d` never does.
pub fn driver() -> std::result::Result<&'static Driver, &'static str> {
    static DRIVER: OnceLock<std::result::Result<Driver, String>> = OnceLock::new();
    DRIVER.get_or_init(probe).as_ref().map_err(String::as_str)
}

fn probe() -> std::result::Result<Driver, String> {
    let name = if cfg!(windows) { "nvcuda.dll" } else { "libcuda.so.1" };
    // SAFETY: loading NVIDIA's driver library runs its initialisers, which is what every CUDA program does.
    let library = unsafe { libloading::Library::new(name) }
        .map_err(|error| format!("the NVIDIA driver is not installed: {name} cannot be opened ({error})"))?;
    // The library stays open: the function pointers below and cudarc's live as long as the process.
    std::mem::forget(library);
    check(|| {
        // SAFETY: libcuda is present.
        unsafe { sys::cuInit(0) }
    })
    .map_err(|code| match code {
        sys::CUresult::CUDA_ERROR_NO_DEVICE => "the NVIDIA driver is installed but finds no CUDA device".to_owned(),
        other => format!("the NVIDIA driver does not start: {}", describe(other)),
    })?;
    let mut version: c_int = 0;
    // SAFETY: `version` is writable.
    check(|| unsafe { sys::cuDriverGetVersion(&raw mut version) }).map_err(describe)?;
    let mut count: c_int = 0;
    // SAFETY: `count` is writable and the driver is initialised.
    check(|| unsafe { sys::cuDeviceGetCount(&raw mut count) }).map_err(describe)?;
    let devices = (0..count).map(device_info).collect::<std::result::Result<Vec<_>, _>>().map_err(describe)?;
    Ok(Driver { version, devices })
}

fn device_info(ordinal: c_int) -> std::result::Result<DeviceInfo, sys::CUresult> {
    let mut device: sys::CUdevice = 0;
    let mut name: [c_char; 256] = [0; 256];
    let (mut major, mut minor): (c_int, c_int) = (0, 0);
    // SAFETY: every pointer is to a local of the right type, and the ordinal is below the driver's count.
    unsafe {
        check(|| sys::cuDeviceGet(&raw mut device, ordinal))?;
        check(|| sys::cuDeviceGetName(name.as_mut_ptr(), 255, device))?;
        check(|| {
            sys::cuDeviceGetAttribute(
                &raw mut major,
                sys::CUdevice_attribute_enum::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
                device,
            )
        })?;
        check(|| {
            sys::cuDeviceGetAttribute(
                &raw mut minor,
                sys::CUdevice_attribute_enum::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
                device,
            )
        })?;
    }
    // SAFETY: the driver wrote at most 255 bytes into a zeroed buffer.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned();
    Ok(DeviceInfo { name, capability: (major, minor) })
}

fn check(call: impl FnOnce() -> sys::CUresult) -> std::result::Result<(), sys::CUresult> {
    match call() {
        sys::CUresult::CUDA_SUCCESS => Ok(()),
        code => Err(code),
    }
}

/// The driver's own words for an error code.
fn describe(code: sys::CUresult) -> String {
    if code == sys::CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION {
        return "the NVIDIA driver is too old: Patina3D needs R520 (CUDA 11.8) or newer".to_owned();
    }
    let mut text: *const c_char = std::ptr::null();
    // SAFETY: libcuda is present (every caller came through `probe`), and `text` is writable.
    let known = unsafe { sys::cuGetErrorString(code, &raw mut text) } == sys::CUresult::CUDA_SUCCESS && !text.is_null();
    if known {
        // SAFETY: the driver returned a static string.
        format!("{code:?}: {}", unsafe { CStr::from_ptr(text) }.to_string_lossy())
    } else {
        format!("{code:?}")
    }
}

/// A driver handle; handles may be used from every thread.
#[derive(Clone, Copy)]
struct Handle<T>(T);
// SAFETY: the driver's API is thread safe, and handles are opaque numbers to us.
unsafe impl<T> Send for Handle<T> {}

#[derive(Default)]
struct Loaded {
    contexts: HashMap<i32, Handle<sys::CUcontext>>,
    modules: HashMap<(i32, &'static str), Handle<sys::CUmodule>>,
    functions: HashMap<(i32, &'static str), HashMap<String, Handle<sys::CUfunction>>>,
}

impl Loaded {
    fn found(&self, ordinal: i32, module: &Module, kernel: &str) -> Option<(sys::CUcontext, sys::CUfunction)> {
        let function = self.functions.get(&(ordinal, module.name))?.get(kernel)?.0;
        Some((self.contexts.get(&ordinal)?.0, function))
    }
}

static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

/// Makes a device's primary context current and puts the caller's back afterwards.
struct Current {
    pushed: bool,
}

impl Current {
    fn new(context: sys::CUcontext) -> std::result::Result<Self, sys::CUresult> {
        let mut now: sys::CUcontext = std::ptr::null_mut();
        // SAFETY: `now` is writable; `context` came from `primary_ctx::retain` and is never released.
        unsafe {
            check(|| sys::cuCtxGetCurrent(&raw mut now))?;
            if now == context {
                return Ok(Self { pushed: false });
            }
            check(|| sys::cuCtxPushCurrent_v2(context))?;
        }
        Ok(Self { pushed: true })
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        if self.pushed {
            let mut popped: sys::CUcontext = std::ptr::null_mut();
            // SAFETY: balances the push in `new` on the same thread. A failure here leaves nothing to do.
            let _ = unsafe { sys::cuCtxPopCurrent_v2(&raw mut popped) };
        }
    }
}

fn context(loaded: &mut Loaded, ordinal: i32) -> std::result::Result<sys::CUcontext, sys::CUresult> {
    if let Some(found) = loaded.contexts.get(&ordinal) {
        return Ok(found.0);
    }
    let mut device: sys::CUdevice = 0;
    // SAFETY: `device` is writable; a bad ordinal is an error code.
    unsafe { check(|| sys::cuDeviceGet(&raw mut device, ordinal))? };
    // SAFETY: `device` is valid. The context is torch's own primary context and is kept for the process.
    let context = unsafe { result::primary_ctx::retain(device) }.map_err(|error| error.0)?;
    loaded.contexts.insert(ordinal, Handle(context));
    Ok(context)
}

/// Loads a module with the JIT's log at hand. The context must be current.
fn load(module: &Module) -> std::result::Result<sys::CUmodule, String> {
    const LOG: usize = 4096;
    let mut log = vec![0_u8; LOG];
    let mut options =
        [sys::CUjit_option::CU_JIT_ERROR_LOG_BUFFER, sys::CUjit_option::CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES];
    let mut values: [*mut c_void; 2] = [log.as_mut_ptr().cast(), LOG as *mut c_void];
    let mut handle: sys::CUmodule = std::ptr::null_mut();
    // SAFETY: the PTX is NUL-terminated (`module!` adds the NUL); options and values have the same length, and the log
    // buffer outlives the call.
    let loaded = check(|| unsafe {
        sys::cuModuleLoadDataEx(
            &raw mut handle,
            module.ptx.as_ptr().cast(),
            2 as c_uint,
            options.as_mut_ptr(),
            values.as_mut_ptr(),
        )
    });
    loaded.map(|()| handle).map_err(|code| {
        let end = log.iter().position(|&byte| byte == 0).unwrap_or(LOG);
        let text = String::from_utf8_lossy(&log[..end]);
        let text = text.trim();
        if text.is_empty() { describe(code) } else { format!("{}: {text}", describe(code)) }
    })
}

fn function(
    loaded: &mut Loaded,
    ordinal: i32,
    module: &'static Module,
    kernel: &str,
) -> std::result::Result<sys::CUfunction, String> {
    let key = (ordinal, module.name);
    let handle = if let Some(found) = loaded.modules.get(&key) {
        found.0
    } else {
        let handle = load(module)?;
        loaded.modules.insert(key, Handle(handle));
        handle
    };
    let name = CString::new(kernel).map_err(|error| error.to_string())?;
    // SAFETY: the module is loaded and never unloaded.
    let function = unsafe { result::module::get_function(handle, name) }.map_err(|error| describe(error.0))?;
    let most = most_shared_bytes(ordinal).map_err(describe)?;
    let mut fixed: c_int = 0;
    // SAFETY: the function is valid, `fixed` writable; the limit leaves room for the kernel's static shared memory.
    unsafe {
        check(|| {
            sys::cuFuncGetAttribute(
                &raw mut fixed,
                sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES,
                function,
            )
        })
        .map_err(describe)?;
        check(|| {
            sys::cuFuncSetAttribute(
                function,
                sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                most - fixed,
            )
        })
        .map_err(describe)?;
    }
    loaded.functions.entry(key).or_default().insert(kernel.to_owned(), Handle(function));
    Ok(function)
}

fn most_shared_bytes(ordinal: i32) -> std::result::Result<c_int, sys::CUresult> {
    let mut device: sys::CUdevice = 0;
    let mut bytes: c_int = 0;
    // SAFETY: pointers are to locals; a bad ordinal is an error code.
    unsafe {
        check(|| sys::cuDeviceGet(&raw mut device, ordinal))?;
        check(|| {
            sys::cuDeviceGetAttribute(
                &raw mut bytes,
                sys::CUdevice_attribute_enum::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN,
                device,
            )
        })?;
    }
    Ok(bytes)
}

/// The device's context and a kernel of it, loaded at most once. Only the look-up and the load hold the lock: a launch
/// may wait for room in its stream.
fn find(
    ordinal: i32,
    stream: usize,
    module: &'static Module,
    kernel: &str,
) -> Result<(sys::CUcontext, sys::CUfunction)> {
    let fail = |reason: String| Error::device(kernel, reason);
    let mut slot = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let loaded = slot.get_or_insert_with(Loaded::default);
    if let Some(found) = loaded.found(ordinal, module, kernel) {
        return Ok(found);
    }
    let driver = driver().map_err(|reason| fail(reason.to_owned()))?;
    if driver.version < OLDEST_CUDA {
        return Err(fail(describe(sys::CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION)));
    }
    let context = context(loaded, ordinal).map_err(|code| fail(describe(code)))?;
    let _current = Current::new(context).map_err(|code| fail(describe(code)))?;
    if is_capturing(stream) {
        return Err(fail("its first use cannot be inside a CUDA graph capture: call it once before".to_owned()));
    }
    let function = function(loaded, ordinal, module, kernel).map_err(fail)?;
    Ok((context, function))
}

/// Whether the stream is recording a graph; loading a module then would spoil the recording.
fn is_capturing(stream: usize) -> bool {
    let mut status = sys::CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE;
    // SAFETY: `status` is writable; the stream is torch's current one, of the context that is current.
    let asked = unsafe { sys::cuStreamIsCapturing(stream as sys::CUstream, &raw mut status) };
    asked == sys::CUresult::CUDA_SUCCESS && status != sys::CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE
}

pub(crate) fn launch<P: Params>(
    ordinal: i32,
    stream: usize,
    module: &'static Module,
    kernel: &str,
    grid: Grid,
    params: &P,
) -> Result<()> {
    let fail = |code: sys::CUresult| Error::device(kernel, describe(code));
    let (context, function) = find(ordinal, stream, module, kernel)?;
    let _current = Current::new(context).map_err(fail)?;
    let [bx, by, bz] = grid.blocks;
    let [tx, ty, tz] = grid.threads;
    let mut arguments = [std::ptr::from_ref(params).cast_mut().cast::<c_void>()];
    // SAFETY: the kernel takes one `P` by value (both languages share its declaration, and a test compares the layouts);
    // the driver copies it before it returns. The stream is torch's current one.
    unsafe {
        result::launch_kernel(
            function,
            (bx, by, bz),
            (tx, ty, tz),
            grid.shared_bytes,
            stream as sys::CUstream,
            &mut arguments,
        )
    }
    .map_err(|error| fail(error.0))
}

/// Loads a module for a look and unloads it again.
pub(crate) fn load_check(ordinal: i32, module: &'static Module) -> Result<()> {
    let fail = |reason: String| Error::device(module.name, reason);
    driver().map_err(|reason| fail(reason.to_owned()))?;
    let context = {
        let mut slot = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        context(slot.get_or_insert_with(Loaded::default), ordinal).map_err(|code| fail(describe(code)))?
    };
    let _current = Current::new(context).map_err(|code| fail(describe(code)))?;
    let handle = load(module).map_err(fail)?;
    // SAFETY: the module was just loaded, and nobody else has its handle.
    check(|| unsafe { sys::cuModuleUnload(handle) }).map_err(|code| fail(describe(code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_never_panics_and_says_why_in_a_sentence() {
        if let Err(reason) = driver() {
            assert!(reason.starts_with("the NVIDIA driver"), "{reason}");
        }
    }
}
