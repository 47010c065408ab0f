// SPDX-License-Identifier: Apache-2.0
//! Packed bodies.

use super::header::{Element, Header, Kind, Property};
use super::values::Scalar;
use super::{Column, columns, not_enough_data, record_name};
use crate::error::{Error, Result};

pub(super) fn read<const BIG: bool>(header: &Header, body: &[u8]) -> Result<Vec<Vec<Column>>> {
    let mut rest = body;
    let mut elements = Vec::with_capacity(header.elements.len());
    for element in &header.elements {
        let least_record: usize = element.properties.iter().map(least_size).sum();
        let mut columns = columns(element, rest.len() / least_record);
        let has_lists = columns.iter().any(|column| matches!(column, Column::Lists(..)));
        let after = if has_lists {
            read_equal_records::<BIG>(element, &mut columns, rest)
        } else {
            Some(read_table::<BIG>(element, least_record, &mut columns, rest)?)
        };
        rest = match after {
            Some(after) => after,
            None => read_records::<BIG>(element, &mut columns, rest)?,
        };
        elements.push(columns);
    }
    if rest.trim_ascii().is_empty() {
        return Ok(elements);
    }
    Err(Error::new("ply", format!("Extra data at end of file: {} bytes follow the last element", rest.len())))
}

/// The bytes of a scalar or of an empty list.
fn least_size(property: &Property) -> usize {
    let (Kind::Scalar(scalar) | Kind::List { length: scalar, .. }) = property.kind;
    scalar.size()
}

fn ends_early(element: &Element, record: usize) -> Error {
    Error::new("ply", not_enough_data(element, record))
}

/// Records of one size: column by column. Returns what follows them.
fn read_table<'a, const BIG: bool>(
    element: &Element,
    record_size: usize,
    columns: &mut [Column],
    bytes: &'a [u8],
) -> Result<&'a [u8]> {
    let table = element.count.checked_mul(record_size).and_then(|len| bytes.split_at_checked(len));
    let Some((table, rest)) = table else { return Err(ends_early(element, bytes.len() / record_size)) };
    let mut offset = 0;
    for (property, column) in element.properties.iter().zip(columns) {
        if let Column::Scalars(values) = column {
            values.extend_packed::<BIG>(table.get(offset..).unwrap_or_default(), record_size);
        }
        offset += least_size(property);
    }
    Ok(rest)
}

/// Records whose lists are as long in each as in the first, which makes them a table. Returns what follows them; `None`,
/// and empty columns, if they are not so.
fn read_equal_records<'a, const BIG: bool>(
    element: &Element,
    columns: &mut [Column],
    bytes: &'a [u8],
) -> Option<&'a [u8]> {
    let mut first = Vec::with_capacity(element.properties.len()); // where each property stands, and the length of a list
    let mut at = 0_usize;
    for property in &element.properties {
        let mut items = 0;
        let start = at;
        at = at.checked_add(least_size(property))?;
        if let Kind::List { length, item } = property.kind {
            items = list_length::<BIG>(length, bytes.get(start..at)?)?;
            at = at.checked_add((items as usize).checked_mul(item.size())?)?;
        }
        first.push((start, items));
    }
    let record_size = at;
    let (table, rest) = bytes.split_at_checked(element.count.checked_mul(record_size)?)?;
    for (property, &(start, _)) in element.properties.iter().zip(&first) {
        if let Kind::List { length, .. } = property.kind {
            let lengths = start..start + length.size();
            let expected = table.get(lengths.clone());
            if table.chunks_exact(record_size).any(|record| record.get(lengths.clone()) != expected) {
                return None;
            }
        }
    }
    for ((property, column), &(start, items)) in element.properties.iter().zip(columns).zip(&first) {
        match (property.kind, column) {
            (Kind::Scalar(_), Column::Scalars(values)) => {
                values.extend_packed::<BIG>(table.get(start..).unwrap_or_default(), record_size);
            }
            (Kind::List { length, item }, Column::Lists(lengths, values)) => {
                lengths.resize(element.count, items);
                let start = start + length.size();
                values.extend_groups::<BIG>(table, record_size, start..start + items as usize * item.size());
            }
            _ => {} // a column is of the kind of its property
        }
    }
    Some(rest)
}

/// Records of any size: one after the other. Returns what follows them.
fn read_records<'a, const BIG: bool>(element: &Element, columns: &mut [Column], bytes: &'a [u8]) -> Result<&'a [u8]> {
    let mut rest = bytes;
    for record in 0..element.count {
        for (property, column) in element.properties.iter().zip(&mut *columns) {
            let early = || ends_early(element, record);
            match (property.kind, column) {
                (Kind::List { length, item }, Column::Lists(lengths, values)) => {
                    let (packed, after) = rest.split_at_checked(length.size()).ok_or_else(early)?;
                    let count = list_length::<BIG>(length, packed).ok_or_else(|| {
                        let name = record_name(element, record);
                        Error::new("ply", format!("{name}: the list {} has a negative length", property.name))
                    })?;
                    let size = (count as usize).checked_mul(item.size()).ok_or_else(early)?;
                    let (packed, after) = after.split_at_checked(size).ok_or_else(early)?;
                    values.extend_packed::<BIG>(packed, item.size());
                    lengths.push(count);
                    rest = after;
                }
                (Kind::Scalar(scalar), Column::Scalars(values)) => {
                    let (packed, after) = rest.split_at_checked(scalar.size()).ok_or_else(early)?;
                    values.extend_packed::<BIG>(packed, scalar.size());
                    rest = after;
                }
                _ => {} // a column is of the kind of its property
            }
        }
    }
    Ok(rest)
}

/// The length that a list begins with; `None` where it is negative.
#[inline]
fn list_length<const BIG: bool>(scalar: Scalar, packed: &[u8]) -> Option<u32> {
    let mut value = 0_i64;
    for i in 0..packed.len() {
        value = (value << 8) | i64::from(packed[if BIG { i } else { packed.len() - 1 - i }]);
    }
    let bits = 8 * packed.len() as u32;
    if matches!(scalar, Scalar::Int8 | Scalar::Int16 | Scalar::Int32) && value >> (bits - 1) != 0 {
        return None;
    }
    u32::try_from(value).ok()
}
