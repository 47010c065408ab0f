// SPDX-License-Identifier: Apache-2.0
//! PLY, the polygon file format of Stanford: any elements with any properties, as text or packed in either byte order.
//!
//! [`read`] gives all that a file holds, column by column, without giving it a meaning; [`write`] writes a mesh.

mod ascii;
mod binary;
mod header;
mod polygons;
mod values;
mod write;

pub use header::{Element, Format, Header, Kind, Property};
pub use polygons::{Polygons, Triangle};
pub use values::{Scalar, Values, rows};
pub use write::{Colors, Mesh, write};

use crate::error::{Error, Result};

/// What one property holds in all records of its element.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// One value a record.
    Scalars(Values),
    /// A list a record: the lengths of the lists, and their items one after the other.
    Lists(Vec<u32>, Values),
}

/// The content of a PLY file.
#[derive(Clone, Debug, PartialEq)]
pub struct Ply {
    /// What the file says of itself.
    pub header: Header,
    /// For each element of the header, a column for each of its properties.
    pub elements: Vec<Vec<Column>>,
}

/// Reads a PLY file.
///
/// # Errors
/// A header that breaks the rules of the format; a record with too few or too many values, or values that are not
/// numbers of the declared type; an end before the last record, or more than blanks after it.
pub fn read(bytes: &[u8]) -> Result<Ply> {
    let (header, body) = Header::read(bytes)?;
    let elements = match header.format {
        Format::Ascii => ascii::read(&header, &bytes[body..])?,
        Format::BinaryLittleEndian => binary::read::<false>(&header, &bytes[body..])?,
        Format::BinaryBigEndian => binary::read::<true>(&header, &bytes[body..])?,
    };
    Ok(Ply { header, elements })
}

/// Empty columns for the records of an element. The rest of the file holds `most` of them or fewer.
fn columns(element: &Element, most: usize) -> Vec<Column> {
    // A declared count is only a claim: memory is set aside for no more than the file can bear out.
    let records = element.count.min(most);
    let column = |property: &Property| match property.kind {
        Kind::Scalar(scalar) => Column::Scalars(Values::with_capacity(scalar, records)),
        Kind::List { item, .. } => Column::Lists(Vec::with_capacity(records), Values::with_capacity(item, records)),
    };
    element.properties.iter().map(column).collect()
}

fn error_at(line: usize, message: String) -> Error {
    Error::at_line("ply", line, message)
}

/// Of a file that ends before a record does.
fn not_enough_data(element: &Element, record: usize) -> String {
    format!("Not enough data for {}: the file ends before the end of {}", element.name, record_name(element, record))
}

/// `record 3 of the 8 of element face`.
fn record_name(element: &Element, record: usize) -> String {
    format!("record {} of the {} of element {}", record + 1, element.count, element.name)
}
