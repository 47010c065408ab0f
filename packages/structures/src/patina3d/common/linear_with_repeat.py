# SPDX-License-Identifier: Apache-2.0
"""A linear layer on rows that share a part of their input."""

import torch
from torch import Tensor
from torch.nn.functional import linear

__all__ = ["LinearWithRepeat"]


class LinearWithRepeat(torch.nn.Module):
    r"""``Linear(cat([x, y repeated], -1))``, without repeating y and with its product computed once.

    .. math:: \text{out}_{\ldots k} = W_1 x_{\ldots k} + W_2 y_{\ldots} + b, \qquad W = [W_1\ W_2]

    Args:
        in_features: columns of x and of y together.
        out_features: columns of the result.
        bias: learn an additive bias.
        device: of the parameters.
        dtype: of the parameters.

    Attributes:
        weight: (out_features, in_features); the first columns are for x.
        bias: (out_features,), or None. Both are initialized as those of ``torch.nn.Linear``, by the same draws.

    Example:
        >>> layer = LinearWithRepeat(5, 2)
        >>> layer((torch.rand(7, 4, 3), torch.rand(7, 2))).shape
        torch.Size([7, 4, 2])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = torch.nn.Parameter(torch.empty((out_features, in_features), device=device, dtype=dtype))
        if bias:
            self.bias = torch.nn.Parameter(torch.empty(out_features, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters as ``torch.nn.Linear`` does."""
        torch.nn.Linear.reset_parameters(self)  # pyright: ignore[reportArgumentType]

    def extra_repr(self) -> str:
        """What the layer is made of."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"

    def forward(self, input: tuple[Tensor, Tensor]) -> Tensor:
        """Apply the layer.

        Args:
            input: (x, y) of shapes (..., k, n1) and (..., n2), with n1 + n2 = ``in_features``.

        Returns:
            (..., k, ``out_features``).

        Raises:
            ValueError: the columns of x and y do not sum to ``in_features``.
        """
        x, y = input
        columns = x.shape[-1]
        if columns + y.shape[-1] != self.in_features:
            raise ValueError(
                f"LinearWithRepeat: x and y must have {self.in_features} columns together, "
                f"got {columns} and {y.shape[-1]}"
            )
        of_y = linear(y, self.weight[:, columns:], self.bias)
        return linear(x, self.weight[:, :columns]) + of_y[..., None, :]
