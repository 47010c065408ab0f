// SPDX-License-Identifier: Apache-2.0
//! What `doctor()` reports, and the switch of the test builds.

use std::sync::atomic::{AtomicBool, Ordering};

use patina3d_core::launch::{DeviceInfo, Driver, driver, load_check};
use patina3d_core::{Module, simd};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::call::guard;

static EMULATE: AtomicBool = AtomicBool::new(false);

/// Every module of kernels, for the load check.
const MODULES: &[&Module] = &[
    &patina3d_core::inverse::MODULE,
    &patina3d_core::morton::MODULE,
    &patina3d_core::scan::MODULE,
    &patina3d_core::segments::MODULE,
    &patina3d_core::sort::MODULE,
    &patina3d_ops::ball_query::MODULE,
    &patina3d_ops::chamfer::MODULE,
    &patina3d_ops::interp_face_attrs::MODULE,
    &patina3d_ops::knn::MODULE,
    &patina3d_ops::mesh_face_areas_normals::MODULE,
    &patina3d_ops::packed_to_padded::MODULE,
    &patina3d_ops::points_to_volumes::MODULE,
    &patina3d_ops::sample_points_from_meshes::MODULE,
    &patina3d_renderer::blending::MODULE,
    &patina3d_renderer::rasterize_meshes::MODULE,
    &patina3d_ops::point_index::MODULE,
    &patina3d_ops::sample_farthest_points::MODULE,
];

/// Whether CPU tensors run through the CUDA launchers and the emulated kernels.
#[pyfunction]
pub(crate) fn is_emulating() -> bool {
    EMULATE.load(Ordering::Relaxed)
}

/// Whether this build can emulate CUDA kernels (test builds only).
#[pyfunction]
pub(crate) fn has_emulator() -> bool {
    patina3d_core::launch::has_emulator()
}

/// Switches emulation on or off; an error in builds without the emulator.
#[pyfunction]
pub(crate) fn emulate(on: bool) -> PyResult<()> {
    if on && !has_emulator() {
        return Err(PyRuntimeError::new_err("PATINA3D_EMULATE_CUDA: this build of patina3d has no emulator"));
    }
    EMULATE.store(on, Ordering::Relaxed);
    Ok(())
}

/// The vector instruction set that CPU operators use.
#[pyfunction]
pub(crate) fn instruction_set() -> &'static str {
    simd::instruction_set()
}

/// The driver, its devices, and whether each loads our PTX: a dict with `driver` (the CUDA level, or None), `reason` (why
/// there is none) and `devices` (name, capability, and the sentence that says what is wrong, or None). Starts CUDA.
#[pyfunction]
pub(crate) fn cuda_report(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let found = guard("doctor", || Ok(py.detach(|| driver().map(|driver| (driver.version, check_devices(driver))))))?;
    let report = PyDict::new(py);
    let devices = PyList::empty(py);
    match found {
        Err(reason) => {
            report.set_item("driver", py.None())?;
            report.set_item("reason", reason)?;
        }
        Ok((version, checked)) => {
            report.set_item("driver", format!("{}.{}", version / 1000, version % 1000 / 10))?;
            report.set_item("reason", py.None())?;
            for (device, problem) in checked {
                let entry = PyDict::new(py);
                entry.set_item("name", device.name)?;
                entry.set_item("capability", device.capability)?;
                entry.set_item("problem", problem)?;
                devices.append(entry)?;
            }
        }
    }
    report.set_item("devices", devices)?;
    Ok(report)
}

/// Each device with the first thing that is wrong with it.
fn check_devices(driver: &Driver) -> Vec<(DeviceInfo, Option<String>)> {
    let problem = |ordinal| MODULES.iter().find_map(|module| load_check(ordinal, module).err());
    let devices = driver.devices.iter().enumerate();
    devices.map(|(i, device)| (device.clone(), problem(i as i32).map(|error| error.to_string()))).collect()
}

/// Panics inside a call, in builds with the emulator: tests see that it arrives as a `RuntimeError`.
#[cfg(feature = "emulator")]
#[pyfunction]
#[expect(clippy::panic, reason = "what it is for")]
pub(crate) fn panic(message: &str) -> PyResult<()> {
    guard("panic", || panic!("{message}"))
}

/// Makes the emulator known to the launcher, in builds that have it.
pub(crate) fn install() {
    #[cfg(feature = "emulator")]
    patina3d_core::install_emulator(patina3d_emulator::launch);
}
