"""Derivatives of functions: products with the Jacobian, and the whole of it.

For f: x -> y, the Jacobian J holds dyᵢ/dxⱼ, and for one number y the Hessian H holds d²y/dxᵢdxⱼ.

    vjp                cᵀ J    one backward pass: what `backward` computes
    jvp                J v     two: cᵀ J is linear in c, and its own derivative by c along v is J v
    hvp                H v     two: the derivative of the gradient along v
    jacobian, hessian  J, H    one pass for each element of y, of the gradient

Inputs need not require a gradient, and ``.grad`` stays as it is. Results are detached; with
``create_graph`` they can be differentiated again. One input gives one Tensor, several give a tuple.

Order: products · whole matrices · the gradient of a function · helpers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import ops
from .autograd import grad
from .creation import eye, zeros, zeros_like
from .operation import enable_grad
from .tensor import Tensor

__all__ = ["hessian", "hvp", "jacobian", "jvp", "value_and_grad", "vjp"]

# ---- products ---------------------------------------------------------------------------------


def vjp(f: Callable[..., Any], *inputs: Tensor, create_graph: bool = False) -> Any:
    """f(*inputs), and the function c -> cᵀ J, which may be called several times.

    y (M…), x (N…): c (M…) -> (N…), one result for each input, zeros where f does not use it. Where
    f returns several tensors, the function takes one c for each.
    """
    xs, y = _run(f, inputs, create_graph)
    ys = _as_tuple(y)

    def pull(*cotangents: Tensor) -> Any:
        _check_count("vjp", "outputs", ys, cotangents)
        return _unpacked(_gradients(ys, xs, cotangents, create_graph))

    return y if create_graph else _detached(y), pull


def jvp(f: Callable[..., Any], inputs: Any, tangents: Any, create_graph: bool = False) -> Any:
    """f(*inputs), and J v: how y changes when the inputs move along the tangents v.

    y (M…), x (N…): v (N…) -> (M…).
    """
    vectors = _as_tuple(tangents)
    _check_count("jvp", "inputs", _as_tuple(inputs), vectors)
    xs, y = _run(f, _as_tuple(inputs), create_graph)
    ys = _as_tuple(y)
    cotangents = [zeros_like(one, requires_grad=True) for one in ys]
    pulled = _gradients(ys, xs, cotangents, True)
    pushed = _gradients(pulled, cotangents, vectors, create_graph)
    return y if create_graph else _detached(y), _like(y, pushed)


def hvp(f: Callable[..., Tensor], inputs: Any, vectors: Any, create_graph: bool = False) -> Any:
    """H v, without making H: f(*inputs) is one number, each vector has the shape of its input."""
    vectors = _as_tuple(vectors)
    _check_count("hvp", "inputs", _as_tuple(inputs), vectors)
    xs, y = _run(f, _as_tuple(inputs), create_graph)
    gradient = _gradients([y], xs, [None], True)
    return _like(inputs, _gradients(gradient, xs, vectors, create_graph))


# ---- whole matrices ---------------------------------------------------------------------------


def jacobian(f: Callable[..., Tensor], *inputs: Tensor, create_graph: bool = False) -> Any:
    """J, one backward pass for each of its rows: y (M…), x (N…) -> (M…, N…)."""
    xs, y = _run(f, inputs, create_graph)
    basis = eye(y.size, dtype=y.dtype, device=y.device)
    rows = [_gradients([y], xs, [row.reshape(y.shape)], create_graph) for row in basis]
    if not rows:
        return _unpacked([zeros((*y.shape, *x.shape), dtype=x.dtype, device=x.device) for x in xs])
    return _unpacked(
        [
            ops.reshape(ops.stack(column), (*y.shape, *x.shape))
            for column, x in zip(zip(*rows, strict=True), xs, strict=True)
        ]
    )


def hessian(f: Callable[..., Tensor], *inputs: Tensor, create_graph: bool = False) -> Any:
    """H of one number: x (N…) -> (N…, N…); for several inputs a tuple of tuples, [i][j]."""

    def gradient(i: int) -> Callable[..., Tensor]:
        both = value_and_grad(f, create_graph=True)
        return lambda *xs: _as_tuple(both(*xs)[1])[i]

    rows = [jacobian(gradient(i), *inputs, create_graph=create_graph) for i in range(len(inputs))]
    return _unpacked(rows)


# ---- the gradient of a function ---------------------------------------------------------------


def value_and_grad(f: Callable[..., Tensor], create_graph: bool = False) -> Callable[..., Any]:
    """The function inputs -> (f(*inputs), its gradient), where f gives one number."""

    def both(*inputs: Tensor) -> Any:
        xs, y = _run(f, inputs, create_graph)
        gradient = _gradients([y], xs, [None], create_graph)
        return y if create_graph else _detached(y), _unpacked(gradient)

    return both


# ---- helpers ----------------------------------------------------------------------------------


def _run(f: Callable[..., Any], inputs: Sequence[Tensor], linked: bool) -> tuple[list[Any], Any]:
    """What stands for the inputs, and what f makes of it; linked to the graph that they are in."""
    xs = [x.clone() if linked and x.requires_grad else x.detach().requires_grad_() for x in inputs]
    with enable_grad():
        return xs, f(*xs)


def _gradients(ys: Any, xs: Sequence[Any], cs: Any, create_graph: bool) -> tuple[Tensor, ...]:
    """Σ cᵀ dy/dx for each x; zeros where no y depends on it."""
    pairs = [(y, c) for y, c in zip(ys, cs, strict=True) if y.requires_grad]
    found: Sequence[Any] = [None] * len(xs)
    if pairs:
        used, arriving = zip(*pairs, strict=True)
        found = grad(used, xs, arriving, create_graph, allow_unused=True)
    return tuple(zeros_like(x) if g is None else g for x, g in zip(xs, found, strict=True))


def _as_tuple(given: Any) -> tuple[Any, ...]:
    return (given,) if isinstance(given, Tensor) else tuple(given)


def _like(given: Any, results: Sequence[Any]) -> Any:
    """A result where a tensor was given, a tuple where a tuple was."""
    return results[0] if isinstance(given, Tensor) else tuple(results)


def _unpacked(results: Sequence[Any]) -> Any:
    return results[0] if len(results) == 1 else tuple(results)


def _detached(y: Any) -> Any:
    return y.detach() if isinstance(y, Tensor) else tuple(one.detach() for one in y)


def _check_count(name: str, what: str, expected: Sequence[Any], given: Sequence[Any]) -> None:
    if len(expected) != len(given):
        raise ValueError(
            f"{name}: there are {len(expected)} {what} and {len(given)} vectors for them. Give one "
            "for each."
        )
