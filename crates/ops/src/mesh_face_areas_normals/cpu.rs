// SPDX-License-Identifier: Apache-2.0
//! One walk over the faces; backward one for each thread, which adds up what its vertices get.

use patina3d_core::geometry::Vec3;
use patina3d_core::segments::Sums;
use patina3d_core::triangle::{Binary, Triangle};
use patina3d_core::{Error, Result, Tensor, pool};

use super::{GradInputs, Gradients, Inputs, OPERATOR, Outputs, Sizes};

/// Faces that are one piece of work.
const PIECE: usize = 4096;
/// Nanoseconds that a face costs, roughly: decides whether threads are worth waking.
const NANOSECONDS: usize = 20;

/// The corners of all faces, each of which there is.
fn corners<'a>(x: &Inputs<'a>) -> Result<&'a [[i64; 3]]> {
    let faces = x.faces.as_rows::<i64, 3>()?;
    let v = x.verts.shape()[0];
    let there = |&corner: &i64| usize::try_from(corner).is_ok_and(|corner| corner < v);
    match faces.iter().position(|face| !face.iter().all(there)) {
        None => Ok(faces),
        Some(f) => Err(Error::value(
            OPERATOR,
            "faces",
            format!("indices of {v} vertices, in [0, {v})"),
            format!("{:?} at {f}", faces[f]),
        )),
    }
}

#[inline(always)]
fn triangle<T: Binary>(verts: &[Vec3<T>], face: [i64; 3]) -> Triangle<T> {
    Triangle::new(face.map(|corner| verts[corner as usize]))
}

pub(super) fn forward<T: Binary>(x: &Inputs<'_>, threads: usize, out: &mut Outputs<'_>) -> Result<()> {
    let (verts, faces) = (x.verts.as_rows::<T, 3>()?, corners(x)?);
    let areas = out.areas.as_mut_slice::<T>()?;
    let normals = out.normals.as_mut_slice::<T>()?.as_chunks_mut::<3>().0;
    let mut work: Vec<_> = faces.chunks(PIECE).zip(areas.chunks_mut(PIECE)).zip(normals.chunks_mut(PIECE)).collect();
    pool::run(threads, faces.len() * NANOSECONDS, |threads| {
        pool::for_each_chunk(threads, &mut work, 1, |_, piece| {
            let ((faces, areas), normals) = &mut piece[0];
            for ((face, area), normal) in faces.iter().zip(areas.iter_mut()).zip(normals.iter_mut()) {
                let triangle = triangle(verts, *face);
                *area = triangle.area();
                *normal = triangle.normal();
            }
        });
    });
    Ok(())
}

pub(super) fn backward<T: Binary>(
    x: &GradInputs<'_>,
    sizes: Sizes,
    threads: usize,
    out: &mut Gradients<'_>,
) -> Result<()> {
    let (verts, faces) = (x.inputs.verts.as_rows::<T, 3>()?, corners(&x.inputs)?);
    let grad_areas = x.grad_areas.as_ref().map(Tensor::as_slice::<T>).transpose()?;
    let grad_normals = x.grad_normals.as_ref().map(Tensor::as_rows::<T, 3>).transpose()?;
    let grad_verts = out.verts.as_mut_slice::<T>()?.as_chunks_mut::<3>().0;
    pool::run(threads, faces.len() * NANOSECONDS, |threads| {
        // Each piece of the vertices looks at all faces and adds up its own, in ascending order: the same sum whatever the
        // number of pieces.
        let piece = sizes.v.div_ceil(threads).max(1);
        pool::for_each_chunk(threads, grad_verts, piece, |i, sums| {
            let first = i * piece;
            let (number, mut sums) = (sums.len(), Sums::new(sums.as_flattened_mut(), 3));
            for (f, face) in faces.iter().enumerate() {
                let places = face.map(|corner| (corner as usize).wrapping_sub(first));
                if places.iter().all(|&place| place >= number) {
                    continue;
                }
                let grad_area = grad_areas.map_or(T::ZERO, |grad| grad[f]);
                let grad_normal = grad_normals.map_or([T::ZERO; 3], |grad| grad[f]);
                let grads = triangle(verts, *face).backward(grad_area, grad_normal);
                for (place, grad) in places.into_iter().zip(grads) {
                    if place < number {
                        let sum = sums.of(place);
                        for axis in 0..3 {
                            sum[axis] = sum[axis] + grad[axis];
                        }
                    }
                }
            }
            sums.finish();
        });
    });
    Ok(())
}
