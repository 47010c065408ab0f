// SPDX-License-Identifier: Apache-2.0
//! The eight types of number that a PLY file may hold, one by one and in columns.

use std::ops::Range;

use crate::number::{Float, float, float_word, integer};

/// The type of a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// `char`, `int8`
    Int8,
    /// `uchar`, `uint8`
    UInt8,
    /// `short`, `int16`
    Int16,
    /// `ushort`, `uint16`
    UInt16,
    /// `int`, `int32`
    Int32,
    /// `uint`, `uint32`
    UInt32,
    /// `float`, `float32`
    Float32,
    /// `double`, `float64`
    Float64,
}

impl Scalar {
    pub(super) fn from_name(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"char" | b"int8" => Self::Int8,
            b"uchar" | b"uint8" => Self::UInt8,
            b"short" | b"int16" => Self::Int16,
            b"ushort" | b"uint16" => Self::UInt16,
            b"int" | b"int32" => Self::Int32,
            b"uint" | b"uint32" => Self::UInt32,
            b"float" | b"float32" => Self::Float32,
            b"double" | b"float64" => Self::Float64,
            _ => return None,
        })
    }

    /// The name in a file and in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Int8 => "char",
            Self::UInt8 => "uchar",
            Self::Int16 => "short",
            Self::UInt16 => "ushort",
            Self::Int32 => "int",
            Self::UInt32 => "uint",
            Self::Float32 => "float",
            Self::Float64 => "double",
        }
    }

    /// Bytes in a packed record.
    pub fn size(self) -> usize {
        match self {
            Self::Int8 | Self::UInt8 => 1,
            Self::Int16 | Self::UInt16 => 2,
            Self::Int32 | Self::UInt32 | Self::Float32 => 4,
            Self::Float64 => 8,
        }
    }

    pub(super) fn is_integer(self) -> bool {
        !matches!(self, Self::Float32 | Self::Float64)
    }
}

/// A number that stands in a file, packed or as a word.
pub(super) trait Number: Copy {
    /// The nearest single.
    fn to_single(self) -> f32;
    /// From the first bytes of `packed`, which hold at least one.
    fn unpack<const BIG: bool>(packed: &[u8]) -> Self;
    fn from_word(word: &[u8]) -> Option<Self>;
}

macro_rules! number {
    ($type:ty, $from_word:path) => {
        impl Number for $type {
            #[inline(always)]
            fn unpack<const BIG: bool>(packed: &[u8]) -> Self {
                let bytes = packed.first_chunk().copied().unwrap_or_default();
                if BIG { Self::from_be_bytes(bytes) } else { Self::from_le_bytes(bytes) }
            }

            #[inline(always)]
            fn to_single(self) -> f32 {
                self as f32
            }

            #[inline]
            fn from_word(word: &[u8]) -> Option<Self> {
                $from_word(word)
            }
        }
    };
}
number!(i8, whole);
number!(u8, whole);
number!(i16, whole);
number!(u16, whole);
number!(i32, whole);
number!(u32, whole);
number!(f32, real);
number!(f64, real);

#[inline]
fn real<T: Float>(word: &[u8]) -> Option<T> {
    match float(word) {
        Some((value, len)) if len == word.len() => Some(value),
        _ => float_word(word),
    }
}

/// An integer of a type, also where it is written `1.0` or `1e3`.
#[inline]
fn whole<T: TryFrom<i64>>(word: &[u8]) -> Option<T> {
    let value = match integer(word) {
        Some((value, len)) if len == word.len() => value,
        _ => {
            let value: f64 = float_word(word)?;
            (value.fract() == 0.0).then_some(value as i64)?
        }
    };
    T::try_from(value).ok()
}

/// Numbers of one type.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "named as in `Scalar`")]
pub enum Values {
    Int8(Vec<i8>),
    UInt8(Vec<u8>),
    Int16(Vec<i16>),
    UInt16(Vec<u16>),
    Int32(Vec<i32>),
    UInt32(Vec<u32>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
}

/// `body` with the vector inside `values` under the name `vector`.
macro_rules! with_vector {
    ($values:expr, $vector:ident => $body:expr) => {
        match $values {
            Values::Int8($vector) => $body,
            Values::UInt8($vector) => $body,
            Values::Int16($vector) => $body,
            Values::UInt16($vector) => $body,
            Values::Int32($vector) => $body,
            Values::UInt32($vector) => $body,
            Values::Float32($vector) => $body,
            Values::Float64($vector) => $body,
        }
    };
}

impl Values {
    pub(super) fn with_capacity(scalar: Scalar, capacity: usize) -> Self {
        match scalar {
            Scalar::Int8 => Self::Int8(Vec::with_capacity(capacity)),
            Scalar::UInt8 => Self::UInt8(Vec::with_capacity(capacity)),
            Scalar::Int16 => Self::Int16(Vec::with_capacity(capacity)),
            Scalar::UInt16 => Self::UInt16(Vec::with_capacity(capacity)),
            Scalar::Int32 => Self::Int32(Vec::with_capacity(capacity)),
            Scalar::UInt32 => Self::UInt32(Vec::with_capacity(capacity)),
            Scalar::Float32 => Self::Float32(Vec::with_capacity(capacity)),
            Scalar::Float64 => Self::Float64(Vec::with_capacity(capacity)),
        }
    }

    /// Their type.
    pub fn scalar(&self) -> Scalar {
        match self {
            Self::Int8(_) => Scalar::Int8,
            Self::UInt8(_) => Scalar::UInt8,
            Self::Int16(_) => Scalar::Int16,
            Self::UInt16(_) => Scalar::UInt16,
            Self::Int32(_) => Scalar::Int32,
            Self::UInt32(_) => Scalar::UInt32,
            Self::Float32(_) => Scalar::Float32,
            Self::Float64(_) => Scalar::Float64,
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        with_vector!(self, values => values.len())
    }

    /// None.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the number that a word is; false when it is none of this type.
    #[inline]
    #[must_use]
    pub(super) fn push_word(&mut self, word: &[u8]) -> bool {
        with_vector!(self, values => match Number::from_word(word) {
            Some(value) => {
                values.push(value);
                true
            }
            None => false,
        })
    }

    /// Appends the numbers that begin every `stride` bytes of `packed`.
    #[inline]
    pub(super) fn extend_packed<const BIG: bool>(&mut self, packed: &[u8], stride: usize) {
        with_vector!(self, values => extend::<_, BIG>(values, packed, stride));
    }

    /// Appends the numbers that stand one after the other in a part of every record of a table.
    pub(super) fn extend_groups<const BIG: bool>(&mut self, table: &[u8], record_size: usize, part: Range<usize>) {
        let size = self.scalar().size();
        with_vector!(self, values => {
            values.reserve_exact(table.len() / record_size * (part.len() / size));
            for record in table.chunks_exact(record_size) {
                extend::<_, BIG>(values, record.get(part.clone()).unwrap_or_default(), size);
            }
        });
    }
}

#[inline(always)]
fn extend<T: Number, const BIG: bool>(values: &mut Vec<T>, packed: &[u8], stride: usize) {
    values.extend(packed.chunks(stride).map(T::unpack::<BIG>));
}

/// Columns side by side as singles: calls `set` with the place of each value in the table of rows, and the value.
pub fn rows(columns: &[&Values], mut set: impl FnMut(usize, f32)) {
    for (i, column) in columns.iter().enumerate() {
        with_vector!(column, values => for (row, &value) in values.iter().enumerate() {
            set(row * columns.len() + i, value.to_single());
        });
    }
}
