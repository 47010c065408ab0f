// SPDX-License-Identifier: Apache-2.0
//! MTL: the materials that a Wavefront OBJ file names, as text.
//!
//! [`read`] understands `newmtl`, the colours `Ka`, `Kd`, `Ks`, the exponent `Ns` and the image `map_Kd`. Other
//! statements (opacity, illumination models, other maps) are passed over.

use std::collections::HashMap;

use crate::error::Result;
use crate::number::float_word;
use crate::statement::Cursor;

/// One material; what the file does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Material {
    /// `newmtl`: the name, in the bytes of the file.
    pub name: Vec<u8>,
    /// `Ka`.
    pub ambient: Option<[f32; 3]>,
    /// `Kd`.
    pub diffuse: Option<[f32; 3]>,
    /// `Ks`.
    pub specular: Option<[f32; 3]>,
    /// `Ns`: the exponent of the highlight.
    pub shininess: Option<f32>,
    /// `map_Kd`: the name of the image file, in the bytes of the file.
    pub diffuse_map: Option<Vec<u8>>,
    /// The options of `map_Kd`, such as `-s 2 2 1`, as they stand in the file.
    pub diffuse_map_options: Vec<u8>,
    /// Whether they scale or move texture coordinates: `-s` by other than 1, `-o` or `-t` by other than 0.
    pub diffuse_map_is_moved: bool,
}

/// Reads an MTL file: its materials, in order of first `newmtl`; a second one of a name starts it afresh.
///
/// # Errors
/// A name that is missing, a colour of none or two numbers, a word that is not a number, a property before the
/// first `newmtl`. The spectral and CIE forms of colours (`Kd spectral ...`, `Kd xyz ...`) are passed over.
pub fn read(bytes: &[u8]) -> Result<Vec<Material>> {
    let mut cursor = Cursor::new("mtl", bytes);
    let mut materials: Vec<Material> = Vec::new();
    let mut index: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut current = None;
    while !cursor.at_end() {
        if cursor.next_word() {
            let keyword = cursor.word();
            if keyword == b"newmtl" {
                let name = cursor.name("newmtl needs the name of a material")?.to_vec();
                let at = *index.entry(name.clone()).or_insert(materials.len());
                let fresh = Material { name, ..Material::default() };
                match materials.get_mut(at) {
                    Some(material) => *material = fresh,
                    None => materials.push(fresh),
                }
                current = Some(at);
            } else if matches!(keyword, b"Ka" | b"Kd" | b"Ks" | b"Ns" | b"map_Kd") {
                let Some(material) = current.and_then(|at: usize| materials.get_mut(at)) else {
                    let keyword = String::from_utf8_lossy(keyword);
                    return Err(cursor.error(format!("{keyword} stands before the first newmtl")));
                };
                read_property(keyword, &mut cursor, material)?;
            }
        }
        cursor.end_statement();
    }
    Ok(materials)
}

fn read_property(keyword: &[u8], cursor: &mut Cursor, material: &mut Material) -> Result<()> {
    match keyword {
        b"Ka" => material.ambient = color("Ka", cursor)?.or(material.ambient),
        b"Kd" => material.diffuse = color("Kd", cursor)?.or(material.diffuse),
        b"Ks" => material.specular = color("Ks", cursor)?.or(material.specular),
        b"Ns" => material.shininess = Some(cursor.numbers::<1>("Ns")?[0]),
        _ => {
            let text = cursor.rest();
            let (options, is_moved) = read_options(text);
            let name = text[options..].trim_ascii();
            if name.is_empty() {
                return Err(cursor.error("map_Kd needs a file name".to_owned()));
            }
            material.diffuse_map = Some(name.to_vec());
            material.diffuse_map_options = text[..options].trim_ascii().to_vec();
            material.diffuse_map_is_moved = is_moved;
        }
    }
    Ok(())
}

/// Red, green and blue; one number is grey; `None` for a colour of another form.
fn color(keyword: &str, cursor: &mut Cursor) -> Result<Option<[f32; 3]>> {
    if cursor.next_word() && (cursor.is_at(b"spectral") || cursor.is_at(b"xyz")) {
        return Ok(None);
    }
    let mut color = [cursor.numbers::<1>(keyword)?[0]; 3];
    for (i, channel) in color.iter_mut().enumerate().skip(1) {
        if cursor.next_word() {
            [*channel] = cursor.numbers(keyword)?;
        } else if i == 1 {
            break;
        } else {
            return Err(cursor.error(format!("{keyword} does not have 1 or 3 values, got {i}")));
        }
    }
    Ok(Some(color))
}

/// How many words follow an option of a map. What scales and moves is followed by up to three, all numbers, and these
/// are neutral.
enum Arguments {
    Words(usize),
    Numbers { neutral: f32 },
}

fn arguments(option: &[u8]) -> Option<Arguments> {
    match option {
        b"-blendu" | b"-blendv" | b"-cc" | b"-clamp" | b"-imfchan" | b"-texres" | b"-type" | b"-bm" | b"-boost" => {
            Some(Arguments::Words(1))
        }
        b"-mm" => Some(Arguments::Words(2)),
        b"-s" => Some(Arguments::Numbers { neutral: 1.0 }),
        b"-o" | b"-t" => Some(Arguments::Numbers { neutral: 0.0 }),
        _ => None,
    }
}

/// How much of the text after `map_Kd` are options and their arguments, and whether these move coordinates. The file
/// name, which may hold blanks, follows.
#[expect(clippy::float_cmp, reason = "neutral numbers are written exactly")]
fn read_options(text: &[u8]) -> (usize, bool) {
    let (mut at, mut is_moved) = (0, false);
    while let Some((option, end)) = word(text, at)
        && let Some(arguments) = arguments(option)
    {
        at = end;
        match arguments {
            Arguments::Words(count) => {
                for _ in 0..count {
                    at = word(text, at).map_or(at, |(_, end)| end);
                }
            }
            Arguments::Numbers { neutral } => {
                for _ in 0..3 {
                    let Some((argument, end)) = word(text, at) else { break };
                    let Some(number) = float_word::<f32>(argument) else { break };
                    is_moved |= number != neutral;
                    at = end;
                }
            }
        }
    }
    (at, is_moved)
}

/// The first word of `text` from `at`, and where it ends.
fn word(text: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let start = at + text[at..].iter().position(|byte| !byte.is_ascii_whitespace())?;
    let end = text[start..].iter().position(u8::is_ascii_whitespace).map_or(text.len(), |len| start + len);
    Some((&text[start..end], end))
}
