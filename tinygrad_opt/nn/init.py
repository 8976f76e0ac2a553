"""Starting values, written into a tensor that is given back: PyTorch's functions and defaults.

All are drawn on the host from the generator of `manual_seed`, so a seed gives the same weights on
every device. A weight is (out, in), or (out, in, …) for a convolution.

Order: constants · distributions · scaled to the number of inputs (Xavier, Kaiming) · structured.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..operation import changed, there
from ..random_numbers import generator
from ..tensor import Tensor

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]


def _fill(name: str, tensor: Tensor, values: Any) -> Tensor:
    if tensor._node is not None:
        raise RuntimeError(f"{name}: the tensor was made by an operation; only a leaf is filled.")
    array = tensor.device.from_host(values, tensor.dtype)
    there(tensor.device, tensor._data.__setitem__, ..., array)
    changed([tensor], f"init.{name}()")
    return tensor


# ---- constants --------------------------------------------------------------------------------


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Every element the same."""
    return _fill("constant_", tensor, val)


def zeros_(tensor: Tensor) -> Tensor:
    """Every element 0."""
    return _fill("zeros_", tensor, 0)


def ones_(tensor: Tensor) -> Tensor:
    """Every element 1."""
    return _fill("ones_", tensor, 1)


def eye_(tensor: Tensor) -> Tensor:
    """The identity: a linear layer then hands its input on."""
    rows, columns = _matrix("eye_", tensor)
    return _fill("eye_", tensor, np.eye(rows, columns))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """The identity for a convolution: 1 in the middle of the window from channel i to channel i.

    With groups, each group of outputs gets the first channels once more.
    """
    if tensor.ndim not in (3, 4, 5):
        raise ValueError(
            f"dirac_: a convolution's weight has 3 to 5 axes, not {tensor.shape}. For a matrix "
            "there is eye_."
        )
    n_out, n_in, *window = tensor.shape
    if groups < 1 or n_out % groups:
        raise ValueError(f"dirac_: {n_out} outputs do not fall into {groups} equal groups.")
    values: Any = np.zeros(tensor.shape)
    middle = [n // 2 for n in window]
    values[:, :, *middle] = np.tile(np.eye(n_out // groups, n_in), (groups, 1))
    return _fill("dirac_", tensor, values)


# ---- distributions ----------------------------------------------------------------------------


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Evenly between a and b."""
    return _fill("uniform_", tensor, generator().uniform(a, b, tensor.shape))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Normal with this mean and standard deviation."""
    return _fill("normal_", tensor, generator().normal(mean, std, tensor.shape))


def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0
) -> Tensor:
    """Normal, but only between a and b, which are values, not multiples of std."""
    low, high = max(a, mean - 8 * std), min(b, mean + 8 * std)
    if not low < high:
        raise ValueError(
            f"trunc_normal_: nothing of a normal distribution with mean {mean} and std {std} lies "
            f"between {a} and {b}."
        )
    peak = min(max(mean, low), high)
    values = np.full(tensor.size, np.nan)
    while len(open_places := np.flatnonzero(np.isnan(values))):
        draws = generator().uniform(low, high, len(open_places))
        height = np.exp(((peak - mean) ** 2 - (draws - mean) ** 2) / (2 * std**2))
        kept = generator().random(len(draws)) < height
        values[open_places[kept]] = draws[kept]
    return _fill("trunc_normal_", tensor, values.reshape(tensor.shape))


# ---- scaled to the number of inputs -----------------------------------------------------------


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much weights must be larger to make up for what an activation takes away.

    1 for linear and sigmoid, 5/3 for tanh, √2 for relu, √(2 / (1 + param²)) for leaky_relu (slope
    0.01 when not given), 3/4 for selu, as in PyTorch.
    """
    gains = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in gains:
        raise ValueError(
            f"calculate_gain: {nonlinearity!r} is unknown. It is one of "
            f"{', '.join([*gains, 'leaky_relu'])}."
        )
    return gains[nonlinearity]


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Uniform ±gain √(6 / (in + out)) (Glorot & Bengio 2010)."""
    bound = gain * math.sqrt(6 / sum(_fans("xavier_uniform_", tensor)))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Normal with std gain √(2 / (in + out)) (Glorot & Bengio 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(_fans("xavier_normal_", tensor))))


def kaiming_uniform_(
    tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """Uniform ±gain √(3 / fan), a being leaky_relu's slope (arXiv:1502.01852)."""
    bound = math.sqrt(3) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(
    tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """Normal with std gain / √fan, a being leaky_relu's slope (arXiv:1502.01852)."""
    return normal_(tensor, 0.0, _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity))


def _kaiming_std(name: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    fans = dict(zip(("fan_in", "fan_out"), _fans(name, tensor), strict=True))
    if mode not in fans:
        raise ValueError(f"{name}: mode is {mode!r}; it is 'fan_in' or 'fan_out'.")
    return calculate_gain(nonlinearity, a) / math.sqrt(fans[mode])


def _fans(name: str, tensor: Tensor) -> tuple[int, int]:
    """How many inputs an output sees, and how many outputs an input reaches."""
    if tensor.ndim < 2 or not tensor.size:
        raise ValueError(f"{name}: a weight is (out, in) or (out, in, …), not {tensor.shape}.")
    n_out, n_in, *window = tensor.shape
    return n_in * math.prod(window), n_out * math.prod(window)


# ---- structured -------------------------------------------------------------------------------


def orthogonal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Rows (or columns, where there are fewer) of length gain at right angles (arXiv:1312.6120).

    The Q of a QR decomposition of normal draws, with the signs that make it uniform among all.
    """
    columns, _ = _fans("orthogonal_", tensor)
    rows = tensor.shape[0]
    q, r = np.linalg.qr(generator().standard_normal((max(rows, columns), min(rows, columns))))
    q *= gain * np.sign(np.diag(r))
    return _fill("orthogonal_", tensor, (q if rows >= columns else q.T).reshape(tensor.shape))


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01) -> Tensor:
    """Normal with this std, and in every column this share set to 0 (Martens 2010)."""
    rows, columns = _matrix("sparse_", tensor)
    values = generator().normal(0.0, std, (rows, columns))
    n_zero = math.ceil(sparsity * rows)
    for column in values.T:
        column[generator().permutation(rows)[:n_zero]] = 0
    return _fill("sparse_", tensor, values)


def _matrix(name: str, tensor: Tensor) -> tuple[int, int]:
    if tensor.ndim != 2:
        raise ValueError(f"{name}: the tensor must be a matrix, and its shape is {tensor.shape}.")
    return tensor.shape[0], tensor.shape[1]
