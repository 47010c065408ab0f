// SPDX-License-Identifier: Apache-2.0
use patina3d_renderer::blending::{self, GradInputs, Gradients, Inputs, Settings};
use pyo3::prelude::*;

use crate::call::{Call, to_python};

type Object<'py> = Bound<'py, PyAny>;

const OPERATOR: &str = "softmax_rgb_blend";

fn inputs<'py>(call: &Call<'py>, tensors: [&Object<'py>; 7], settings: [f64; 3]) -> PyResult<Inputs<'py>> {
    let [colors, dists, zbuf, pix_to_face, background, znear, zfar] = tensors;
    let [sigma, gamma, least] = settings;
    Ok(Inputs {
        colors: call.input("colors", colors)?,
        dists: call.input("dists", dists)?,
        zbuf: call.input("zbuf", zbuf)?,
        pix_to_face: call.input("pix_to_face", pix_to_face)?,
        background: call.input("background", background)?,
        znear: call.input("znear", znear)?,
        zfar: call.input("zfar", zfar)?,
        settings: Settings { sigma, gamma, least },
    })
}

/// `patina3d_renderer::blending::forward`.
#[pyfunction]
pub(crate) fn blending_forward<'py>(
    py: Python<'py>,
    colors: &Object<'py>,
    dists: &Object<'py>,
    zbuf: &Object<'py>,
    pix_to_face: &Object<'py>,
    background: &Object<'py>,
    znear: &Object<'py>,
    zfar: &Object<'py>,
    sigma: f64,
    gamma: f64,
    least: f64,
) -> PyResult<Object<'py>> {
    let call = Call::new(py, OPERATOR)?;
    let tensors = [colors, dists, zbuf, pix_to_face, background, znear, zfar];
    let x = inputs(&call, tensors, [sigma, gamma, least])?;
    let sizes = blending::check(&x).map_err(to_python)?;
    let (image, mut out) = call.empty_like(colors, &sizes.image())?;
    call.run(|| blending::forward(&x, &mut out))?;
    Ok(image)
}

/// `patina3d_renderer::blending::backward`: the gradients of colors, dists, zbuf and the background of each pixel that are
/// asked for.
#[pyfunction]
pub(crate) fn blending_backward<'py>(
    py: Python<'py>,
    colors: &Object<'py>,
    dists: &Object<'py>,
    zbuf: &Object<'py>,
    pix_to_face: &Object<'py>,
    background: &Object<'py>,
    znear: &Object<'py>,
    zfar: &Object<'py>,
    sigma: f64,
    gamma: f64,
    least: f64,
    image: &Object<'py>,
    grad_image: &Object<'py>,
    wanted: [bool; 4],
) -> PyResult<Vec<Object<'py>>> {
    let call = Call::new(py, OPERATOR)?;
    let tensors = [colors, dists, zbuf, pix_to_face, background, znear, zfar];
    let inputs = inputs(&call, tensors, [sigma, gamma, least])?;
    let x = GradInputs {
        inputs,
        image: call.input("the image", image)?,
        grad_image: call.input("the gradient of the image", grad_image)?,
    };
    let sizes = blending::check(&inputs).map_err(to_python)?;
    let rows = [sizes.num_pixels(), sizes.c];
    let shapes = [inputs.colors.shape(), inputs.dists.shape(), inputs.zbuf.shape(), &rows];
    let mut grads = Vec::new();
    let mut out = [None, None, None, None];
    for ((shape, wanted), out) in shapes.into_iter().zip(wanted).zip(&mut out) {
        if wanted {
            let (grad, memory) = call.empty_like(colors, shape)?;
            grads.push(grad);
            *out = Some(memory);
        }
    }
    let [colors, dists, zbuf, background] = out;
    let mut out = Gradients { colors, dists, zbuf, background };
    call.run(|| blending::backward(&x, &mut out))?;
    Ok(grads)
}
