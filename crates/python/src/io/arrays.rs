// SPDX-License-Identifier: Apache-2.0
//! Numbers to bytes and back, in the machine's byte order.

use pyo3::prelude::*;
use pyo3::types::PyByteArray;

/// A number that crosses as its bytes.
pub(super) trait Number<const SIZE: usize>: Copy {
    fn to_bytes(self) -> [u8; SIZE];
    fn from_bytes(bytes: [u8; SIZE]) -> Self;
}

macro_rules! number {
    ($($type:ty)*) => {$(
        impl Number<{ size_of::<$type>() }> for $type {
            fn to_bytes(self) -> [u8; size_of::<$type>()] {
                self.to_ne_bytes()
            }

            fn from_bytes(bytes: [u8; size_of::<$type>()]) -> Self {
                Self::from_ne_bytes(bytes)
            }
        }
    )*};
}
number!(i8 u8 i16 u16 i32 u32 i64 f32 f64);

/// A `bytearray` that `torch.frombuffer` reads in place.
pub(super) fn bytearray<'py, T: Number<SIZE>, const SIZE: usize>(
    py: Python<'py>,
    values: &[T],
) -> PyResult<Bound<'py, PyByteArray>> {
    PyByteArray::new_with(py, size_of_val(values), |bytes| {
        for (bytes, value) in bytes.as_chunks_mut::<SIZE>().0.iter_mut().zip(values) {
            *bytes = value.to_bytes();
        }
        Ok(())
    })
}

/// Rows of `COLUMNS` numbers; what does not fill a row is left out.
pub(super) fn rows<T: Number<SIZE>, const SIZE: usize, const COLUMNS: usize>(bytes: &[u8]) -> Vec<[T; COLUMNS]> {
    let (numbers, _) = bytes.as_chunks::<SIZE>();
    let (rows, _) = numbers.as_chunks::<COLUMNS>();
    rows.iter().map(|row| row.map(T::from_bytes)).collect()
}
