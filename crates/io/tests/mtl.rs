// SPDX-License-Identifier: Apache-2.0
//! What the MTL reader means.

use patina3d_io::Error;
use patina3d_io::mtl::{self, Material};

fn only(text: &str) -> Result<Material, Error> {
    let mut materials = mtl::read(text.as_bytes())?;
    assert_eq!(materials.len(), 1, "{text:?}");
    Ok(materials.remove(0))
}

#[test]
fn reads_each_property() -> Result<(), Error> {
    let text = "illum 2\nnewmtl a b # c\nKa 0 0.5 1\n\tKd 1e-1 2 3 4\r\nKs .5 .5 .5#\nNs 10\nd 0.5\nmap_Kd a b.png # c\nkd 9 9 9\n";
    let expected = Material {
        name: b"a b".into(),
        ambient: Some([0.0, 0.5, 1.0]),
        diffuse: Some([0.1, 2.0, 3.0]),
        specular: Some([0.5; 3]),
        shininess: Some(10.0),
        diffuse_map: Some(b"a b.png".into()),
        ..Material::default()
    };
    assert_eq!(only(text)?, expected);
    assert_eq!(mtl::read(b"")?, []);
    Ok(())
}

#[test]
fn a_second_newmtl_starts_afresh() -> Result<(), Error> {
    let materials = mtl::read(b"newmtl a\nKd 1 1 1\nnewmtl b\nNs 1\nnewmtl a\nNs 2\n")?;
    let names: Vec<&[u8]> = materials.iter().map(|material| &material.name[..]).collect();
    assert_eq!(names, [b"a", b"b"]);
    assert_eq!((materials[0].diffuse, materials[0].shininess, materials[1].shininess), (None, Some(2.0), Some(1.0)));
    Ok(())
}

#[test]
fn options_of_a_map_are_set_apart() -> Result<(), Error> {
    for (line, options, is_moved, file) in [
        ("a.png", "", false, "a.png"),
        ("-s 1 2 3 a.png", "-s 1 2 3", true, "a.png"),
        ("-s 1 a b.png", "-s 1", false, "a b.png"),
        ("-s a.png", "-s", false, "a.png"),
        ("-o 0 0 -mm 0 1 -clamp on \t -bm 2 a.png", "-o 0 0 -mm 0 1 -clamp on \t -bm 2", false, "a.png"),
        ("-mm -s 2 a.png", "-mm -s 2", false, "a.png"),
        ("-t 1 1 1 1.png", "-t 1 1 1", true, "1.png"),
        ("-t 0 0 0 1.png", "-t 0 0 0", false, "1.png"),
        ("-unknown a.png", "", false, "-unknown a.png"),
        ("\\\n a.png", "", false, "a.png"),
    ] {
        let material = only(&format!("newmtl a\nmap_Kd {line}\n"))?;
        assert_eq!(material.diffuse_map.as_deref(), Some(file.as_bytes()), "{line}");
        assert_eq!(material.diffuse_map_is_moved, is_moved, "{line}");
        assert_eq!(material.diffuse_map_options, options.as_bytes(), "{line}");
    }
    Ok(())
}

#[test]
fn other_forms_of_colour_are_passed_over() -> Result<(), Error> {
    let material = only("newmtl a\nKd 1 1 1\nKd spectral a.rfl 1\nKa xyz 1 2 3\n")?;
    assert_eq!((material.diffuse, material.ambient), (Some([1.0; 3]), None));
    Ok(())
}

#[test]
fn one_number_is_grey() -> Result<(), Error> {
    let material = only("newmtl a\nKd 0.5\nKa 1 # 2\n")?;
    assert_eq!((material.diffuse, material.ambient), (Some([0.5; 3]), Some([1.0; 3])));
    Ok(())
}

#[test]
fn errors_say_where_and_what() {
    for (text, message) in [
        ("Kd 1 1 1", "line 1: Kd stands before the first newmtl"),
        ("\nmap_Kd a", "line 2: map_Kd stands before the first newmtl"),
        ("newmtl # a", "line 1: newmtl needs the name of a material"),
        ("newmtl a\nKa 1 2\n", "line 2: Ka does not have 1 or 3 values, got 2"),
        ("newmtl a\nKs 1 spectral 2\n", "line 2: Ks needs numbers, got \"spectral\""),
        ("newmtl a\nNs\n", "line 2: Ns does not have 1 values, got 0"),
        ("newmtl a\nmap_Kd -s 1 2 3\n", "line 2: map_Kd needs a file name"),
        ("newmtl a\nmap_Kd -mm\n", "line 2: map_Kd needs a file name"),
    ] {
        let error = mtl::read(text.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), format!("mtl: {message}"), "{text:?}");
        assert_eq!(error.format(), "mtl");
    }
}
