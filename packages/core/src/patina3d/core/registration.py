# SPDX-License-Identifier: Apache-2.0
"""How a native function becomes a torch operator."""

from collections.abc import Callable
from typing import Any

import torch
from torch.autograd import forward_ad

__all__ = ["distinct", "is_differentiated", "register"]

_LIBRARY = torch.library.Library("patina3d", "DEF")


def register(schema: str, kernel: Callable[..., Any], fake: Callable[..., Any]) -> Callable[..., Any]:
    """Register an opaque operator ``torch.ops.patina3d.<name>``.

    The operator itself has no derivative: an ``autograd.Function`` around it has, and is entered when
    :func:`is_differentiated` says so. The bare operator's backward is an error, never a silent zero.

    Args:
        schema: name, arguments and results in torch's schema language, for instance ``"double(Tensor x) -> Tensor"``.
        kernel: called with real tensors on any device.
        fake: called with tensors without data (``torch.compile``, ``torch.export``); returns empty results of the right
            shape, dtype and device.

    Returns:
        The operator, callable like ``kernel``.

    Example:
        >>> import torch
        >>> twice = register("doc_twice(Tensor x) -> Tensor", lambda x: 2 * x, torch.empty_like)
        >>> twice(torch.ones(2))
        tensor([2., 2.])
    """
    name = schema.split("(", 1)[0].strip()
    _LIBRARY.define(schema, tags=(torch.Tag.pt2_compliant_tag,))
    _LIBRARY.impl(name, kernel, "CPU")
    _LIBRARY.impl(name, kernel, "CUDA")
    torch.library.register_fake(f"patina3d::{name}", fake, lib=_LIBRARY)

    def refuse(ctx: Any, *grads: Any) -> Any:
        raise RuntimeError(f"patina3d::{name} has no derivative of its own: call the public function instead")

    torch.library.register_autograd(f"patina3d::{name}", refuse, lib=_LIBRARY)
    return getattr(torch.ops.patina3d, name).default


def is_differentiated(*inputs: torch.Tensor) -> bool:
    """Whether a derivative may be asked of what is computed from these inputs.

    In forward mode always: which inputs carry a tangent cannot be seen through every wrapper, and a bare operator would
    drop it in silence.

    Example:
        >>> import torch
        >>> leaf = torch.ones(1, requires_grad=True)
        >>> is_differentiated(leaf), is_differentiated(leaf.detach())
        (True, False)
    """
    if forward_ad._current_level >= 0:
        return True
    # A loop, not `any`: this stands in the way of every call.
    for x in inputs:
        if x.requires_grad:
            return torch.is_grad_enabled()
    return False


def distinct(*inputs: Any) -> tuple[Any, ...]:
    """The inputs of an ``autograd.Function``, of which none is the same tensor twice while a graph is compiled.

    ``torch.compile`` refuses a Function that gets one tensor as two inputs, as ``knn_points(x, x)`` does: there every
    later one becomes an alias, whose gradient goes to the same tensor. Outside of compiled graphs the inputs pass
    through at once.

    Example:
        >>> import torch
        >>> x = torch.ones(1)
        >>> distinct(x, x, 2.0)
        (tensor([1.]), tensor([1.]), 2.0)
    """
    if not torch.compiler.is_compiling():
        return inputs
    seen: list[torch.Tensor] = []
    aliased: list[Any] = []
    for x in inputs:
        repeats = any(x is other for other in seen)
        if isinstance(x, torch.Tensor) and not repeats:
            seen.append(x)
        aliased.append(x.view_as(x) if repeats else x)
    return tuple(aliased)
