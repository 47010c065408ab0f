// SPDX-License-Identifier: Apache-2.0
//! One call from Python: tensors in by DLPack, outputs allocated by torch, the GIL released, errors and panics turned
//! into Python exceptions.
#![expect(unsafe_code, reason = "DLPack is a C interface")]

use std::cell::RefCell;
use std::ffi::{CStr, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use patina3d_core::dlpack::{DLManagedTensor, DLTensor, ExchangeApi, is_contiguous};
use patina3d_core::{Device, Error, Gpu, Tensor, TensorMut, subnormals};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCapsule, PyDict, PyString, PyTuple};

use crate::device::is_emulating;

pyo3::create_exception!(patina3d.core, DeviceError, PyRuntimeError, "The device cannot run the operator.");

/// What a call needs of torch, looked up once.
struct Torch {
    tensor: Py<PyAny>,
    int64: Py<PyAny>,
    int32: Py<PyAny>,
    uint8: Py<PyAny>,
    get_num_threads: Py<PyAny>,
    /// torch >= 2.10.
    exchange: Option<Exchange>,
    /// Before that.
    to_dlpack: Py<PyAny>,
}

/// The two functions of [`ExchangeApi`] that we call.
struct Exchange {
    export: unsafe extern "C" fn(*mut c_void, *mut DLTensor) -> c_int,
    current_stream: Option<unsafe extern "C" fn(i32, i32, *mut *mut c_void) -> c_int>,
}

static TORCH: PyOnceLock<Torch> = PyOnceLock::new();

const EXCHANGE_NAME: &CStr = c"dlpack_exchange_api";
const CAPSULE_NAME: &CStr = c"dltensor";

impl Torch {
    fn get(py: Python<'_>) -> PyResult<&Self> {
        TORCH.get_or_try_init(py, || {
            let torch = py.import("torch")?;
            let tensor = torch.getattr("Tensor")?;
            Ok(Self {
                exchange: exchange_api(&tensor)?,
                tensor: tensor.unbind(),
                int64: torch.getattr("int64")?.unbind(),
                int32: torch.getattr("int32")?.unbind(),
                uint8: torch.getattr("uint8")?.unbind(),
                get_num_threads: torch.getattr("get_num_threads")?.unbind(),
                to_dlpack: py.import("torch.utils.dlpack")?.getattr("to_dlpack")?.unbind(),
            })
        })
    }
}

/// The table of functions on `torch.Tensor`, where torch has one of a version that we know. The environment variable
/// `PATINA3D_DLPACK_CAPSULES=1` leaves it aside, so that tests reach the older way on every torch.
fn exchange_api(tensor: &Bound<'_, PyAny>) -> PyResult<Option<Exchange>> {
    if std::env::var_os("PATINA3D_DLPACK_CAPSULES").is_some_and(|value| value == "1") {
        return Ok(None);
    }
    let Some(capsule) = tensor.getattr_opt("__dlpack_c_exchange_api__")? else { return Ok(None) };
    let Ok(capsule) = capsule.cast_into::<PyCapsule>() else { return Ok(None) };
    let Ok(pointer) = capsule.pointer_checked(Some(EXCHANGE_NAME)) else { return Ok(None) };
    // SAFETY: DLPack: a capsule of this name holds a table that lives as long as the process, and its header comes first.
    let api = unsafe { pointer.cast::<ExchangeApi>().as_ref() };
    if api.header.version.major != 1 {
        return Ok(None);
    }
    Ok(api.dltensor_from_py_object_no_sync.map(|export| Exchange { export, current_stream: api.current_work_stream }))
}

/// One call of an operator.
pub(crate) struct Call<'py> {
    py: Python<'py>,
    operator: &'static str,
    torch: &'py Torch,
    threads: usize,
    /// Plain copies of arguments that were not plain: their memory must last as long as the views of it.
    copies: RefCell<Vec<Bound<'py, PyAny>>>,
}

impl<'py> Call<'py> {
    /// Begins a call; `operator` is the public name that errors show.
    pub(crate) fn new(py: Python<'py>, operator: &'static str) -> PyResult<Self> {
        let torch = Torch::get(py)?;
        let threads = torch.get_num_threads.bind(py).call0()?.extract()?;
        Ok(Self { py, operator, torch, threads, copies: RefCell::default() })
    }

    /// A tensor argument. One that is strided, or that torch negates lazily (DLPack does not carry that bit), is copied.
    pub(crate) fn input(&self, name: &'static str, object: &Bound<'py, PyAny>) -> PyResult<Tensor<'py>> {
        self.expect_tensor(name, object)?;
        if object.call_method0(pyo3::intern!(self.py, "is_neg"))?.is_truthy()? {
            return self.input_copy(name, object, pyo3::intern!(self.py, "resolve_neg"));
        }
        let view = self.view(name, object, |operator, name, tensor, device| {
            // SAFETY: the caller holds the object, and `self` the copies, as long as the view is used; torch's tensors
            // do not move. Strides are those of `tensor`.
            unsafe { is_contiguous(tensor).then(|| Tensor::from_dlpack(operator, name, tensor, device)).transpose() }
        })?;
        match view {
            Some(tensor) => Ok(tensor),
            None => self.input_copy(name, object, pyo3::intern!(self.py, "contiguous")),
        }
    }

    fn input_copy(
        &self,
        name: &'static str,
        object: &Bound<'py, PyAny>,
        method: &Bound<'py, PyString>,
    ) -> PyResult<Tensor<'py>> {
        let copy = object.call_method0(method)?;
        let tensor = self.input(name, &copy)?;
        self.copies.borrow_mut().push(copy);
        Ok(tensor)
    }

    fn expect_tensor(&self, name: &'static str, object: &Bound<'py, PyAny>) -> PyResult<()> {
        if object.is_instance(self.torch.tensor.bind(self.py))? {
            return Ok(());
        }
        let got = object.get_type().fully_qualified_name()?.to_string();
        Err(to_python(Error::dtype(self.operator, name, "a torch.Tensor", got)))
    }

    /// A tensor argument that may be `None`.
    pub(crate) fn optional(
        &self,
        name: &'static str,
        object: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Tensor<'py>>> {
        object.map(|object| self.input(name, object)).transpose()
    }

    /// A new tensor on the device of `like`, of its dtype, for the operator to fill.
    pub(crate) fn empty_like(
        &self,
        like: &Bound<'py, PyAny>,
        sizes: &[usize],
    ) -> PyResult<(Bound<'py, PyAny>, TensorMut<'py>)> {
        self.empty(like, sizes, None)
    }

    /// A new index tensor on the device of `like`.
    pub(crate) fn empty_index(
        &self,
        like: &Bound<'py, PyAny>,
        sizes: &[usize],
    ) -> PyResult<(Bound<'py, PyAny>, TensorMut<'py>)> {
        self.empty(like, sizes, Some(&self.torch.int64))
    }

    /// A new tensor of 32-bit numbers on the device of `like`.
    pub(crate) fn empty_number(
        &self,
        like: &Bound<'py, PyAny>,
        sizes: &[usize],
    ) -> PyResult<(Bound<'py, PyAny>, TensorMut<'py>)> {
        self.empty(like, sizes, Some(&self.torch.int32))
    }

    /// Scratch memory on the device of `like`, if there must be some; keep the object until the kernels are launched
    /// (torch's allocator then reuses it in stream order).
    pub(crate) fn scratch(
        &self,
        like: &Bound<'py, PyAny>,
        bytes: usize,
    ) -> PyResult<(Option<Bound<'py, PyAny>>, TensorMut<'py>)> {
        if bytes == 0 {
            return Ok((None, TensorMut::from_slice::<u8>(self.operator, &mut [], &[0]).map_err(to_python)?));
        }
        let (object, tensor) = self.empty(like, &[bytes], Some(&self.torch.uint8))?;
        Ok((Some(object), tensor))
    }

    fn empty(
        &self,
        like: &Bound<'py, PyAny>,
        sizes: &[usize],
        dtype: Option<&Py<PyAny>>,
    ) -> PyResult<(Bound<'py, PyAny>, TensorMut<'py>)> {
        let shape = PyTuple::new(self.py, sizes)?;
        let object = match dtype {
            None => like.call_method1(pyo3::intern!(self.py, "new_empty"), (shape,))?,
            Some(dtype) => {
                let options = PyDict::new(self.py);
                options.set_item(pyo3::intern!(self.py, "dtype"), dtype)?;
                like.call_method(pyo3::intern!(self.py, "new_empty"), (shape,), Some(&options))?
            }
        };
        let tensor = self.view("an output", &object, |operator, name, tensor, device| {
            // SAFETY: as for inputs, and nobody else has seen this new tensor.
            unsafe { TensorMut::from_dlpack(operator, name, tensor, device) }
        })?;
        Ok((object, tensor))
    }

    /// Runs the operator without the GIL, with the same arithmetic whatever mode torch has put this thread into.
    pub(crate) fn run<R: Send>(&self, body: impl FnOnce() -> patina3d_core::Result<R> + Send) -> PyResult<R> {
        guard(self.operator, || self.py.detach(|| subnormals::kept(body)).map_err(to_python))
    }

    fn view<R>(
        &self,
        name: &'static str,
        object: &Bound<'py, PyAny>,
        wrap: impl FnOnce(&'static str, &'static str, &DLTensor, Device) -> patina3d_core::Result<R>,
    ) -> PyResult<R> {
        if let Some(Exchange { export, .. }) = self.torch.exchange {
            let mut tensor = std::mem::MaybeUninit::<DLTensor>::uninit();
            // SAFETY: `object` is a tensor and lives through the call; the function fills in `tensor` when it returns 0.
            if unsafe { export(object.as_ptr().cast(), tensor.as_mut_ptr()) } != 0 {
                return Err(PyErr::fetch(self.py));
            }
            // SAFETY: it returned 0.
            let tensor = unsafe { tensor.assume_init() };
            let device = self.device(name, object, &tensor)?;
            return wrap(self.operator, name, &tensor, device).map_err(to_python);
        }
        let capsule = self.torch.to_dlpack.bind(self.py).call1((object,))?.cast_into::<PyCapsule>()?;
        let pointer = capsule.pointer_checked(Some(CAPSULE_NAME))?.cast::<DLManagedTensor>();
        // SAFETY: DLPack: a capsule of this name holds a managed tensor. We do not take it over: the capsule frees it,
        // and the memory it points to belongs to `object`.
        let tensor = unsafe { &pointer.as_ref().dl_tensor };
        let device = self.device(name, object, tensor)?;
        wrap(self.operator, name, tensor, device).map_err(to_python)
    }

    fn device(&self, name: &'static str, object: &Bound<'py, PyAny>, tensor: &DLTensor) -> PyResult<Device> {
        match tensor.device.device_type {
            1 | 3 if is_emulating() => Ok(Device::Gpu(Gpu::Emulated)),
            1 | 3 => Ok(Device::Cpu { threads: self.threads }),
            2 | 13 => Ok(Device::Gpu(Gpu::Cuda { ordinal: tensor.device.device_id, stream: self.stream(tensor)? })),
            _ => {
                let got = object.getattr(pyo3::intern!(self.py, "device"))?.str()?.to_string();
                Err(to_python(Error::value(self.operator, name, "on the CPU or a CUDA device", got)))
            }
        }
    }

    /// Torch's current stream of the tensor's device.
    fn stream(&self, tensor: &DLTensor) -> PyResult<usize> {
        let ordinal = tensor.device.device_id;
        if let Some(Exchange { current_stream: Some(current), .. }) = self.torch.exchange {
            let mut stream: *mut c_void = std::ptr::null_mut();
            // SAFETY: `stream` is writable; 2 is DLPack's CUDA, and `ordinal` came from a tensor.
            if unsafe { current(2, ordinal, &raw mut stream) } != 0 {
                return Err(PyErr::fetch(self.py));
            }
            return Ok(stream as usize);
        }
        let cuda = self.py.import(pyo3::intern!(self.py, "torch.cuda"))?;
        cuda.call_method1("current_stream", (ordinal,))?.getattr("cuda_stream")?.extract()
    }
}

/// Calls `body`; a panic becomes a `RuntimeError` (`PyO3`'s own `PanicException` would slip through `except Exception`).
pub(crate) fn guard<R>(operator: &str, body: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let reason = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no reason given");
        Err(PyRuntimeError::new_err(format!("{operator}: internal error: {reason}")))
    })
}

/// Our error as the Python exception of its kind.
#[expect(clippy::needless_pass_by_value, reason = "the last word on an error, for `map_err`")]
pub(crate) fn to_python(error: Error) -> PyErr {
    match error {
        Error::Value(_) => PyValueError::new_err(error.to_string()),
        Error::Type(_) => PyTypeError::new_err(error.to_string()),
        Error::Device { .. } => DeviceError::new_err(error.to_string()),
    }
}
