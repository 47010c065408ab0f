// SPDX-License-Identifier: Apache-2.0
//! Prints what an OBJ file holds: `cargo run --release --example obj_info -- FILE.obj ...`

use std::time::Instant;

use patina3d_io::obj;

#[expect(clippy::print_stdout, reason = "an example talks")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    for path in std::env::args().skip(1) {
        let bytes = std::fs::read(&path)?;
        let start = Instant::now();
        let mesh = obj::read(&bytes).map_err(|error| format!("{path}: {error}"))?;
        let elapsed = start.elapsed();
        let names = |names: &[Vec<u8>]| {
            names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect::<Vec<_>>().join(", ")
        };
        println!("{path}: {} bytes read in {elapsed:.1?}", bytes.len());
        println!("  vertices   {}", mesh.verts.len());
        println!("  normals    {}", mesh.normals.len());
        println!("  uvs        {}", mesh.uvs.len());
        println!("  triangles  {}", mesh.faces.len());
        println!("  materials  {} {}", mesh.materials.len(), names(&mesh.materials));
        println!("  libraries  {} {}", mesh.libraries.len(), names(&mesh.libraries));
    }
    Ok(())
}
