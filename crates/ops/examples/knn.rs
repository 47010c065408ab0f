// SPDX-License-Identifier: Apache-2.0
//! Neighbour statistics of a cloud, without Python: `cargo run --release --example knn -- cloud.ply 8`. Without a file,
//! points on a spiral around a sphere stand in for one.
#![expect(clippy::print_stdout, reason = "a program that prints")]

use std::error::Error;
use std::path::Path;

use patina3d_core::{Tensor, TensorMut};
use patina3d_io::ply;
use patina3d_ops::knn::{self, Norm};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let points = match arguments.next() {
        Some(path) => read(Path::new(&path))?,
        None => spiral(10_000),
    };
    let k: usize = arguments.next().map_or(Ok(8), |k| k.parse())?;
    let count = points.len() / 3;

    // Every point finds itself first, so one more than K are asked for.
    let (mut dists, mut idx) = (vec![0.0_f32; count * (k + 1)], vec![0_i64; count * (k + 1)]);
    let cloud = Tensor::from_slice("example", &points, &[1, count, 3])?.with_threads(threads());
    let inputs = knn::Inputs {
        p1: cloud,
        p2: cloud,
        lengths1: None,
        lengths2: None,
        trees: None,
        norm: Norm::SquaredL2,
        k: k + 1,
    };
    let slots = [1, count, k + 1];
    knn::forward(
        &inputs,
        &mut knn::Outputs {
            dists: TensorMut::from_slice("example", &mut dists, &slots)?,
            idx: TensorMut::from_slice("example", &mut idx, &slots)?,
            scratch: TensorMut::from_slice::<u8>("example", &mut [], &[0])?,
        },
    )?;

    let mut farthest: Vec<f32> = dists.chunks_exact(k + 1).map(|row| row[k].sqrt()).collect();
    farthest.sort_by(f32::total_cmp);
    println!("{count} points, distance to neighbour {k}:");
    for (name, part) in [("least", 0.0), ("median", 0.5), ("99 %", 0.99), ("greatest", 1.0)] {
        if let Some(distance) = farthest.get((part * count.saturating_sub(1) as f64) as usize) {
            println!("  {name:<9}{distance:.6}");
        }
    }
    Ok(())
}

/// x, y, z of each vertex of a PLY file.
fn read(path: &Path) -> Result<Vec<f32>, Box<dyn Error>> {
    let file = ply::read(&std::fs::read(path)?)?;
    let vertex = file.header.elements.iter().position(|element| element.name == "vertex").ok_or("no element vertex")?;
    let element = &file.header.elements[vertex];
    let mut axes = Vec::new();
    for name in ["x", "y", "z"] {
        let at = element.properties.iter().position(|property| property.name == name).ok_or("no coordinates")?;
        match &file.elements[vertex][at] {
            ply::Column::Scalars(values) => axes.push(values),
            ply::Column::Lists(..) => return Err("coordinates are lists".into()),
        }
    }
    let mut points = vec![0.0; 3 * element.count];
    ply::rows(&axes, |at, value| points[at] = value);
    Ok(points)
}

fn spiral(count: usize) -> Vec<f32> {
    let place = |i: usize| {
        let (z, turn) = (1.0 - (2 * i + 1) as f32 / count as f32, 2.399_963 * i as f32);
        let radius = (1.0 - z * z).sqrt();
        [radius * turn.cos(), radius * turn.sin(), z]
    };
    (0..count).flat_map(place).collect()
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
