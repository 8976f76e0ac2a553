"""The operations, under NumPy's names: what stands for ``xp`` where a rule gets Tensors."""

from __future__ import annotations

from ..operation import clone, wrap
from .elementwise import (
    abs,
    absolute,
    add,
    arccos,
    arcsin,
    arctan,
    arctan2,
    binary_cross_entropy,
    bitwise_and,
    bitwise_or,
    bitwise_xor,
    ceil,
    clip,
    cos,
    cosh,
    divide,
    elu,
    equal,
    erf,
    exp,
    expm1,
    floor,
    gelu,
    greater,
    greater_equal,
    hardsigmoid,
    hardswish,
    hardtanh,
    invert,
    isfinite,
    isinf,
    isnan,
    leaky_relu,
    less,
    less_equal,
    log,
    log1p,
    log2,
    log_sigmoid,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    maximum,
    minimum,
    multiply,
    negative,
    not_equal,
    power,
    reciprocal,
    relu,
    relu6,
    round,
    selu,
    sigmoid,
    sign,
    silu,
    sin,
    sinh,
    softplus,
    sqrt,
    square,
    subtract,
    tan,
    tanh,
    where,
)
from .fused import (
    cross_entropy,
    dropout,
    linear,
    linear_relu,
    log_softmax,
    mse_loss,
    softmax,
    standardize,
)
from .linalg import dot, einsum, matmul, outer, trace
from .reduce import (
    all,
    any,
    argmax,
    argmin,
    cumsum,
    logsumexp,
    max,
    mean,
    min,
    norm,
    prod,
    std,
    sum,
    var,
)
from .shape import (
    astype,
    broadcast_to,
    concatenate,
    diagonal,
    expand_dims,
    flatten,
    flip,
    getitem,
    moveaxis,
    pad,
    permute,
    raw_index,
    repeat,
    reshape,
    roll,
    scatter_add,
    split,
    squeeze,
    stack,
    swapaxes,
    take,
    take_along_axis,
    tile,
    transpose,
    tril,
    triu,
)


def zeros_like(x):
    """Zeros of the shape, dtype and device of x."""
    return wrap(x.device.xp.zeros(x.shape, x.dtype), x.device)


def ones_like(x):
    """Ones of the shape, dtype and device of x."""
    return wrap(x.device.xp.ones(x.shape, x.dtype), x.device)


_for_rules = {"ones_like", "raw_index", "scatter_add", "wrap", "zeros_like"}
__all__ = [n for n, f in globals().items() if callable(f) and n[0] != "_" and n not in _for_rules]
