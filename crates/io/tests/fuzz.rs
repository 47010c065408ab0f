// SPDX-License-Identifier: Apache-2.0
//! Readers survive any bytes: files with random damage, and random pieces of the syntax.

use std::path::PathBuf;

use patina3d_io::obj;
use patina3d_io::ply::{self, Column};

/// A stream of well-mixed bits (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit.max(1) as u64) as usize
    }

    /// `bytes` with a few bytes replaced, removed, inserted, or a piece repeated elsewhere.
    fn damage(&mut self, bytes: &[u8], syntax: &[&str]) -> Vec<u8> {
        let mut damaged = bytes.to_vec();
        for _ in 0..=self.below(6) {
            let at = self.below(damaged.len());
            match self.below(5) {
                0 if !damaged.is_empty() => damaged[at] = self.below(256) as u8,
                1 => damaged.truncate(at),
                2 if !damaged.is_empty() => drop(damaged.drain(at..(at + 1 + self.below(20)).min(damaged.len()))),
                3 => {
                    let piece = syntax[self.below(syntax.len())];
                    damaged.splice(at..at, piece.bytes());
                }
                _ => {
                    let end = (at + self.below(50)).min(damaged.len());
                    let piece = damaged[at..end].to_vec();
                    let to = self.below(damaged.len());
                    damaged.splice(to..to, piece);
                }
            }
        }
        damaged
    }

    fn sentence(&mut self, syntax: &[&str]) -> Vec<u8> {
        (0..self.below(60)).flat_map(|_| syntax[self.below(syntax.len())].bytes()).collect()
    }
}

/// Real meshes with an ending, cut to their first and last few lines; none where the folder is absent.
fn real_meshes(ending: &str) -> Vec<Vec<u8>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let folder = std::env::var_os("PATINA3D_MESHES").map_or_else(|| root.join("shared/data/meshes"), PathBuf::from);
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == ending));
    paths
        .filter_map(|path| std::fs::read(path).ok())
        .map(|bytes| {
            let cut = bytes.len().min(600);
            [&bytes[..cut], &bytes[bytes.len() - cut..]].concat()
        })
        .collect()
}

const OBJ_SYNTAX: &[&str] = &[
    "v",
    "vt",
    "vn",
    "f",
    "usemtl",
    "mtllib",
    "\n",
    "\n",
    "\n",
    "\r",
    "\r\n",
    "\\\n",
    "\\",
    "#",
    " ",
    " ",
    " ",
    "\t",
    "/",
    "//",
    "1",
    "2",
    "-1",
    "0",
    "3.5",
    "1e9",
    "nan",
    "-",
    ".",
    "e",
    "99999999999999999999",
    "\u{feff}",
    "\0",
    "name",
    "l 1 2",
];

const OBJ_SAMPLE: &str = "mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0.5 0.5\nvn 0 0 1\nusemtl red\nf 1/1/1 2/1/1 3/1/1\n\
    f -1 -2 -3 # tail\nf 1//1 2//1 \\\n 3//1 1//1\n";

fn check_obj(bytes: &[u8]) {
    let Ok(obj) = obj::read(bytes) else { return };
    let faces = obj.faces.len();
    for optional in [obj.faces_uvs.len(), obj.faces_normals.len(), obj.faces_materials.len()] {
        assert!(optional == 0 || optional == faces);
    }
    assert!(obj.faces.as_flattened().iter().all(|&index| index >= 0));
    assert!(
        obj.faces_uvs.iter().chain(&obj.faces_normals).all(|c| c.iter().all(|&i| i >= 0) || *c == [obj::ABSENT; 3])
    );
    assert!(obj.faces_materials.iter().all(|&m| m >= obj::ABSENT && m < obj.materials.len() as i64));
}

#[test]
fn obj_survives_any_bytes() {
    let mut random = Random(7);
    let mut samples = real_meshes("obj");
    samples.push(OBJ_SAMPLE.into());
    for _ in 0..30_000 {
        check_obj(&random.sentence(OBJ_SYNTAX));
        let sample = random.below(samples.len());
        check_obj(&random.damage(&samples[sample], OBJ_SYNTAX));
    }
}

const PLY_SYNTAX: &[&str] = &[
    "ply\n",
    "format ascii 1.0\n",
    "format binary_little_endian 1.0\n",
    "format binary_big_endian 1.0\n",
    "element ",
    "element vertex 2\n",
    "element face 99999999999999999999\n",
    "element face 99999999999\n",
    "property ",
    "float ",
    "uchar ",
    "int x\n",
    "list ",
    "property list uchar int i\n",
    "property float x\n",
    "property double y\n",
    "comment c\n",
    "end_header\n",
    "\n",
    "\r\n",
    " ",
    "\t",
    "1",
    "-1",
    "3 0 1 2\n",
    "0.5",
    "1e3",
    "nan",
    "\0",
    "\0\0\0",
    "\u{7f}",
    "\u{fffd}",
];

fn ply_sample(format: &str) -> Vec<u8> {
    let header = format!(
        "ply\r\nformat {format} 1.0\ncomment c\nelement vertex 2\nproperty float x\nproperty double y\nproperty ushort z\n\
         element face 2\nproperty list uchar int i\nproperty char c\nproperty list short double d\nend_header\n"
    );
    let big = format == "binary_big_endian";
    let body = match format {
        "ascii" => b"1 2 3\n\n-1e5 nan 65535\r\n3 0 1 2 -7 0\n4 3 2 1 0 1 2 .5 1.5".to_vec(),
        _ => [
            &[[0; 14], [0x40; 14]].concat()[..],
            &[3, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 9, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 1],
            &if big { 1_i16.to_be_bytes() } else { 1_i16.to_le_bytes() },
            &[0x3f; 8],
        ]
        .concat(),
    };
    [header.into_bytes(), body].concat()
}

fn check_ply(bytes: &[u8]) -> bool {
    let Ok(ply) = ply::read(bytes) else { return false };
    assert_eq!(ply.header.elements.len(), ply.elements.len());
    for (element, columns) in ply.header.elements.iter().zip(&ply.elements) {
        assert_eq!(element.properties.len(), columns.len());
        for column in columns {
            match column {
                Column::Scalars(values) => assert_eq!(values.len(), element.count),
                Column::Lists(lengths, values) => {
                    assert_eq!(lengths.len(), element.count);
                    assert_eq!(lengths.iter().map(|&len| u64::from(len)).sum::<u64>(), values.len() as u64);
                }
            }
        }
    }
    true
}

#[test]
fn ply_survives_any_bytes() {
    let mut random = Random(11);
    let samples = ["ascii", "binary_little_endian", "binary_big_endian"].map(ply_sample);
    for sample in &samples {
        assert!(check_ply(sample), "the undamaged file must be read");
    }
    for _ in 0..30_000 {
        let sentence = random.sentence(PLY_SYNTAX);
        check_ply(&sentence);
        check_ply(&[b"ply\n", &sentence[..]].concat());
        let sample = random.below(samples.len());
        check_ply(&random.damage(&samples[sample], PLY_SYNTAX));
    }
}
