// SPDX-License-Identifier: Apache-2.0
//! What the OBJ reader and writer mean, statement by statement.

use patina3d_io::Error;
use patina3d_io::obj::{self, Mesh, Obj};

fn read(text: &str) -> Result<Obj, Error> {
    obj::read(text.as_bytes())
}

fn error(text: &str) -> String {
    match read(text) {
        Ok(obj) => format!("no error: {obj:?}"),
        Err(error) => error.to_string(),
    }
}

/// Four vertices, three texture coordinates, two normals; what a test is about follows.
fn with_elements(rest: &str) -> String {
    format!("v 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nvn 0 0 1\nvn 0 1 0\n{rest}")
}

#[test]
fn elements_in_any_order_and_spelling() -> Result<(), Error> {
    let obj = read(
        "f 1/2 2/1 3/1\nv 1 2 3\nvn 0 0 1 \n\tv\t-1e1  .5\t+4. 1.0 red\nv nan inf -INF\nvt 0.25 0.5 0.75\nvt 1 0\n",
    )?;
    assert_eq!(obj.verts[..2], [[1.0, 2.0, 3.0], [-10.0, 0.5, 4.0]]);
    assert!(obj.verts[2][0].is_nan());
    assert_eq!(obj.verts[2][1..], [f32::INFINITY, f32::NEG_INFINITY]);
    assert_eq!(obj.normals, [[0.0, 0.0, 1.0]]);
    assert_eq!(obj.uvs, [[0.25, 0.5], [1.0, 0.0]]);
    assert_eq!(obj.faces, [[0, 1, 2]]);
    assert_eq!(obj.faces_uvs, [[1, 0, 0]]);
    assert!(obj.faces_normals.is_empty());
    assert!(obj.faces_materials.is_empty());
    Ok(())
}

#[test]
fn nothing_in_nothing_out() -> Result<(), Error> {
    for text in
        ["", "\n", "\r\n", "# only a comment", "\\\n", "\u{feff}", "o name\ng\ns off\nl 1 2\np 1\nvp 1 2\nfoo\n"]
    {
        assert_eq!(read(text)?, Obj::default(), "{text:?}");
    }
    Ok(())
}

#[test]
fn line_ends_comments_and_joined_lines_do_not_matter() -> Result<(), Error> {
    let plain = "v 1 2 3\nv 4 5 6\nv 7 8 9\nf 1 2 3\n";
    let expected = read(plain)?;
    assert_eq!(expected.faces, [[0, 1, 2]]);
    for text in [
        plain.replace('\n', "\r\n"),
        plain.replace('\n', "\r"),
        plain.trim_end().to_owned(),
        plain.replace(' ', "\t"),
        plain.replace(' ', " \\\n "),
        plain.replace(' ', " \\\r\n"),
        plain.replace(' ', "\\\r"),
        plain.replace('\n', " # v 1 2 3 \\\n"),
        plain.replace('\n', "#\n\n   \n# C:\\\n"),
        plain.replace('\n', "  \n\t"),
        format!("\u{feff}{plain}"),
        format!("curv 1 \\\n f 1 2 3\n{plain}"),
    ] {
        assert_eq!(read(&text)?, expected, "{text:?}");
    }
    Ok(())
}

#[test]
fn corner_forms() -> Result<(), Error> {
    let obj = read(&with_elements(
        "f 1 2 3\nf 1/1 2/2 3/3\nf 1//1 2//2 3//1\nf 1/3/2 2/2/1 3/1/1\nf 1/ 2/ 3/\nf 1// 2// 3//\n",
    ))?;
    assert_eq!(obj.faces, [[0, 1, 2]; 6]);
    assert_eq!(obj.faces_uvs, [[-1; 3], [0, 1, 2], [-1; 3], [2, 1, 0], [-1; 3], [-1; 3]]);
    assert_eq!(obj.faces_normals, [[-1; 3], [-1; 3], [0, 1, 0], [1, 0, 0], [-1; 3], [-1; 3]]);
    Ok(())
}

#[test]
fn polygons_become_fans_around_their_first_corner() -> Result<(), Error> {
    let obj = read(&with_elements("f 1 2\nf\nf 4\nusemtl m\nf 4/1 1/2 2/3 3/1\nf 1 2 3 4 1\n"))?;
    assert_eq!(obj.faces, [[3, 0, 1], [3, 1, 2], [0, 1, 2], [0, 2, 3], [0, 3, 0]]);
    assert_eq!(obj.faces_uvs, [[0, 1, 2], [0, 2, 0], [-1; 3], [-1; 3], [-1; 3]]);
    assert_eq!(obj.faces_materials, [0; 5]);
    Ok(())
}

#[test]
fn negative_indices_count_from_what_was_read_so_far() -> Result<(), Error> {
    let obj = read("v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nf -3/-1 -2/-1 -1/-1\nv 2 2 2\nvt 1 1\nf -1/-1 1/1 -2/-2\n")?;
    assert_eq!(obj.faces, [[0, 1, 2], [3, 0, 2]]);
    assert_eq!(obj.faces_uvs, [[0, 0, 0], [1, 0, 0]]);
    Ok(())
}

#[test]
fn indices_past_the_end_are_kept() -> Result<(), Error> {
    let obj = read("f 1 2 99999999999999999999\n")?;
    assert_eq!(obj.faces, [[0, 1, i64::MAX - 1]]);
    Ok(())
}

#[test]
fn materials_are_numbered_by_first_use() -> Result<(), Error> {
    let obj = read(&with_elements(
        "f 1 2 3\nusemtl red paint # comment\nf 1 2 3\nf 2 3 4\nusemtl  b#1\t\nusemtl red paint\nf 1 2 4\nusemtl b#1\nf 1 3 4\n\
         mtllib a file.mtl\nmtllib b.mtl\r\n",
    ))?;
    assert_eq!(obj.materials, [b"red paint".to_vec(), b"b#1".to_vec()]);
    assert_eq!(obj.faces_materials, [-1, 0, 0, 0, 1]);
    assert_eq!(obj.libraries, [b"a file.mtl".to_vec(), b"b.mtl".to_vec()]);
    Ok(())
}

#[test]
fn errors_say_where_and_what() {
    assert_eq!(error("v 0 0 0\nv 1 2"), "obj: line 2: vertex does not have 3 values, got 2");
    assert_eq!(error("v"), "obj: line 1: vertex does not have 3 values, got 0");
    assert_eq!(error("\r\n\r\nvn 1 2 # 3"), "obj: line 3: normal does not have 3 values, got 2");
    assert_eq!(error("vt 1"), "obj: line 1: texture coordinate does not have 2 values, got 1");
    assert_eq!(error("v 1 2 \\\n\\\n3x"), "obj: line 3: vertex needs numbers, got \"3x\"");
    assert_eq!(error("v 1 , 3"), "obj: line 1: vertex needs numbers, got \",\"");
    assert_eq!(error("#\nf 1 0 2\nv 0 0 0"), "obj: line 2: a face has vertex index 0, but indices count from 1");
    assert_eq!(error("v 0 0 0\nf 1 -1 -2"), "obj: line 2: a face has vertex index -2, but only 1 precede it");
    assert_eq!(error("f 1/-1 1 1"), "obj: line 1: a face has texture coordinate index -1, but only 0 precede it");
    assert_eq!(error("f 1//0"), "obj: line 1: a face has normal index 0, but indices count from 1");
    for corner in ["1/2/3/4", "1.5", "a", "/1/1", "1/a", "1/1/a", "-", "1\\x", "\u{e9}"] {
        let text = with_elements(&format!("f 1 2 {corner}"));
        let corner = format!("{corner:?}");
        let forms = "integers in the form v, v/vt, v//vn or v/vt/vn";
        let expected = format!("obj: line 10: Face vertices can only have 3 properties, {forms}, got {corner}");
        assert_eq!(error(&text), expected);
    }
    let uneven = "obj: line 10: Vertex properties are inconsistent: 2 of the 3 corners of a face have a normal";
    assert_eq!(error(&with_elements("f 1//1 2//2 3")), uneven);
    let uneven =
        "obj: line 10: Vertex properties are inconsistent: 1 of the 3 corners of a face have a texture coordinate";
    assert_eq!(error(&with_elements("f 1 2/2 3")), uneven);
    assert_eq!(error("usemtl # red"), "obj: line 1: usemtl needs the name of a material");
    assert_eq!(error("\nmtllib"), "obj: line 2: mtllib needs a file name");
    let long = format!("v 1 2 {}", "x".repeat(100));
    assert_eq!(error(&long), format!("obj: line 1: vertex needs numbers, got \"{}...\"", "x".repeat(40)));
}

#[test]
fn writes_what_it_reads() -> Result<(), Error> {
    let (verts, normals, uvs) =
        ([[0.5, -1.0, 1e6], [f64::NAN, f64::INFINITY, -0.0]], [[0.0, 0.0, 1.0]], [[0.25, 0.75]]);
    let mut mesh = Mesh { header: b"# header\n", verts: &verts, faces: &[[0, 1, 0], [1, 0, 0]], ..Mesh::default() };
    let mut out = Vec::new();
    obj::write(&mesh, 2, &mut out)?;
    let head = "# header\nv 0.50 -1.00 1000000.00\nv nan inf -0.00\n";
    assert_eq!(String::from_utf8_lossy(&out), format!("{head}f 1 2 1\nf 2 1 1"));

    mesh.normals = &normals;
    mesh.uvs = &uvs;
    mesh.faces_normals = Some(&[[0, 0, 0], [-1; 3]]);
    out.clear();
    obj::write(&mesh, 2, &mut out)?;
    assert_eq!(
        String::from_utf8_lossy(&out),
        format!("{head}vn 0.00 0.00 1.00\nvt 0.25 0.75\nf 1//1 2//1 1//1\nf 2 1 1")
    );
    mesh.faces_uvs = Some(&[[0, 0, 0], [0, 0, 0]]);
    out.clear();
    obj::write(&mesh, 0, &mut out)?;
    assert!(String::from_utf8_lossy(&out).ends_with("f 1/1/1 2/1/1 1/1/1\nf 2/1 1/1 1/1"));

    mesh.faces_uvs = Some(&[[-1; 3], [0, 0, 0]]);
    out.clear();
    obj::write(&mesh, 0, &mut out)?;
    assert!(String::from_utf8_lossy(&out).ends_with("f 1//1 2//1 1//1\nf 2/1 1/1 1/1"));

    let obj = obj::read(&out)?;
    assert_eq!(obj.faces, mesh.faces);
    assert_eq!(Some(&obj.faces_normals[..]), mesh.faces_normals);
    assert_eq!(Some(&obj.faces_uvs[..]), mesh.faces_uvs);
    mesh.faces_uvs = Some(&[]);
    let uneven = obj::write(&mesh, 0, &mut out).unwrap_err().to_string();
    assert_eq!(uneven, "obj: faces_uvs must have one triangle for each face, 2, got 0");
    Ok(())
}

#[test]
fn colours_stand_behind_positions() -> Result<(), Error> {
    let colors = |text: &str| obj::read(text.as_bytes()).map(|obj| obj.colors);
    assert_eq!(colors("v 1 2 3 0.5 0 1\nv 4 5 6 0 2e-1 255 7 # c\n")?, [[0.5, 0.0, 1.0], [0.0, 0.2, 255.0]]);
    for text in [
        "v 1 2 3\n",
        "v 1 2 3 1\n",
        "v 1 2 3 1 1\n",
        "v 1 2 3 0 x 0\n",
        "v 1 2 3 0 0 0\nv 1 2 3\n",
        "v 1 2 3\nv 1 2 3 0 0 0\n",
        "v 1 2 3\nv 1 2 3 0 0 0\nv 1 2 3 0 0 0\n",
    ] {
        assert!(colors(text)?.is_empty(), "{text:?}");
        assert_eq!(obj::read(text.as_bytes())?.verts.len(), text.matches('v').count());
    }
    let mut out = Vec::new();
    let mesh = obj::Mesh { verts: &[[1.0, 2.0, 3.0]], colors: Some(&[[0.5, 0.0, 1.0]]), ..obj::Mesh::default() };
    obj::write(&mesh, 1, &mut out)?;
    assert_eq!(String::from_utf8_lossy(&out), "v 1.0 2.0 3.0 0.5 0.0 1.0\n");
    let few = obj::Mesh { colors: Some(&[]), ..mesh };
    let message = obj::write(&few, 1, &mut out).unwrap_err().to_string();
    assert_eq!(message, "obj: there must be a colour for each vertex, 1, got 0");
    Ok(())
}
