# SPDX-License-Identifier: Apache-2.0
"""Objects that compute what is asked of them once, and copies of such objects."""

import copy
import functools
from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor

__all__ = ["computed_form", "copy_with", "map_tensors", "once"]

_Self = TypeVar("_Self")
_Value = TypeVar("_Value")


def once(method: Callable[[_Self], _Value]) -> Callable[[_Self], _Value]:
    """Compute a method's value on the first call and return the same object afterwards.

    The value of ``name`` is kept as the attribute ``_name``.
    """
    attribute = f"_{method.__name__}"

    @functools.wraps(method)
    def cached(self: _Self) -> _Value:
        value = getattr(self, attribute, None)
        if value is None:
            value = method(self)
            setattr(self, attribute, value)
        return value

    return cached


def computed_form(part: str, name: str) -> property:
    """What the attribute ``part`` of an object has computed under ``name`` (its ``computed(name)``), or None."""
    return property(lambda self: None if getattr(self, part) is None else getattr(self, part).computed(name))


def map_tensors(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Apply ``change`` to a tensor, or to each tensor of a list, tuple or dict; anything else is returned as is."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, (list, tuple)):
        return type(value)(map_tensors(item, change) for item in value)
    if isinstance(value, dict):
        return {key: map_tensors(item, change) for key, item in value.items()}
    return value


def copy_with(obj: _Self, change: Callable[[Tensor], Tensor]) -> _Self:
    """A copy of ``obj`` whose tensors, also those in lists, tuples and dicts, have gone through ``change``."""
    other = copy.copy(obj)
    for name, value in vars(obj).items():
        setattr(other, name, map_tensors(value, change))
    return other
