// SPDX-License-Identifier: Apache-2.0
//! `patina3d.core._native`: unpack, call, wrap. What each function means is said where its contract is checked.

mod call;
mod device;
mod io;
mod ops;
mod renderer;

use pyo3::prelude::*;

/// The native module of Patina3D.
#[pymodule]
mod _native {
    #[pymodule_export]
    use super::call::DeviceError;
    #[cfg(feature = "emulator")]
    #[pymodule_export]
    use super::device::panic;
    #[pymodule_export]
    use super::device::{cuda_report, emulate, has_emulator, instruction_set, is_emulating};
    #[pymodule_export]
    use super::io::io;
    #[pymodule_export]
    use super::ops::ops;
    #[pymodule_export]
    use super::renderer::renderer;
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::device::install();
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
