// SPDX-License-Identifier: Apache-2.0
//! The C structs of DLPack (versions 0.8 to 1.3) that carry tensors across the language border.

use std::ffi::{c_int, c_void};

/// `DLDevice`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DLDevice {
    /// 1 is the CPU, 2 is CUDA, 3 is pinned host memory, 13 is managed CUDA memory.
    pub device_type: i32,
    /// Ordinal.
    pub device_id: i32,
}

/// `DLDataType`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DLDataType {
    /// 0 int, 1 uint, 2 float, 4 bfloat, 5 complex, 6 bool.
    pub code: u8,
    /// Bits of one lane.
    pub bits: u8,
    /// 1 for scalars.
    pub lanes: u16,
}

/// `DLTensor`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct DLTensor {
    /// Start of the allocation.
    pub data: *mut c_void,
    /// Where it lives.
    pub device: DLDevice,
    /// Number of axes.
    pub ndim: i32,
    /// Type of the elements.
    pub dtype: DLDataType,
    /// `ndim` sizes, owned by the tensor.
    pub shape: *mut i64,
    /// `ndim` strides in elements, or null for a compact tensor.
    pub strides: *mut i64,
    /// Offset of the first element in bytes.
    pub byte_offset: u64,
}

/// `DLManagedTensor`: what a capsule named `dltensor` holds.
#[repr(C)]
pub struct DLManagedTensor {
    /// The tensor.
    pub dl_tensor: DLTensor,
    /// The producer's data.
    pub manager_ctx: *mut c_void,
    /// Frees it.
    pub deleter: Option<unsafe extern "C" fn(*mut Self)>,
}

/// `DLPackVersion`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DLPackVersion {
    /// Changes when the layout changes.
    pub major: u32,
    /// Changes when something is added at the end.
    pub minor: u32,
}

/// `DLPackExchangeAPIHeader`.
#[repr(C)]
pub struct ExchangeHeader {
    /// Version of this table.
    pub version: DLPackVersion,
    /// An older table, or null.
    pub prev_api: *mut Self,
}

/// `DLPackExchangeAPI` of DLPack 1.3: functions on a tensor type, reached without a capsule.
#[repr(C)]
pub struct ExchangeApi {
    /// Version.
    pub header: ExchangeHeader,
    /// Allocates a tensor (not used here).
    pub managed_tensor_allocator: *const c_void,
    /// Exports a tensor with ownership (not used here).
    pub managed_tensor_from_py_object_no_sync: *const c_void,
    /// Imports a tensor (not used here).
    pub managed_tensor_to_py_object_no_sync: *const c_void,
    /// Fills in a view that borrows from the Python object; null if the type does not offer it.
    pub dltensor_from_py_object_no_sync: Option<unsafe extern "C" fn(*mut c_void, *mut DLTensor) -> c_int>,
    /// The framework's current stream of a device.
    pub current_work_stream: Option<unsafe extern "C" fn(i32, i32, *mut *mut c_void) -> c_int>,
}

/// Whether a tensor is compact in row-major order. A tensor without elements is; axes of size one do not matter.
///
/// # Safety
/// `shape` must point to `ndim` sizes, and `strides` to as many strides or be null.
#[expect(unsafe_code, reason = "the arrays are the producer's")]
pub unsafe fn is_contiguous(tensor: &DLTensor) -> bool {
    if tensor.strides.is_null() {
        return true;
    }
    let mut expected = 1_i64;
    let mut contiguous = true;
    for axis in (0..usize::try_from(tensor.ndim).unwrap_or(0)).rev() {
        // SAFETY: the caller's promise.
        let (size, stride) = unsafe { (*tensor.shape.add(axis), *tensor.strides.add(axis)) };
        if size == 0 {
            return true;
        }
        contiguous &= size == 1 || stride == expected;
        expected = expected.saturating_mul(size);
    }
    contiguous
}
