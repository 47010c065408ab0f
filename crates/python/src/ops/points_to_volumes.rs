// SPDX-License-Identifier: Apache-2.0
use patina3d_ops::points_to_volumes::{self as operator, Cloud, Gradients, Outputs, Volumes};
use pyo3::prelude::*;

use crate::call::{Call, to_python};

type Object<'py> = Bound<'py, PyAny>;

const OPERATOR: &str = "add_points_features_to_volume_densities_features";

fn cloud<'py>(
    call: &Call<'py>,
    [points, features]: [&Object<'py>; 2],
    [grid_sizes, mask]: [Option<&Object<'py>>; 2],
    (point_weight, align_corners, splat): (f64, bool, bool),
) -> PyResult<Cloud<'py>> {
    Ok(Cloud {
        points: call.input("points_3d", points)?,
        features: call.input("points_features", features)?,
        grid_sizes: call.optional("grid_sizes", grid_sizes)?,
        mask: call.optional("mask", mask)?,
        point_weight,
        align_corners,
        splat,
    })
}

/// `patina3d_ops::points_to_volumes::forward`: densities and features.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "those of the operator")]
pub(crate) fn points_to_volumes_forward<'py>(
    py: Python<'py>,
    points_3d: &Object<'py>,
    points_features: &Object<'py>,
    volume_densities: &Object<'py>,
    volume_features: Option<&Object<'py>>,
    grid_sizes: Option<&Object<'py>>,
    mask: Option<&Object<'py>>,
    point_weight: f64,
    align_corners: bool,
    splat: bool,
) -> PyResult<(Object<'py>, Object<'py>)> {
    let call = Call::new(py, OPERATOR)?;
    let options = (point_weight, align_corners, splat);
    let cloud = cloud(&call, [points_3d, points_features], [grid_sizes, mask], options)?;
    let initial = Volumes {
        densities: call.input("volume_densities", volume_densities)?,
        features: call.optional("volume_features", volume_features)?,
    };
    let sizes = operator::check(&cloud, &initial).map_err(to_python)?;
    let (densities, out_densities) = call.empty_like(points_3d, &sizes.volumes(1))?;
    let (features, out_features) = call.empty_like(points_3d, &sizes.volumes(sizes.c))?;
    let (_scratch, scratch) = call.scratch(points_3d, operator::scratch_bytes(&cloud, &initial).map_err(to_python)?)?;
    let mut out = Outputs { densities: out_densities, features: out_features, scratch };
    call.run(|| operator::forward(&cloud, &initial, &mut out))?;
    Ok((densities, features))
}

/// `patina3d_ops::points_to_volumes::backward`: the gradients of the points and of their features that are asked for.
#[pyfunction]
#[expect(clippy::too_many_arguments, clippy::fn_params_excessive_bools, reason = "those of the operator")]
pub(crate) fn points_to_volumes_backward<'py>(
    py: Python<'py>,
    points_3d: &Object<'py>,
    points_features: &Object<'py>,
    grid_sizes: Option<&Object<'py>>,
    mask: Option<&Object<'py>>,
    point_weight: f64,
    align_corners: bool,
    splat: bool,
    grad_densities: &Object<'py>,
    grad_features: Option<&Object<'py>>,
    of_points: bool,
    of_features: bool,
) -> PyResult<Vec<Object<'py>>> {
    let call = Call::new(py, OPERATOR)?;
    let options = (point_weight, align_corners, splat);
    let cloud = cloud(&call, [points_3d, points_features], [grid_sizes, mask], options)?;
    let grad = Volumes {
        densities: call.input("the gradient of the densities", grad_densities)?,
        features: call.optional("the gradient of the features", grad_features)?,
    };
    let empty = |wanted: bool, shape| wanted.then(|| call.empty_like(points_3d, shape)).transpose();
    let (points, out_points) = empty(of_points, cloud.points.shape())?.unzip();
    let (features, out_features) = empty(of_features, cloud.features.shape())?.unzip();
    let mut out = Gradients { points: out_points, features: out_features };
    call.run(|| operator::backward(&cloud, &grad, &mut out))?;
    Ok(points.into_iter().chain(features).collect())
}
