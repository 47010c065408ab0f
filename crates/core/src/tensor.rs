// SPDX-License-Identifier: Apache-2.0
//! Borrowed, typed, shaped views of somebody else's contiguous memory.

use std::marker::PhantomData;

use crate::device::{Device, Gpu};
use crate::dlpack::{DLDataType, DLTensor, is_contiguous};
use crate::error::{Error, Result};

/// The most axes a tensor may have here.
pub const MAX_RANK: usize = 8;

/// Element types that cross the border.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DType {
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
    /// IEEE half.
    F16,
    /// bfloat16.
    BF16,
    /// 64-bit signed integer: every index tensor.
    I64,
    /// 32-bit signed integer.
    I32,
    /// Byte; also scratch memory.
    U8,
    /// Boolean, one byte.
    Bool,
    /// Anything else, by its DLPack code and bits.
    Other(u8, u8),
}

impl DType {
    /// Bytes of an element.
    pub fn bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::U8 | Self::Bool => 1,
            Self::Other(_, bits) => usize::from(bits).div_ceil(8),
        }
    }

    /// What the names of kernels end in: that of float64, or that of float32 for every other.
    pub fn suffix(self) -> &'static str {
        if self == Self::F64 { f64::SUFFIX } else { f32::SUFFIX }
    }

    /// From DLPack's description.
    pub fn from_dlpack(dtype: DLDataType) -> Self {
        match (dtype.code, dtype.bits, dtype.lanes) {
            (2, 32, 1) => Self::F32,
            (2, 64, 1) => Self::F64,
            (2, 16, 1) => Self::F16,
            (4, 16, 1) => Self::BF16,
            (0, 64, 1) => Self::I64,
            (0, 32, 1) => Self::I32,
            (1, 8, 1) => Self::U8,
            (6, 8, 1) => Self::Bool,
            (code, bits, _) => Self::Other(code, bits),
        }
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self {
            Self::F32 => "float32",
            Self::F64 => "float64",
            Self::F16 => "float16",
            Self::BF16 => "bfloat16",
            Self::I64 => "int64",
            Self::I32 => "int32",
            Self::U8 => "uint8",
            Self::Bool => "bool",
            Self::Other(0, bits) => return write!(f, "int{bits}"),
            Self::Other(1, bits) => return write!(f, "uint{bits}"),
            Self::Other(5, bits) => return write!(f, "complex{bits}"),
            Self::Other(code, bits) => return write!(f, "a type of DLPack code {code} with {bits} bits"),
        };
        f.write_str(name)
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A Rust type that is the element of a tensor.
pub trait Element: sealed::Sealed + Copy + Send + Sync + 'static {
    /// Its tag.
    const DTYPE: DType;
}

macro_rules! element {
    ($($rust:ty => $tag:ident),*) => { $(
        impl sealed::Sealed for $rust {}
        impl Element for $rust { const DTYPE: DType = DType::$tag; }
    )* };
}
// Torch computes little with uint32: numbers without a sign travel as the bits of int32.
element!(f32 => F32, f64 => F64, i64 => I64, i32 => I32, u32 => I32, u8 => U8);

/// float32 or float64: what geometry is computed in.
pub trait Real: Element + PartialOrd + Default {
    /// Ends kernel names: `f32` or `f64`.
    const SUFFIX: &'static str;
}
impl Real for f32 {
    const SUFFIX: &'static str = "f32";
}
impl Real for f64 {
    const SUFFIX: &'static str = "f64";
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    sizes: [usize; MAX_RANK],
    rank: usize,
}

impl Shape {
    fn new(sizes: &[usize]) -> Option<Self> {
        let mut shape = Self { sizes: [0; MAX_RANK], rank: sizes.len() };
        shape.sizes.get_mut(..sizes.len())?.copy_from_slice(sizes);
        shape.sizes[..shape.rank].iter().try_fold(1_usize, |n, &size| n.checked_mul(size))?;
        Some(shape)
    }

    fn as_slice(&self) -> &[usize] {
        &self.sizes[..self.rank]
    }

    fn numel(&self) -> usize {
        self.as_slice().iter().product()
    }
}

/// The address of a tensor's first element, as kernels receive it; 0 stands for an absent tensor.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DevicePtr(pub u64);

impl DevicePtr {
    /// That of a tensor, if there is one.
    pub fn of(tensor: Option<Tensor<'_>>) -> Self {
        tensor.map_or_else(Self::default, |tensor| tensor.device_ptr())
    }

    /// This many bytes further on.
    #[must_use]
    pub fn after(self, bytes: usize) -> Self {
        Self(self.0 + bytes as u64)
    }
}

/// A contiguous (row-major) tensor that somebody else owns and nobody writes while it is borrowed.
#[derive(Debug, Clone, Copy)]
pub struct Tensor<'a> {
    data: *const u8,
    dtype: DType,
    shape: Shape,
    device: Device,
    borrow: PhantomData<&'a [u8]>,
}

// SAFETY: a `Tensor` is a shared borrow of plain numbers; reading them from several threads is what slices do.
#[expect(unsafe_code, reason = "raw pointers are not Send by themselves")]
unsafe impl Send for Tensor<'_> {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "raw pointers are not Sync by themselves")]
unsafe impl Sync for Tensor<'_> {}

impl<'a> Tensor<'a> {
    /// A tensor over a Rust slice, computed on with one thread (see [`Self::with_threads`]).
    pub fn from_slice<T: Element>(operator: &'static str, values: &'a [T], sizes: &[usize]) -> Result<Self> {
        let shape = shape_of(operator, "a tensor", sizes)?;
        if shape.numel() != values.len() {
            return Err(Error::value(
                operator,
                "a tensor",
                format!("{} elements for shape {sizes:?}", shape.numel()),
                values.len().to_string(),
            ));
        }
        Ok(Self { data: values.as_ptr().cast(), dtype: T::DTYPE, shape, device: Device::SERIAL, borrow: PhantomData })
    }

    /// A tensor that DLPack describes; `device` says which threads or which stream to use.
    ///
    /// # Safety
    /// `tensor` must describe memory that stays valid and unwritten for `'a`, and its shape and strides must be readable
    /// during this call.
    #[expect(unsafe_code, reason = "the border to a foreign struct")]
    pub unsafe fn from_dlpack(
        operator: &'static str,
        argument: &'static str,
        tensor: &DLTensor,
        device: Device,
    ) -> Result<Self> {
        let rank = usize::try_from(tensor.ndim).unwrap_or(usize::MAX);
        if rank > MAX_RANK {
            return Err(Error::value(operator, argument, format!("of at most {MAX_RANK} axes"), rank.to_string()));
        }
        // SAFETY: the producer promises `ndim` readable sizes (a null pointer for a scalar), and strides unless null.
        let given = if rank == 0 { &[] } else { unsafe { std::slice::from_raw_parts(tensor.shape, rank) } };
        // SAFETY: as above.
        let contiguous = unsafe { is_contiguous(tensor) };
        let mut sizes = [0_usize; MAX_RANK];
        for (size, &given) in sizes.iter_mut().zip(given) {
            *size = usize::try_from(given)
                .map_err(|_| Error::value(operator, argument, "of non-negative sizes", given.to_string()))?;
        }
        let shape = shape_of(operator, argument, &sizes[..rank])?;
        if !contiguous {
            return Err(Error::value(operator, argument, "contiguous", "a strided tensor"));
        }
        if tensor.data.is_null() && shape.numel() > 0 {
            return Err(Error::value(
                operator,
                argument,
                "a tensor with storage",
                "a tensor without storage (a fake, meta or wrapped tensor)",
            ));
        }
        let data = if tensor.data.is_null() {
            tensor.data.cast_const().cast::<u8>()
        } else {
            // SAFETY: `byte_offset` stays inside the allocation by the producer's promise.
            unsafe { tensor.data.cast_const().cast::<u8>().add(tensor.byte_offset as usize) }
        };
        Ok(Self { data, dtype: DType::from_dlpack(tensor.dtype), shape, device, borrow: PhantomData })
    }

    /// The same memory, computed on with this many threads.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        if let Device::Cpu { threads: own } = &mut self.device {
            *own = threads;
        }
        self
    }

    /// The same host memory, as kernels of the emulator see it.
    #[must_use]
    pub fn emulated(mut self) -> Self {
        if let Device::Cpu { .. } = self.device {
            self.device = Device::Gpu(Gpu::Emulated);
        }
        self
    }

    /// Sizes.
    pub fn shape(&self) -> &[usize] {
        self.shape.as_slice()
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.shape.rank
    }

    /// Number of elements.
    pub fn numel(&self) -> usize {
        self.shape.numel()
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Where it lives.
    pub fn device(&self) -> Device {
        self.device
    }

    /// What kernels receive.
    pub fn device_ptr(&self) -> DevicePtr {
        DevicePtr(self.data as u64)
    }

    /// The elements, of a tensor in host memory.
    pub fn as_slice<T: Element>(&self) -> Result<&'a [T]> {
        host_access::<T>(self.dtype, self.device)?;
        if self.numel() == 0 {
            return Ok(&[]);
        }
        if !self.data.cast::<T>().is_aligned() {
            return Err(Error::device(
                "reading a tensor",
                format!("its memory is not aligned to {} bytes", align_of::<T>()),
            ));
        }
        // SAFETY: the constructors checked length and non-null, `host_access` the element type and place, the line above
        // the alignment; the borrow lasts for 'a.
        #[expect(unsafe_code, reason = "turning a checked pointer into a slice")]
        Ok(unsafe { std::slice::from_raw_parts(self.data.cast(), self.numel()) })
    }

    /// The elements of [`Self::as_slice`], `N` at a time: the rows of a tensor whose last axis has that size.
    pub fn as_rows<T: Element, const N: usize>(&self) -> Result<&'a [[T; N]]> {
        Ok(self.as_slice()?.as_chunks().0)
    }

    /// The bytes of all elements, of a tensor of any type in host memory: for operators that only move elements.
    pub fn as_bytes(&self) -> Result<&'a [u8]> {
        on_host(self.device)?;
        if self.numel() == 0 {
            return Ok(&[]);
        }
        // SAFETY: the constructors checked length and non-null, `on_host` the place; bytes have no alignment and every
        // element is made of them; the borrow lasts for 'a.
        #[expect(unsafe_code, reason = "turning a checked pointer into a slice")]
        Ok(unsafe { std::slice::from_raw_parts(self.data, self.numel() * self.dtype.bytes()) })
    }
}

/// A contiguous tensor that one operator may write.
#[derive(Debug)]
pub struct TensorMut<'a> {
    data: *mut u8,
    dtype: DType,
    shape: Shape,
    device: Device,
    borrow: PhantomData<&'a mut [u8]>,
}

// SAFETY: a `TensorMut` is an exclusive borrow of plain numbers, which may move to another thread as `&mut [T]` may.
#[expect(unsafe_code, reason = "raw pointers are not Send by themselves")]
unsafe impl Send for TensorMut<'_> {}
// SAFETY: through a shared reference it only reads.
#[expect(unsafe_code, reason = "raw pointers are not Sync by themselves")]
unsafe impl Sync for TensorMut<'_> {}

impl<'a> TensorMut<'a> {
    /// A tensor over a Rust slice.
    pub fn from_slice<T: Element>(operator: &'static str, values: &'a mut [T], sizes: &[usize]) -> Result<Self> {
        let Tensor { dtype, shape, device, .. } = Tensor::from_slice(operator, values, sizes)?;
        Ok(Self { data: values.as_mut_ptr().cast(), dtype, shape, device, borrow: PhantomData })
    }

    /// A tensor that DLPack describes.
    ///
    /// # Safety
    /// As [`Tensor::from_dlpack`], and nobody else may read or write the memory for `'a`.
    #[expect(unsafe_code, reason = "the border to a foreign struct")]
    pub unsafe fn from_dlpack(
        operator: &'static str,
        argument: &'static str,
        tensor: &DLTensor,
        device: Device,
    ) -> Result<Self> {
        // SAFETY: the caller's promise is the stronger one.
        let Tensor { data, dtype, shape, device, .. } =
            unsafe { Tensor::from_dlpack(operator, argument, tensor, device)? };
        Ok(Self { data: data.cast_mut(), dtype, shape, device, borrow: PhantomData })
    }

    /// For reading, as long as nobody writes.
    pub fn view(&self) -> Tensor<'_> {
        Tensor { data: self.data, dtype: self.dtype, shape: self.shape, device: self.device, borrow: PhantomData }
    }

    /// The same memory, as kernels of the emulator see it.
    #[must_use]
    pub fn emulated(mut self) -> Self {
        self.device = self.view().emulated().device;
        self
    }

    /// What kernels receive.
    pub fn device_ptr(&self) -> DevicePtr {
        DevicePtr(self.data as u64)
    }

    /// The elements, of a tensor in host memory.
    pub fn as_mut_slice<T: Element>(&mut self) -> Result<&mut [T]> {
        let length = self.view().as_slice::<T>()?.len();
        if length == 0 {
            return Ok(&mut []);
        }
        // SAFETY: `as_slice` checked place, type and alignment; `&mut self` and the constructors' promise make the access
        // exclusive.
        #[expect(unsafe_code, reason = "turning a checked pointer into a slice")]
        Ok(unsafe { std::slice::from_raw_parts_mut(self.data.cast(), length) })
    }

    /// The bytes of all elements, of a tensor of any type in host memory.
    pub fn as_bytes_mut(&mut self) -> Result<&mut [u8]> {
        let length = self.view().as_bytes()?.len();
        if length == 0 {
            return Ok(&mut []);
        }
        // SAFETY: `as_bytes` checked the place; `&mut self` and the constructors' promise make the access exclusive, and
        // any bytes are numbers.
        #[expect(unsafe_code, reason = "turning a checked pointer into a slice")]
        Ok(unsafe { std::slice::from_raw_parts_mut(self.data, length) })
    }
}

fn shape_of(operator: &'static str, argument: &'static str, sizes: &[usize]) -> Result<Shape> {
    Shape::new(sizes).ok_or_else(|| {
        Error::value(
            operator,
            argument,
            format!("of at most {MAX_RANK} axes and 2^64 elements"),
            format!("shape {sizes:?}"),
        )
    })
}

fn on_host(device: Device) -> Result<()> {
    match device {
        Device::Gpu(Gpu::Cuda { ordinal, .. }) => {
            Err(Error::device("reading a tensor", format!("it lives on cuda:{ordinal}, not in host memory")))
        }
        _ => Ok(()),
    }
}

fn host_access<T: Element>(dtype: DType, device: Device) -> Result<()> {
    on_host(device)?;
    if dtype != T::DTYPE {
        return Err(Error::device("reading a tensor", format!("it holds {dtype}, not {}", T::DTYPE)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dlpack::DLDevice;

    fn describe(data: *mut std::ffi::c_void, shape: &mut [i64], strides: &mut [i64]) -> DLTensor {
        DLTensor {
            data,
            device: DLDevice { device_type: 1, device_id: 0 },
            ndim: shape.len() as i32,
            dtype: DLDataType { code: 2, bits: 32, lanes: 1 },
            shape: shape.as_mut_ptr(),
            strides: strides.as_mut_ptr(),
            byte_offset: 0,
        }
    }

    #[expect(unsafe_code, reason = "the tests own the memory they describe")]
    fn view(tensor: &DLTensor) -> Result<Tensor<'_>> {
        // SAFETY: each test keeps the described memory alive.
        unsafe { Tensor::from_dlpack("op", "x", tensor, Device::SERIAL) }
    }

    #[test]
    fn rejects_null_with_elements_and_accepts_null_without() {
        let (mut full, mut strides) = ([2, 3], [3, 1]);
        let error = view(&describe(std::ptr::null_mut(), &mut full, &mut strides)).unwrap_err();
        assert!(error.to_string().contains("without storage"), "{error}");
        let mut empty = [0, 3];
        let tensor = describe(std::ptr::null_mut(), &mut empty, &mut strides);
        assert_eq!(view(&tensor).unwrap().as_slice::<f32>().unwrap(), &[] as &[f32]);
    }

    #[test]
    fn rejects_strides_but_ignores_those_of_axes_of_size_one() {
        let mut values = [0.0_f32; 6];
        let (mut shape, mut transposed) = ([2, 3], [1, 2]);
        let error = view(&describe(values.as_mut_ptr().cast(), &mut shape, &mut transposed)).unwrap_err();
        assert!(error.to_string().contains("contiguous"), "{error}");
        let (mut shape, mut odd) = ([1, 6], [77, 1]);
        assert_eq!(view(&describe(values.as_mut_ptr().cast(), &mut shape, &mut odd)).unwrap().numel(), 6);
    }

    #[test]
    fn rejects_another_element_type_and_too_many_axes() {
        let values = [1.0_f32];
        assert!(Tensor::from_slice("op", &values, &[1]).unwrap().as_slice::<f64>().is_err());
        assert!(Tensor::from_slice("op", &values, &[1; 9]).is_err());
        assert!(Tensor::from_slice("op", &values, &[usize::MAX, 2]).is_err());
    }

    #[test]
    fn bytes_are_those_of_elements_of_any_type() {
        let mut values = [1_i64, 256];
        let mut tensor = TensorMut::from_slice("op", &mut values, &[2]).unwrap();
        tensor.as_bytes_mut().unwrap()[8] = 7;
        assert_eq!(tensor.view().as_bytes().unwrap().len(), 16);
        assert_eq!(values, [1, 256 + 7]);
        let complex = DType::from_dlpack(DLDataType { code: 5, bits: 128, lanes: 1 });
        assert_eq!([complex, DType::BF16, DType::Bool].map(DType::bytes), [16, 2, 1]);
    }
}
