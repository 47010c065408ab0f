// SPDX-License-Identifier: Apache-2.0
//! Bodies of words: one record a line, blank lines passed over.

use super::header::{Element, Header, Kind};
use super::{Column, columns, error_at, not_enough_data};
use crate::error::{Error, Result, quoted};
use crate::number::integer;

pub(super) fn read(header: &Header, body: &[u8]) -> Result<Vec<Vec<Column>>> {
    let mut lines = Lines { rest: body, line: header.lines };
    let mut elements = Vec::with_capacity(header.elements.len());
    for element in &header.elements {
        let least_record = 2 * element.properties.len(); // a digit and a blank each
        let mut columns = columns(element, lines.rest.len().div_ceil(least_record));
        for record in 0..element.count {
            let Some(line) = lines.next() else {
                return Err(lines.error(not_enough_data(element, record)));
            };
            read_record(element, &mut columns, line).map_err(|problem| lines.error(problem))?;
        }
        elements.push(columns);
    }
    match lines.next() {
        None => Ok(elements),
        Some(line) => {
            Err(lines.error(format!("Extra data at end of file: the last element is over, got {}", quoted(line))))
        }
    }
}

/// Appends one line's values to the columns; the error is a message alone.
#[inline]
fn read_record(element: &Element, columns: &mut [Column], line: &[u8]) -> std::result::Result<(), String> {
    let mut words = Words { rest: line };
    for (property, column) in element.properties.iter().zip(columns) {
        let missing = || wrong_length(element, &format!("it ends before property {}", property.name));
        match column {
            Column::Scalars(values) => {
                let word = words.next().ok_or_else(missing)?;
                if !values.push_word(word) {
                    return Err(wrong_value(&property.name, property.kind, word));
                }
            }
            Column::Lists(lengths, values) => {
                let word = words.next().ok_or_else(missing)?;
                let length = list_length(word).ok_or_else(|| {
                    format!("property {} must begin with the length of its list, got {}", property.name, quoted(word))
                })?;
                for item in 0..length {
                    let Some(word) = words.next() else {
                        let message = format!("property {} is a list of {length} items, got {item}", property.name);
                        return Err(wrong_length(element, &message));
                    };
                    if !values.push_word(word) {
                        return Err(wrong_value(&property.name, property.kind, word));
                    }
                }
                lengths.push(length);
            }
        }
    }
    match words.next() {
        None => Ok(()),
        Some(word) => Err(wrong_length(element, &format!("it is over, got {}", quoted(word)))),
    }
}

fn list_length(word: &[u8]) -> Option<u32> {
    match integer(word) {
        Some((value, len)) if len == word.len() => u32::try_from(value).ok(),
        _ => None,
    }
}

/// Of a record with more or fewer words than it must have.
#[cold]
fn wrong_length(element: &Element, message: &str) -> String {
    let has_list = element.properties.iter().any(|property| matches!(property.kind, Kind::List { .. }));
    if has_list {
        format!("A line of {} data did not have the specified length: {message}", element.name)
    } else {
        format!("Inconsistent data for {}: {message}", element.name)
    }
}

#[cold]
fn wrong_value(property: &str, kind: Kind, word: &[u8]) -> String {
    let (Kind::Scalar(scalar) | Kind::List { item: scalar, .. }) = kind;
    format!("property {property} must be {}, got {}", scalar.name(), quoted(word))
}

/// The lines that are not blank.
struct Lines<'a> {
    rest: &'a [u8],
    line: usize,
}

impl<'a> Lines<'a> {
    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let end = self.rest.iter().position(|&byte| byte == b'\n').unwrap_or(self.rest.len());
            let line = self.rest[..end].trim_ascii();
            self.rest = self.rest.get(end + 1..).unwrap_or_default();
            self.line += 1;
            if !line.is_empty() {
                return Some(line);
            }
        }
        None
    }

    fn error(&self, message: String) -> Error {
        error_at(self.line, message)
    }
}

/// The words of a line.
struct Words<'a> {
    rest: &'a [u8],
}

impl<'a> Words<'a> {
    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.rest.iter().position(|byte| !is_blank(*byte))?;
        let rest = &self.rest[start..];
        let end = rest.iter().position(|byte| is_blank(*byte)).unwrap_or(rest.len());
        self.rest = &rest[end..];
        Some(&rest[..end])
    }
}

#[inline(always)]
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)
}
