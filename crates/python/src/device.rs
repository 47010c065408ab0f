// SPDX-License-Identifier: Apache-2.0
//! What `doctor()` reports, and the switch of the test builds.

use std::sync::atomic::{AtomicBool, Ordering};

use patina3d_core::launch::{driver, load_check};
use patina3d_core::{Module, simd};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

static EMULATE: AtomicBool = AtomicBool::new(false);

/// Every module of kernels, for the load check.
const MODULES: &[&Module] = &[&patina3d_ops::knn::MODULE, &patina3d_renderer::rasterize_meshes::MODULE];

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
/// there is none) and `devices` (name, capability, and the sentence that says what is wrong, or None).
#[pyfunction]
pub(crate) fn cuda_report(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let report = PyDict::new(py);
    let devices = PyList::empty(py);
    match driver() {
        Err(reason) => {
            report.set_item("driver", py.None())?;
            report.set_item("reason", reason)?;
        }
        Ok(found) => {
            report.set_item("driver", format!("{}.{}", found.version / 1000, found.version % 1000 / 10))?;
            report.set_item("reason", py.None())?;
            for (ordinal, device) in found.devices.iter().enumerate() {
                let entry = PyDict::new(py);
                entry.set_item("name", &device.name)?;
                entry.set_item("capability", device.capability)?;
                let problem = MODULES.iter().find_map(|module| load_check(ordinal as i32, module).err());
                entry.set_item("problem", problem.map(|error| error.to_string()))?;
                devices.append(entry)?;
            }
        }
    }
    report.set_item("devices", devices)?;
    Ok(report)
}

/// Makes the emulator known to the launcher, in builds that have it.
pub(crate) fn install() {
    #[cfg(feature = "emulator")]
    patina3d_core::install_emulator(patina3d_emulator::launch);
}
