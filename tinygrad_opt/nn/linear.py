"""Layers that multiply by a matrix or look up its rows, and two that only pass things on."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..creation import empty
from ..device import Device
from ..operation import there
from ..tensor import Tensor
from . import functional as F
from . import init
from .checks import check_size, check_tensor
from .module import Module, Parameter


class Linear(Module):
    """x Wᵀ + b: x (…, in) -> (…, out); the weight is (out, in), the bias (out,).

    Both start uniform within ±1/√in, which is PyTorch's default too.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: str | Device | None = None,
        dtype: Any = np.float32,
    ) -> None:
        self.in_features = check_size("Linear", "in_features", in_features, least=0)
        self.out_features = check_size("Linear", "out_features", out_features, least=0)
        shape = (self.out_features, self.in_features)
        self.weight = Parameter(empty(shape, dtype=dtype, device=device))
        self.bias = Parameter(empty(shape[:1], dtype=dtype, device=device)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new starting values."""
        bound = 1 / math.sqrt(max(1, self.in_features))
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor, function: Callable[..., Tensor] = F.linear) -> Tensor:
        """x Wᵀ + b; a chain asks for `F.linear_relu` here, the layer and a ReLU in one pass."""
        try:
            return function(x, self.weight, self.bias)
        except ValueError as error:
            who = f"Linear({self.in_features} -> {self.out_features}):"
            raise ValueError(f"{who} {str(error).partition(': ')[2]}") from None

    def extra_repr(self) -> str:
        """Sizes, and whether there is a bias."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Embedding(Module):
    """One learned row for each of n numbers: indices (…) -> (…, dim); the weight is (n, dim).

    Rows start as standard normal draws; the row ``padding_idx`` starts as zeros and stays. With
    ``sparse`` the gradient holds the rows that occurred and no zeros, for `optim.SparseAdam`.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        sparse: bool = False,
        device: str | Device | None = None,
        dtype: Any = np.float32,
    ) -> None:
        self.num_embeddings = check_size("Embedding", "num_embeddings", num_embeddings)
        self.embedding_dim = check_size("Embedding", "embedding_dim", embedding_dim)
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(
                f"Embedding: padding_idx {padding_idx} is none of the {num_embeddings} rows."
            )
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.sparse = sparse
        shape = (self.num_embeddings, self.embedding_dim)
        self.weight = Parameter(empty(shape, dtype=dtype, device=device))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new starting values."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            there(self.weight.device, self.weight._data.__setitem__, self.padding_idx, 0)

    def forward(self, indices: Tensor) -> Tensor:
        """The rows of these numbers."""
        return F.embedding(indices, self.weight, self.padding_idx, self.sparse)

    def extra_repr(self) -> str:
        """Sizes, the row that is not learned, and whether gradients are rows."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        sparse = ", sparse=True" if self.sparse else ""
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}{sparse}"


class Identity(Module):
    """Hands its input on, whatever it was built with: a place for a layer that is left out."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, x: Tensor) -> Tensor:
        """x itself."""
        return x


class Flatten(Module):
    """The axes from start_dim to end_dim become one: (N, 8, 8) -> (N, 64)."""

    _shown = ("start_dim", "end_dim")

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> Tensor:
        """x in its new shape."""
        check_tensor("Flatten", x, "input")
        first, last = self.start_dim % x.ndim, self.end_dim % x.ndim
        joined = math.prod(x.shape[first : last + 1])
        return x.reshape(*x.shape[:first], joined, *x.shape[last + 1 :])
