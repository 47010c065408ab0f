// SPDX-License-Identifier: Apache-2.0
//! The header: what stands in the body, and how.

use std::collections::HashSet;

use super::error_at;
use super::values::Scalar;
use crate::error::{Result, quoted};

/// How the body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As words, one record a line.
    Ascii,
    /// Packed, least significant byte first.
    BinaryLittleEndian,
    /// Packed, most significant byte first.
    BinaryBigEndian,
}

impl Format {
    /// Packed in the byte order of this machine.
    pub const BINARY_NATIVE: Self =
        if cfg!(target_endian = "big") { Self::BinaryBigEndian } else { Self::BinaryLittleEndian };

    /// The name in a file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ascii => "ascii",
            Self::BinaryLittleEndian => "binary_little_endian",
            Self::BinaryBigEndian => "binary_big_endian",
        }
    }

    fn from_name(name: &[u8]) -> Option<Self> {
        let formats = [Self::Ascii, Self::BinaryLittleEndian, Self::BinaryBigEndian];
        formats.into_iter().find(|format| format.name().as_bytes() == name)
    }
}

/// What a property is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One number.
    Scalar(Scalar),
    /// A number of items, then the items.
    List {
        /// The type of the number of items: an integer type.
        length: Scalar,
        /// The type of the items.
        item: Scalar,
    },
}

/// A value that each record of an element has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: Kind,
}

/// A table: records with the same properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// Its name.
    pub name: String,
    /// The number of its records.
    pub count: usize,
    /// What each record holds, in order; at least one.
    pub properties: Vec<Property>,
}

/// What a PLY file says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// How the body is written.
    pub format: Format,
    /// What the body holds, in order; at least one.
    pub elements: Vec<Element>,
    /// The text of each `comment`, in the bytes of the file.
    pub comments: Vec<Vec<u8>>,
    /// The text of each `obj_info`, in the bytes of the file.
    pub obj_infos: Vec<Vec<u8>>,
    /// The number of lines, the last included.
    pub lines: usize,
}

/// The names that are taken: of elements, and of the properties of the last one.
#[derive(Default)]
struct Names {
    elements: HashSet<String>,
    properties: HashSet<String>,
}

impl Header {
    /// Reads the header that a file begins with, and where the body begins.
    ///
    /// # Errors
    /// As those of [`read`](super::read) that concern the header.
    pub fn read(bytes: &[u8]) -> Result<(Self, usize)> {
        if !bytes.starts_with(b"ply\n") && !bytes.starts_with(b"ply\r\n") {
            return Err(error_at(1, "Invalid file header: the first line must be \"ply\"".to_owned()));
        }
        let mut format = None;
        let mut names = Names::default();
        let mut header =
            Self { format: Format::Ascii, elements: vec![], comments: vec![], obj_infos: vec![], lines: 0 };
        let mut at = 0;
        for (index, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
            let number = index + 1;
            at += line.len();
            let line = line.trim_ascii();
            let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            let Some(keyword) = words.next() else { continue };
            let text = line[keyword.len()..].trim_ascii();
            let words: Vec<&[u8]> = words.collect();
            match keyword {
                b"ply" if number == 1 => {}
                b"comment" if text.is_empty() => {}
                b"comment" => header.comments.push(text.to_vec()),
                b"obj_info" => header.obj_infos.push(text.to_vec()),
                b"format" if format.is_some() => return Err(error_at(number, "a second format".to_owned())),
                b"format" => format = Some(read_format(number, &words)?),
                b"element" => header.push_element(number, &words, &mut names)?,
                b"property" => header.push_property(number, &words, &mut names)?,
                b"end_header" if words.is_empty() => {
                    header.check_last_element(number)?;
                    let Some(format) = format else { return Err(error_at(number, "no format is given".to_owned())) };
                    if header.elements.is_empty() {
                        return Err(error_at(number, "no element is given".to_owned()));
                    }
                    return Ok((Self { format, lines: number, ..header }, at));
                }
                _ => {
                    let expected = "format, element, property, comment, obj_info or end_header";
                    return Err(error_at(number, format!("Invalid line: it must be {expected}, got {}", quoted(line))));
                }
            }
            header.lines = number;
        }
        Err(error_at(header.lines, "the header ends without end_header".to_owned()))
    }

    fn push_element(&mut self, line: usize, words: &[&[u8]], names: &mut Names) -> Result<()> {
        self.check_last_element(line)?;
        let [name, count] = words else {
            return Err(error_at(line, "an element needs a name and a count".to_owned()));
        };
        let name = text(name);
        if !names.elements.insert(name.clone()) {
            return Err(error_at(line, format!("a second element {name}")));
        }
        let Some(count) = std::str::from_utf8(count).ok().and_then(|count| count.parse().ok()) else {
            return Err(error_at(
                line,
                format!("Number of items for {name} was not a number of 0 or more, got {}", quoted(count)),
            ));
        };
        names.properties.clear();
        self.elements.push(Element { name, count, properties: Vec::new() });
        Ok(())
    }

    fn push_property(&mut self, line: usize, words: &[&[u8]], names: &mut Names) -> Result<()> {
        let Some(element) = self.elements.last_mut() else {
            return Err(error_at(line, "Encountered property before any element: it must belong to one".to_owned()));
        };
        let scalar = |name: &[u8]| {
            Scalar::from_name(name)
                .ok_or_else(|| error_at(line, format!("Invalid datatype: {}", quoted(name).trim_matches('"'))))
        };
        let (name, kind) = match words {
            [b"list", length, item, name] => {
                let (length, item) = (scalar(length)?, scalar(item)?);
                if !length.is_integer() {
                    let message = format!("the length of a list must have an integer type, got {}", length.name());
                    return Err(error_at(line, message));
                }
                (text(name), Kind::List { length, item })
            }
            [b"list", ..] => {
                let message = "a list property needs the type of its length, the type of its items and a name";
                return Err(error_at(line, message.to_owned()));
            }
            [kind, name] => (text(name), Kind::Scalar(scalar(kind)?)),
            _ => return Err(error_at(line, "a property needs a type and a name".to_owned())),
        };
        if !names.properties.insert(name.clone()) {
            return Err(error_at(
                line,
                format!("Cannot have two properties called {name} in {}: names must differ", element.name),
            ));
        }
        element.properties.push(Property { name, kind });
        Ok(())
    }

    fn check_last_element(&self, line: usize) -> Result<()> {
        match self.elements.last() {
            Some(element) if element.properties.is_empty() => {
                Err(error_at(line, format!("Found an element with no properties: {}", element.name)))
            }
            _ => Ok(()),
        }
    }
}

fn read_format(line: usize, words: &[&[u8]]) -> Result<Format> {
    let known = match words {
        [name, b"1.0"] => Format::from_name(name),
        _ => None,
    };
    let expected = "ascii 1.0, binary_little_endian 1.0 or binary_big_endian 1.0";
    known.ok_or_else(|| error_at(line, format!("the format must be {expected}, got {}", quoted(&words.join(&b' ')))))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
