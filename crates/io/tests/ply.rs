// SPDX-License-Identifier: Apache-2.0
//! What the PLY reader and writer mean.

use patina3d_io::Error;
use patina3d_io::ply::{self, Column, Element, Format, Kind, Mesh, Ply, Property, Scalar, Values};

const HEADER: &str = "ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty uchar y\n\
    element face 2\nproperty list uchar int i\nend_header\n";

fn error(bytes: impl AsRef<[u8]>) -> String {
    match ply::read(bytes.as_ref()) {
        Ok(ply) => format!("no error: {ply:?}"),
        Err(error) => error.to_string(),
    }
}

fn header_error(lines: &str) -> String {
    error(format!("ply\n{lines}"))
}

fn body_error(body: &str) -> String {
    error(format!("{HEADER}{body}"))
}

#[test]
fn reads_each_column() -> Result<(), Error> {
    let text = HEADER.replace("element face", "comment  a  b \nobj_info\nelement face");
    let ply = ply::read(format!("{text}1.5 255\n-2e-1 0\n3 0 1 2\n0\n").as_bytes())?;
    let scalar = |name: &str, scalar| Property { name: name.into(), kind: Kind::Scalar(scalar) };
    let list = Property { name: "i".into(), kind: Kind::List { length: Scalar::UInt8, item: Scalar::Int32 } };
    assert_eq!(ply.header.format, Format::Ascii);
    assert_eq!(ply.header.comments, [b"a  b"]);
    assert_eq!(ply.header.obj_infos, [b""]);
    assert_eq!(ply.header.lines, 10);
    assert_eq!(
        ply.header.elements,
        [
            Element {
                name: "vertex".into(),
                count: 2,
                properties: vec![scalar("x", Scalar::Float32), scalar("y", Scalar::UInt8)]
            },
            Element { name: "face".into(), count: 2, properties: vec![list] },
        ]
    );
    let x = Column::Scalars(Values::Float32(vec![1.5, -0.2]));
    let y = Column::Scalars(Values::UInt8(vec![255, 0]));
    let lists = Column::Lists(vec![3, 0], Values::Int32(vec![0, 1, 2]));
    assert_eq!(ply.elements, [vec![x, y], vec![lists]]);
    Ok(())
}

/// Every type, as a scalar and in lists, of every type of length.
fn all_types(format: &str) -> Vec<u8> {
    let types = ["char", "uint8", "short", "uint16", "int", "uint32", "float", "float64"];
    let mut text = format!("ply\nformat {format} 1.0\nelement one 2\n");
    for name in types {
        text += &["property ", name, " ", name, "\n"].concat();
    }
    text += "element two 1\nproperty short before\n";
    for (i, name) in types.iter().enumerate() {
        text += &["property list ", types[i % 6], " ", name, " ", name, "\n"].concat();
    }
    (text + "property char after\nend_header\n").into_bytes()
}

fn all_values() -> Vec<Vec<Column>> {
    let values = || {
        [
            Values::Int8(vec![-128, 127]),
            Values::UInt8(vec![0, 255]),
            Values::Int16(vec![-32768, 32767]),
            Values::UInt16(vec![0, 65535]),
            Values::Int32(vec![i32::MIN, i32::MAX]),
            Values::UInt32(vec![0, u32::MAX]),
            Values::Float32(vec![-1.5, f32::INFINITY]),
            Values::Float64(vec![0.1, -1e300]),
        ]
    };
    let mut two = vec![Column::Scalars(Values::Int16(vec![-3]))];
    two.extend(values().map(|values| Column::Lists(vec![2], values)));
    two.push(Column::Scalars(Values::Int8(vec![4])));
    vec![values().map(Column::Scalars).into(), two]
}

macro_rules! packed {
    ($to_bytes:ident) => {{
        let mut bytes = Vec::new();
        for i in 0..2 {
            bytes.extend([-128_i8, 127][i].$to_bytes());
            bytes.extend([0_u8, 255][i].$to_bytes());
            bytes.extend([-32768_i16, 32767][i].$to_bytes());
            bytes.extend([0_u16, 65535][i].$to_bytes());
            bytes.extend([i32::MIN, i32::MAX][i].$to_bytes());
            bytes.extend([0_u32, u32::MAX][i].$to_bytes());
            bytes.extend([-1.5_f32, f32::INFINITY][i].$to_bytes());
            bytes.extend([0.1_f64, -1e300][i].$to_bytes());
        }
        bytes.extend((-3_i16).$to_bytes());
        bytes.extend([2, 0x80, 127, 2, 0, 255]);
        bytes.extend(2_i16.$to_bytes().into_iter().chain((-32768_i16).$to_bytes()).chain(32767_i16.$to_bytes()));
        bytes.extend(2_u16.$to_bytes().into_iter().chain(0_u16.$to_bytes()).chain(65535_u16.$to_bytes()));
        bytes.extend(2_i32.$to_bytes().into_iter().chain(i32::MIN.$to_bytes()).chain(i32::MAX.$to_bytes()));
        bytes.extend(2_u32.$to_bytes().into_iter().chain(0_u32.$to_bytes()).chain(u32::MAX.$to_bytes()));
        bytes.push(2);
        bytes.extend((-1.5_f32).$to_bytes().into_iter().chain(f32::INFINITY.$to_bytes()));
        bytes.push(2);
        bytes.extend(0.1_f64.$to_bytes().into_iter().chain((-1e300_f64).$to_bytes()));
        bytes.push(4);
        bytes
    }};
}

#[test]
fn every_type_in_every_format() -> Result<(), Error> {
    let words = "-128 0 -32768 0 -2147483648 0 -1.5 0.1\n127 255 32767 65535 2147483647 4294967295 inf -1e300\n\
        -3 2 -128 127 2 0 255 2 -32768 32767 2 0 65535 2 -2147483648 2147483647 2 0 4294967295 2 -1.5 inf 2 .1 -1e300 4";
    for (format, body) in [
        ("ascii", words.as_bytes().to_vec()),
        ("binary_little_endian", packed!(to_le_bytes)),
        ("binary_big_endian", packed!(to_be_bytes)),
    ] {
        let file = [all_types(format), body].concat();
        assert_eq!(ply::read(&file)?.elements, all_values(), "{format}");
        assert_eq!(ply::read(&[&file[..], b" \r\n\n"].concat())?.elements, all_values(), "{format}");
        let trailing = error([&file[..], b"\nx"].concat());
        let expected =
            if format == "ascii" { "the last element is over, got \"x\"" } else { "2 bytes follow the last element" };
        assert!(trailing.ends_with(&format!("Extra data at end of file: {expected}")), "{trailing}");
        let header = all_types(format).len();
        let shortest = file.len() - if format == "ascii" { 2 } else { 1 };
        for len in header..shortest {
            assert!(error(&file[..len]).starts_with("ply: "), "{format} cut to {len} bytes");
        }
    }
    Ok(())
}

#[test]
fn spelling_does_not_matter() -> Result<(), Error> {
    let plain = format!("{HEADER}1 2\n3 4\n3 0 1 2\n3 1 0 1\n");
    let expected = ply::read(plain.as_bytes())?;
    let formatless = plain.replace("format ascii 1.0\n", "");
    for text in [
        plain.replace('\n', "\r\n"),
        plain.replace(' ', "\t ").replace("ply\n", "ply\n\n  \n"),
        plain.replace('\n', " \n ").replacen("ply \n", "ply\n", 1),
        plain.replace("end_header\n", "end_header\n\n").replace("3 4\n", "\n3 4\n\n"),
        plain.replace("1 2\n3 4", "1.0e0 2.0\n3 400e-2").replace("3 0 1 2", "3 0.0 1e0 2."),
        formatless.replace("end_header", "format ascii 1.0\nend_header"),
        plain.trim_end().to_owned(),
    ] {
        let ply = ply::read(text.as_bytes())?;
        assert_eq!(ply.elements, expected.elements, "{text:?}");
        assert_eq!(ply.header.elements, expected.header.elements, "{text:?}");
    }
    let comments =
        [&b"ply\ncomment \xe9\xff\ncomment\n"[..], plain.as_bytes().strip_prefix(b"ply\n").unwrap()].concat();
    assert_eq!(ply::read(&comments)?.header.comments, [b"\xe9\xff"]);
    Ok(())
}

#[test]
fn errors_in_the_header_say_where_and_what() {
    for start in ["", "PLY\n", "plyx\n", "ply", " ply\n", "\nply\n", "ply \n"] {
        assert_eq!(error(start), "ply: line 1: Invalid file header: the first line must be \"ply\"", "{start:?}");
    }
    let vertex = "format ascii 1.0\nelement vertex 1\n";
    let x = format!("{vertex}property float x\n");
    for (lines, message) in [
        (String::new(), "line 1: the header ends without end_header"),
        (x.clone(), "line 4: the header ends without end_header"),
        (
            format!("{x}end_header x\n"),
            "line 5: Invalid line: it must be format, element, property, comment, obj_info or end_header, got \"end_header x\"",
        ),
        (
            "nonsense\n".to_owned(),
            "line 2: Invalid line: it must be format, element, property, comment, obj_info or end_header, got \"nonsense\"",
        ),
        (
            "format ascii 2.0\n".to_owned(),
            "line 2: the format must be ascii 1.0, binary_little_endian 1.0 or binary_big_endian 1.0, got \"ascii 2.0\"",
        ),
        (
            "format\n".to_owned(),
            "line 2: the format must be ascii 1.0, binary_little_endian 1.0 or binary_big_endian 1.0, got \"\"",
        ),
        (format!("{x}format ascii 1.0\n"), "line 5: a second format"),
        ("element v 1\nproperty int x\nend_header\n".to_owned(), "line 4: no format is given"),
        ("format ascii 1.0\nend_header\n".to_owned(), "line 3: no element is given"),
        ("property float x\n".to_owned(), "line 2: Encountered property before any element: it must belong to one"),
        (format!("{vertex}end_header\n"), "line 4: Found an element with no properties: vertex"),
        (format!("{vertex}element face 1\n"), "line 4: Found an element with no properties: vertex"),
        (format!("{x}element vertex 1\n"), "line 5: a second element vertex"),
        (format!("{x}property int x\n"), "line 5: Cannot have two properties called x in vertex: names must differ"),
        ("element vertex\n".to_owned(), "line 2: an element needs a name and a count"),
        ("element vertex 1 2\n".to_owned(), "line 2: an element needs a name and a count"),
        (
            "element vertex -1\n".to_owned(),
            "line 2: Number of items for vertex was not a number of 0 or more, got \"-1\"",
        ),
        (
            "element vertex 1.0\n".to_owned(),
            "line 2: Number of items for vertex was not a number of 0 or more, got \"1.0\"",
        ),
        (format!("{vertex}property float\n"), "line 4: a property needs a type and a name"),
        (format!("{vertex}property float x y\n"), "line 4: a property needs a type and a name"),
        (format!("{vertex}property real x\n"), "line 4: Invalid datatype: real"),
        (
            format!("{vertex}property list uchar int\n"),
            "line 4: a list property needs the type of its length, the type of its items and a name",
        ),
        (
            format!("{vertex}property list float int x\n"),
            "line 4: the length of a list must have an integer type, got float",
        ),
        (format!("{vertex}property list int whole x\n"), "line 4: Invalid datatype: whole"),
    ] {
        assert_eq!(header_error(&lines), format!("ply: {message}"));
    }
}

#[test]
fn errors_in_the_body_say_where_and_what() {
    for (body, message) in [
        ("", "line 8: Not enough data for vertex: the file ends before the end of record 1 of the 2 of element vertex"),
        (
            "1 2\n\n",
            "line 10: Not enough data for vertex: the file ends before the end of record 2 of the 2 of element vertex",
        ),
        ("1 2\n3\n", "line 10: Inconsistent data for vertex: it ends before property y"),
        ("1 2 3\n", "line 9: Inconsistent data for vertex: it is over, got \"3\""),
        ("1 256\n", "line 9: property y must be uchar, got \"256\""),
        ("1 -1\n", "line 9: property y must be uchar, got \"-1\""),
        ("1 1.5\n", "line 9: property y must be uchar, got \"1.5\""),
        ("x 1\n", "line 9: property x must be float, got \"x\""),
        (
            "1 2\n3 4\n3 0 1\n",
            "line 11: A line of face data did not have the specified length: property i is a list of 3 items, got 2",
        ),
        (
            "1 2\n3 4\n2 0 1 2\n",
            "line 11: A line of face data did not have the specified length: it is over, got \"2\"",
        ),
        ("1 2\n3 4\n-1\n", "line 11: property i must begin with the length of its list, got \"-1\""),
        ("1 2\n3 4\nx\n", "line 11: property i must begin with the length of its list, got \"x\""),
        ("1 2\n3 4\n1 2147483648\n", "line 11: property i must be int, got \"2147483648\""),
        ("1 2\n3 4\n0\n0\n\n7\n", "line 14: Extra data at end of file: the last element is over, got \"7\""),
    ] {
        assert_eq!(body_error(body), format!("ply: {message}"));
    }
    let binary = |header: &str, body: &[u8]| {
        error([b"ply\nformat binary_big_endian 1.0\n", header.as_bytes(), b"end_header\n", body].concat())
    };
    let list = "element face 2\nproperty list char short i\n";
    assert_eq!(
        binary(list, &[0, 2, 0, 1, 0]),
        "ply: Not enough data for face: the file ends before the end of record 2 of the 2 of element face"
    );
    assert_eq!(binary(list, &[0, 0xff]), "ply: record 2 of the 2 of element face: the list i has a negative length");
    let table = "element vertex 3\nproperty short x\n";
    assert_eq!(
        binary(table, &[0; 5]),
        "ply: Not enough data for vertex: the file ends before the end of record 3 of the 3 of element vertex"
    );
    let endless = format!("element vertex {}\nproperty double x\n", usize::MAX);
    assert!(
        binary(&endless, &[0; 8])
            .starts_with("ply: Not enough data for vertex: the file ends before the end of record 2 of the ")
    );
}

#[test]
fn writes_what_it_reads() -> Result<(), Error> {
    let verts = [[0.5, -1.0, 3.0], [1e10, 0.25, -0.0]];
    let normals = [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]];
    let faces = [[0, 1, 0], [-1, 2_147_483_647, 1]];
    let full = Mesh { verts: &verts, normals: Some(&normals), colors: None, faces: Some(&faces) };
    let mut out = Vec::new();
    ply::write(&full, Format::Ascii, 2, &mut out)?;
    let text = "ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\n\
        property float nx\nproperty float ny\nproperty float nz\nelement face 2\nproperty list uchar int vertex_index\n\
        end_header\n0.50 -1.00 3.00 0.00 0.00 1.00\n10000000000.00 0.25 -0.00 1.00 0.00 0.00\n3 0 1 0\n3 -1 2147483647 1\n";
    assert_eq!(String::from_utf8_lossy(&out), text);
    let columns = ply::read(&out)?.elements;
    for format in [Format::BinaryLittleEndian, Format::BinaryBigEndian] {
        out.clear();
        ply::write(&full, format, 2, &mut out)?;
        let Ply { header, elements } = ply::read(&out)?;
        assert_eq!(header.format, format);
        assert_eq!(elements, columns);
    }
    out.clear();
    ply::write(&Mesh { verts: &verts[..1], ..Mesh::default() }, Format::Ascii, 0, &mut out)?;
    assert!(String::from_utf8_lossy(&out).ends_with("property float z\nend_header\n0 -1 3\n"));

    let message = |mesh: &Mesh| ply::write(mesh, Format::Ascii, 2, &mut Vec::new()).unwrap_err().to_string();
    let fewer = Mesh { normals: Some(&normals[..1]), ..full };
    assert_eq!(message(&fewer), "ply: there must be a normal for each vertex, 2, got 1");
    let far = Mesh { faces: Some(&[[0, 1, 1 << 31]]), ..full };
    assert_eq!(message(&far), "ply: an index must be a 32-bit integer, got 2147483648 in face 0");
    Ok(())
}

#[test]
fn writes_colours() -> Result<(), Error> {
    let verts = [[0.5, -1.0, 3.0], [1.0, 0.25, 0.0]];
    let floats = [[0.5, 0.25, 1.0], [0.0, 2.0, 0.75]];
    let bytes = [[0, 128, 255], [1, 2, 3]];
    for (colors, name, rows) in [
        (ply::Colors::Float(&floats), "float", ["0.50 0.25 1.00", "0.00 2.00 0.75"]),
        (ply::Colors::UInt8(&bytes), "uchar", ["0 128 255", "1 2 3"]),
    ] {
        let mesh = Mesh { verts: &verts, colors: Some(colors), ..Mesh::default() };
        let mut out = Vec::new();
        ply::write(&mesh, Format::Ascii, 2, &mut out)?;
        let text = format!(
            "property float z\nproperty {name} red\nproperty {name} green\nproperty {name} blue\nend_header\n\
            0.50 -1.00 3.00 {}\n1.00 0.25 0.00 {}\n",
            rows[0], rows[1]
        );
        assert!(String::from_utf8_lossy(&out).ends_with(&text));
        let columns = ply::read(&out)?.elements;
        for format in [Format::BinaryLittleEndian, Format::BinaryBigEndian] {
            out.clear();
            ply::write(&mesh, format, 2, &mut out)?;
            assert_eq!(ply::read(&out)?.elements, columns);
        }
    }
    let few = Mesh { verts: &verts, colors: Some(ply::Colors::UInt8(&bytes[..1])), ..Mesh::default() };
    let message = ply::write(&few, Format::Ascii, 2, &mut Vec::new()).unwrap_err().to_string();
    assert_eq!(message, "ply: there must be a colour for each vertex, 2, got 1");
    Ok(())
}

#[test]
fn polygons_become_fans() -> Result<(), Error> {
    let triangles = |lengths: &[u32], corners: &Values, places: bool| -> Result<Vec<ply::Triangle>, Error> {
        let polygons = ply::Polygons::new(lengths, corners)?;
        let mut triangles = Vec::new();
        if places {
            polygons.for_each_place(|triangle| triangles.push(triangle));
        } else {
            polygons.for_each(|triangle| triangles.push(triangle));
        }
        assert_eq!(triangles.len(), polygons.count());
        Ok(triangles)
    };
    let corners = Values::Int16(vec![10, 11, 12, 13, 20, 21, 22, 23]);
    assert_eq!(triangles(&[4, 4], &corners, false)?, [[10, 11, 12], [20, 21, 22], [10, 12, 13], [20, 22, 23]]);
    assert_eq!(triangles(&[5, 3], &corners, false)?, [[10, 11, 12], [10, 12, 13], [10, 13, 20], [21, 22, 23]]);
    assert_eq!(triangles(&[5, 3], &corners, true)?, [[0, 1, 2], [0, 2, 3], [0, 3, 4], [5, 6, 7]]);
    assert!(triangles(&[], &Values::UInt32(vec![]), false)?.is_empty());
    assert_eq!(
        triangles(&[6, 2], &corners, false).unwrap_err().to_string(),
        "ply: Faces must have at least 3 vertices, got 2 in face 1"
    );
    assert_eq!(
        triangles(&[8], &Values::Float32(vec![0.0; 8]), false).unwrap_err().to_string(),
        "ply: the corners of faces must be integers, got float"
    );
    Ok(())
}

#[test]
fn columns_stand_side_by_side() {
    let columns =
        [&Values::UInt8(vec![1, 2]), &Values::Float64(vec![0.5, f64::NAN]), &Values::UInt32(vec![7, u32::MAX])];
    let mut rows = [0.0_f32; 6];
    ply::rows(&columns, |at, value| rows[at] = value);
    assert_eq!(rows[..4], [1.0, 0.5, 7.0, 2.0]);
    assert!(rows[4].is_nan());
    assert_eq!(rows[5].to_bits(), 4_294_967_296.0_f32.to_bits());
}

/// A list as it stands in a text.
fn words<T: ToString>(items: &[T]) -> String {
    let words: Vec<String> = items.iter().map(T::to_string).collect();
    [&[items.len().to_string()], &words[..]].concat().join(" ")
}

/// Records of equal lists are read as a table, others one by one: both as the text says.
#[test]
fn packed_lists_equal_those_of_text() -> Result<(), Error> {
    let lines =
        "element face 3\nproperty uchar a\nproperty list uchar short i\nproperty list uchar uchar j\nproperty char b\n";
    for lists in [[2_u8, 2, 2], [2, 2, 1], [0, 2, 2], [0, 0, 0], [2, 0, 2]] {
        for others in [[1_u8, 1, 1], [1, 1, 3], [0, 0, 0]] {
            let (mut text, mut big, mut little) = (String::new(), Vec::new(), Vec::new());
            for record in 0..3 {
                let (length, other) = (lists[record], others[record]);
                let items: Vec<i16> = (0..i16::from(length)).map(|item| 1000 * item - 7 * record as i16).collect();
                let bytes: Vec<u8> = (0..other).map(|item| item + 50).collect();
                let (items_text, bytes_text) = (words(&items), words(&bytes));
                text += &[&record.to_string(), " ", &items_text, " ", &bytes_text, " -4\n"].concat();
                for packed in [&mut big, &mut little] {
                    packed.extend([record as u8, length]);
                }
                big.extend(items.iter().flat_map(|item| item.to_be_bytes()));
                little.extend(items.iter().flat_map(|item| item.to_le_bytes()));
                for packed in [&mut big, &mut little] {
                    packed.push(other);
                    packed.extend(&bytes);
                    packed.push(-4_i8 as u8);
                }
            }
            let file = |format: &str, body: &[u8]| {
                [format!("ply\nformat {format} 1.0\n{lines}end_header\n").as_bytes(), body].concat()
            };
            let expected = ply::read(&file("ascii", text.as_bytes()))?.elements;
            for (format, body) in [("binary_big_endian", &big), ("binary_little_endian", &little)] {
                assert_eq!(ply::read(&file(format, body))?.elements, expected, "{format} {lists:?} {others:?}");
                for cut in 1..body.len() {
                    assert!(
                        error(file(format, &body[..body.len() - cut]))
                            .contains("the file ends before the end of record")
                    );
                }
            }
        }
    }
    Ok(())
}
