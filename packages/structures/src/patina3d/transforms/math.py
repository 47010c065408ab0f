# SPDX-License-Identifier: Apache-2.0
"""Functions of angles that stay defined, with all their derivatives, where the textbook forms divide by zero."""

import math

import torch
from torch import Tensor

__all__ = ["DEFAULT_ACOS_BOUND", "acos_linear_extrapolation"]

DEFAULT_ACOS_BOUND: float = 1.0 - 1e-4


def acos_linear_extrapolation(
    x: Tensor, bounds: tuple[float, float] = (-DEFAULT_ACOS_BOUND, DEFAULT_ACOS_BOUND)
) -> Tensor:
    r"""The arc cosine between two bounds, and its tangent lines beyond them.

    .. math::
        f(x) = \arccos x \text{ for } l < x < u, \qquad
        f(x) = \arccos b - (x - b) / \sqrt{1 - b^2} \text{ beyond the bound } b

    so that value and slope are finite and continuous for every x. Far outside [-1, 1] the result is not an angle.

    Args:
        x: floating tensor of any shape.
        bounds: (l, u), both strictly between -1 and 1, l <= u.

    Returns:
        Tensor like ``x``, in radians between the bounds. NaN stays NaN. Differentiable.

    Raises:
        ValueError: a bound outside (-1, 1), or l > u.

    Example:
        >>> acos_linear_extrapolation(torch.tensor([-1.0, 0.0, 0.5, 2.0]))
        tensor([  3.1345,   1.5708,   1.0472, -70.7054])
    """
    lower, upper = bounds
    if not -1 < lower <= upper < 1:
        raise ValueError(
            f"acos_linear_extrapolation: bounds must be (lower, upper) with -1 < lower <= upper < 1, got {bounds}"
        )
    below, above = x <= lower, x >= upper
    inside = torch.acos(x.masked_fill(below | above, 0.0))
    return torch.where(above, _tangent_of_acos(x, upper), torch.where(below, _tangent_of_acos(x, lower), inside))


def _tangent_of_acos(x: Tensor, at: float) -> Tensor:
    return math.acos(at) - (x - at) / math.sqrt(1 - at * at)


# The functions below take the square of the angle t. In t2 they are analytic at 0, in the angle vector they then are as
# well; each is a Taylor polynomial up to the square where the closed form has lost few digits.


def sinc(t2: Tensor) -> Tensor:
    """sin(t) / t, as a function of t2 = t^2 >= 0.

    Example:
        >>> sinc(torch.tensor([0.0, 1.0]))
        tensor([1.0000, 0.8415])
    """
    t = _beyond(t2, 1e-2).sqrt()
    return torch.where(t2 < 1e-2, _polynomial(t2, 1e-2, [1.0, -1 / 6, 1 / 120, -1 / 5040, 1 / 362880]), t.sin() / t)


def cos(t2: Tensor) -> Tensor:
    """The cosine of t, as a function of t2 = t^2 >= 0.

    Example:
        >>> cos(torch.tensor([0.0, 1.0]))
        tensor([1.0000, 0.5403])
    """
    near = _polynomial(t2, 1e-2, [1.0, -1 / 2, 1 / 24, -1 / 720, 1 / 40320])
    return torch.where(t2 < 1e-2, near, _beyond(t2, 1e-2).sqrt().cos())


def cosc(t2: Tensor) -> Tensor:
    """(1 - cos t) / t^2, as a function of t2 = t^2 >= 0.

    Example:
        >>> cosc(torch.tensor([0.0, 1.0]))
        tensor([0.5000, 0.4597])
    """
    return sinc(t2 / 4).square() / 2


def sinc_rest(t2: Tensor) -> Tensor:
    """(t - sin t) / t^3, as a function of t2 = t^2 >= 0.

    Example:
        >>> sinc_rest(torch.tensor([0.0, 1.0]))
        tensor([0.1667, 0.1585])
    """
    coefficients = [(-1) ** k / math.factorial(2 * k + 3) for k in range(7)]
    far = _beyond(t2, 0.25)
    t = far.sqrt()
    return torch.where(t2 < 0.25, _polynomial(t2, 0.25, coefficients), (1 - t.sin() / t) / far)


def inverse_rest(t2: Tensor) -> Tensor:
    """(1 - t (1 + cos t) / (2 sin t)) / t^2, as a function of t2 = t^2 in [0, (2 pi)^2).

    Example:
        >>> inverse_rest(torch.tensor([0.0, 1.0]))
        tensor([0.0833, 0.0848])
    """
    # |B_2k| / (2k)! with the Bernoulli numbers B_2, B_4, ...
    coefficients = [1 / 12, 1 / 720, 1 / 30240, 1 / 1209600, 1 / 47900160, 691 / 1307674368000, 1 / 74724249600]
    far = _beyond(t2, 0.25)
    half = far.sqrt() / 2
    return torch.where(t2 < 0.25, _polynomial(t2, 0.25, coefficients), (1 - half * half.cos() / half.sin()) / far)


def _polynomial(t2: Tensor, limit: float, coefficients: list[float]) -> Tensor:
    """The polynomial in t2 below the limit; its value at 0 from there on, with no gradient."""
    near = t2.masked_fill(~(t2 < limit), 0.0)
    value = torch.full_like(t2, coefficients[-1])
    for k in range(len(coefficients) - 2, -1, -1):
        value = value * near + coefficients[k]
    return value


def _beyond(t2: Tensor, limit: float) -> Tensor:
    """The argument of a closed form: t2 from the limit on; 1 below, with no gradient."""
    return t2.masked_fill(t2 < limit, 1.0)
