// SPDX-License-Identifier: Apache-2.0
//! Readers survive any bytes: files with random damage, and random pieces of the syntax.
//!
//! Each test reads a few thousand inputs, the same ones every time. `PATINA3D_FUZZ_SECONDS=60 cargo test --release -p
//! patina3d-io --test fuzz -- --nocapture --test-threads 1` goes on for that long, with other inputs each time, and says
//! how many there were; a failure names the seed, which `PATINA3D_FUZZ_SEED` brings back.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use patina3d_io::ply::{self, Column, Polygons};
use patina3d_io::{mtl, obj};

/// The inputs of a test that is not told to go on for longer.
const INPUTS: u64 = 5_000;

/// Checks inputs that `make` makes; a check that panics fails the test.
fn campaign(name: &str, make: impl Fn(&mut Random) -> Vec<u8>, check: impl Fn(&[u8])) {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seconds = number("PATINA3D_FUZZ_SECONDS");
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
    let seed = number("PATINA3D_FUZZ_SEED").unwrap_or_else(|| seconds.map_or(7, |_| now()));
    let start = Instant::now();
    let mut slowest = Duration::ZERO;
    let mut inputs = 0;
    while inputs < INPUTS || seconds.is_some_and(|seconds| start.elapsed() < Duration::from_secs(seconds)) {
        // Each input has a stream of its own, so that a seed brings one failure back at once.
        let input = make(&mut Random(seed.wrapping_add(inputs)));
        let before = Instant::now();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&input)));
        slowest = slowest.max(before.elapsed());
        assert!(
            result.is_ok(),
            "{name}: PATINA3D_FUZZ_SEED={} brings this input back: {:?}",
            seed.wrapping_add(inputs),
            String::from_utf8_lossy(&input)
        );
        inputs += 1;
    }
    if seconds.is_some() {
        eprintln!("{name}: {inputs} inputs from seed {seed}, the slowest took {slowest:.1?}");
    }
}

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

    /// A sample with damage, or for every fourth input a sentence of the syntax after `start`.
    fn input(&mut self, samples: &[Vec<u8>], start: &[u8], syntax: &[&str]) -> Vec<u8> {
        if self.below(4) == 0 {
            let start = if self.below(2) == 0 { start } else { &[] };
            return [start, &self.sentence(syntax)[..]].concat();
        }
        let sample = self.below(samples.len());
        self.damage(&samples[sample], syntax)
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
    f -1 -2 -3 # tail\nf 1//1 2//1 \\\n 3//1 1//1\nv 1 2 3 0.5 0.5 0.5\n";

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
    assert!(obj.colors.is_empty() || obj.colors.len() == obj.verts.len());
    check_that_it_is_written(&obj);
}

/// What was read is written and read again without a change of its faces.
fn check_that_it_is_written(obj: &obj::Obj) {
    let widen = |row: &[f32; 3]| row.map(f64::from);
    let verts: Vec<_> = obj.verts.iter().map(widen).collect();
    let normals: Vec<_> = obj.normals.iter().map(widen).collect();
    let uvs: Vec<_> = obj.uvs.iter().map(|row| row.map(f64::from)).collect();
    let mesh = obj::Mesh {
        verts: &verts,
        normals: &normals,
        uvs: &uvs,
        faces: &obj.faces,
        faces_normals: (!obj.faces_normals.is_empty()).then_some(&obj.faces_normals),
        faces_uvs: (!obj.faces_uvs.is_empty()).then_some(&obj.faces_uvs),
        ..obj::Mesh::default()
    };
    let mut text = Vec::new();
    assert!(obj::write(&mesh, 1, &mut text).is_ok());
    let again = obj::read(&text).unwrap_or_default();
    assert_eq!(again.verts.len(), obj.verts.len());
    if obj.faces.iter().chain(&obj.faces_uvs).chain(&obj.faces_normals).flatten().all(|&index| index < i64::MAX - 1) {
        assert_eq!(again.faces, obj.faces);
        assert_eq!(again.faces_normals, obj.faces_normals);
        assert_eq!(again.faces_uvs, obj.faces_uvs);
    }
}

#[test]
fn obj_survives_any_bytes() {
    let mut samples = real_meshes("obj");
    samples.push(OBJ_SAMPLE.into());
    campaign("obj", |random| random.input(&samples, OBJ_SAMPLE.as_bytes(), OBJ_SYNTAX), check_obj);
}

const MTL_SYNTAX: &[&str] = &[
    "newmtl ", "newmtl", "a", "Ka", "Kd", "Ks", "Ns", "map_Kd", "-s", "-o", "-mm", "-bm", "-clamp", "on", "\n", "\n",
    "\n", "\r\n", "\\\n", "\\", "#", " ", " ", " ", "\t", "1", "0.5", "-1e3", "nan", "spectral", "xyz", "b c.png",
    "\u{fffd}", "\u{feff}", "\0",
];

const MTL_SAMPLE: &str = "newmtl red\nKa 0 0 0\nKd 1 0.5 .25 # c\nKs 1 1 1\nNs 10\nillum 2\nmap_Kd -s 1 2 -clamp on \\\n a b.png\n\
    newmtl blue sky\r\nKd spectral a.rfl\nd 1\nmap_Kd x.jpg\nnewmtl red\nKd 1 2 3\n";

fn check_mtl(bytes: &[u8]) {
    let Ok(materials) = mtl::read(bytes) else { return };
    for (i, material) in materials.iter().enumerate() {
        assert!(!material.name.is_empty());
        assert!(materials[..i].iter().all(|other| other.name != material.name));
        assert!(material.diffuse_map.as_ref().is_none_or(|file| !file.is_empty() && file.trim_ascii() == file));
    }
}

#[test]
fn mtl_survives_any_bytes() {
    assert!(mtl::read(MTL_SAMPLE.as_bytes()).is_ok_and(|materials| materials.len() == 2));
    let samples = [MTL_SAMPLE.into()];
    campaign("mtl", |random| random.input(&samples, b"newmtl a\n", MTL_SYNTAX), check_mtl);
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

fn check_ply(bytes: &[u8]) {
    let Ok(ply) = ply::read(bytes) else { return };
    assert_eq!(ply.header.elements.len(), ply.elements.len());
    for (element, columns) in ply.header.elements.iter().zip(&ply.elements) {
        assert_eq!(element.properties.len(), columns.len());
        for column in columns {
            match column {
                Column::Scalars(values) => {
                    assert_eq!(values.len(), element.count);
                    let mut numbers = 0;
                    ply::rows(&[values, values], |at, _| numbers += usize::from(at < 2 * element.count));
                    assert_eq!(numbers, 2 * element.count);
                }
                Column::Lists(lengths, values) => {
                    assert_eq!(lengths.len(), element.count);
                    assert_eq!(lengths.iter().map(|&len| u64::from(len)).sum::<u64>(), values.len() as u64);
                    check_polygons(lengths, values);
                }
            }
        }
    }
}

fn check_polygons(lengths: &[u32], corners: &ply::Values) {
    let Ok(polygons) = Polygons::new(lengths, corners) else { return };
    let mut triangles = 0;
    polygons.for_each(|_| triangles += 1);
    assert_eq!(triangles, polygons.count());
    polygons.for_each_place(|places| {
        assert!(places.iter().all(|&place| place >= 0 && place < corners.len() as i64));
    });
}

fn ply_survives_any_bytes(format: &str) {
    let sample = ply_sample(format);
    assert!(ply::read(&sample).is_ok(), "the undamaged file must be read");
    let start = format!("ply\nformat {format} 1.0\n");
    let samples = [sample];
    campaign(&format!("ply {format}"), |random| random.input(&samples, start.as_bytes(), PLY_SYNTAX), check_ply);
}

#[test]
fn ply_as_text_survives_any_bytes() {
    ply_survives_any_bytes("ascii");
}

#[test]
fn ply_in_little_endian_survives_any_bytes() {
    ply_survives_any_bytes("binary_little_endian");
}

#[test]
fn ply_in_big_endian_survives_any_bytes() {
    ply_survives_any_bytes("binary_big_endian");
}
