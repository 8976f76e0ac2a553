"""The backward pass: from a result to the gradients of everything that it was made from.

`_sweep` walks the recorded nodes, newest first, and sends every gradient on to the inputs by the
chain rule. That is all of reverse-mode differentiation; `backward` and `grad` are two ways to ask.

Order: the sweep · its helpers · `backward` · `grad`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from typing import Any

import numpy as np

from . import operation
from .operation import PICK, Variable, _Plan, _Shape, clone, pick_each, wrap

# ---- the backward pass ------------------------------------------------------------------------


def _sweep(
    outputs: Iterable[tuple[Any, Any]],
    create_graph: bool,
    targets: Iterable[Any] = (),
    stop: bool = False,
) -> dict[Any, Any]:
    """The gradients that reach leaves (by leaf) and target nodes (by number) from these outputs.

    Nodes are visited newest first. An operation is always newer than what it reads, so by the time
    a node is visited every operation that used its result has sent its part of the gradient. That
    is why the order matters: a node visited too early would pass on an incomplete sum.
    With ``create_graph`` gradients are Tensors, and the same rules record what they do.
    """
    arrived: dict[Any, Any] = {}  # leaf, or number of a node -> the sum of what has arrived
    heap: list[Any] = []
    for tensor, g in outputs:
        device, node = tensor.device, tensor._node
        key = tensor if node is None else node[0]
        if key in arrived:
            arrived[key] = arrived[key] + g
        else:
            arrived[key] = g
            if node is not None:
                heappush(heap, node)
    xp = operation.namespace if create_graph else device.xp
    targets = set(targets)
    oldest = max(targets) if targets and all(type(key) is int for key in targets) else 0
    before = operation.recording.set(create_graph)
    try:
        while heap:
            number, plan, inputs, kept, output, params, hooks = node = heappop(heap)
            if number > oldest:
                break
            g = arrived.pop(number)
            if hooks:
                g = _call_hooks(hooks, g, device)
            if number in targets:
                arrived[number] = g
                if stop:
                    continue
            if plan is PICK:
                (whole,), place = inputs, params["place"]
                if whole[0] not in arrived:
                    arrived[whole[0]] = _zeros_like(xp, whole[4], device)
                    heappush(heap, whole)
                arrived[whole[0]][place] = g
                continue
            for _, _, reads in plan.terms:
                for j in reads:
                    if isinstance(inputs[j], Variable) and inputs[j]._change[0] > -number:
                        raise RuntimeError(_changed_since(plan.op.name, inputs[j]))
            args = kept
            if create_graph:
                args = [_as_tensor(x, a, device) for x, a in zip(inputs, kept, strict=True)]
                if plan.keep_output and plan.op.composition is None:
                    as_tensors = pick_each if type(output) is tuple else wrap
                    output = as_tensors(output, device, node)
            elif plan.shapes:
                args = [_Shape(a) if type(a) is tuple else a for a in kept]
            if create_graph and plan.op.composition is not None:
                parts = _through_composition(plan, args, g, params)
            else:
                parts = [(i, d(xp, g, output, *args, **params)) for i, d, _ in plan.terms]
            for i, part in parts:
                shape = kept[i] if type(kept[i]) is tuple else kept[i].shape
                if part.shape != shape:
                    part = _sum_to(xp, part, shape)
                x = inputs[i]
                is_node = type(x) is tuple
                key = x[0] if is_node else x
                if key in arrived:
                    arrived[key] = arrived[key] + part  # out of place: the first may be shared
                elif is_node:
                    arrived[key] = part
                    heappush(heap, x)
                else:
                    arrived[key] = _own(part, (g, output, *kept))
    finally:
        operation.recording.reset(before)
    return arrived


def _sum_to(xp: Any, g: Any, shape: tuple[int, ...]) -> Any:
    """Undo broadcasting: add up the axes along which an input of this shape was repeated."""
    extra = len(g.shape) - len(shape)
    axes = tuple(range(extra)) + tuple(
        extra + i for i, n in enumerate(shape) if n == 1 and g.shape[extra + i] != 1
    )
    return xp.reshape(xp.sum(g, axis=axes, keepdims=True) if axes else g, shape)


def _as_tensor(x: Any, array: Any, device: Any) -> Any:
    if isinstance(x, Variable):
        return x
    if type(array) is tuple:
        return _Shape(array)
    return array if array is None or not hasattr(array, "shape") else wrap(array, device, x)


def _own(g: Any, others: Iterable[Any]) -> Any:
    """A gradient that nobody else holds: contiguous, writable, no view and no array of a node."""
    if isinstance(g, Variable):
        return clone(g) if any(g is other for other in others) else g
    if isinstance(g, np.generic):
        return g
    if g.base is not None or not g.flags.c_contiguous or any(g is other for other in others):
        return g.copy()
    return g


def _through_composition(plan: _Plan, args: Any, g: Any, params: Any) -> Any:
    """Gradients of a fused operation as Tensors: those of the composition that it replaces."""
    wanted = [i for i, _, _ in plan.terms]
    args = list(args)
    for i in wanted:
        args[i] = clone(args[i])  # one input may stand in two places, each with its own gradient
    numbers = [args[i]._node[0] for i in wanted]
    y = plan.op.composition(*args, **params)  # type: ignore[misc]
    found = _sweep([(y, g)], True, numbers, stop=True)
    return [(i, found[n]) for i, n in zip(wanted, numbers, strict=True) if n in found]


def _zeros_like(xp: Any, outputs: Any, device: Any) -> list[Any]:
    """What has arrived at several outputs before anything has: zeros."""
    return [
        xp.zeros_like(_as_tensor(None, y, device) if xp is operation.namespace else y)
        for y in outputs
    ]


def _call_hooks(hooks: Iterable[Callable[[Any], Any]], g: Any, device: Any) -> Any:
    for hook in hooks:
        seen = g if isinstance(g, Variable) else wrap(g, device)
        result = hook(seen)
        new = seen if result is None else result
        g = new if isinstance(g, Variable) else new._data
    return g


def _changed_since(name: str, x: Any) -> str:
    who = x.name or "the tensor"
    by = f", by {x._change[1]}" if x._change[1] else ""
    return (
        f"backward: {name} needs the value that {who} {x._data.shape} had in the forward pass, but "
        f"{who} has been changed since{by}. Call every backward() before step(), or run the "
        "forward pass again."
    )


# ---- what people call -------------------------------------------------------------------------


def _seed(name: str, y: Any, g: Any, create_graph: bool) -> Any:
    """The gradient that arrives at an output: g, or 1 where the output is one number."""
    if not y.requires_grad:
        raise RuntimeError(
            f"{name}: nothing here requires a gradient. It was computed under no_grad(), was "
            "detached, or no parameter took part."
        )
    shape = y._data.shape
    if g is None:
        if y._data.size != 1:
            raise RuntimeError(
                f"{name}: the result has shape {shape}, not one number. Take .sum() or .mean() "
                f"first, or pass the gradient that arrives: y.backward(g) with g of shape {shape}."
            )
        g = wrap(y.device.xp.ones(shape, y._data.dtype), y.device)
    elif not isinstance(g, Variable):
        g = operation.tensor_class(g, device=y.device)
    if g._data.shape != shape:
        raise ValueError(
            f"{name}: the gradient that arrives has shape {g._data.shape}, not {shape}."
        )
    if g._data.dtype != y._data.dtype:
        g = wrap(g._data.astype(y._data.dtype), y.device)
    return g if create_graph else g._data


def backward(y: Any, gradient: Any = None, create_graph: bool = False) -> None:
    """Add dy/dx to ``x.grad`` of every leaf x that y depends on and that requires a gradient.

    Raises RuntimeError where nothing requires a gradient, where y is not one number and no gradient
    is given, and where a value that is needed was changed since the forward pass.
    """
    arrived = _sweep([(y, _seed("backward", y, gradient, create_graph))], create_graph)
    for leaf, g in arrived.items():
        g = _finish(leaf, g)
        leaf.grad = g if leaf.grad is None else leaf.grad + g


def _finish(x: Any, g: Any) -> Any:
    """What has arrived at x, as a Tensor of its dtype, after the hooks of a leaf."""
    if x._hooks:
        g = _call_hooks(x._hooks, g, x.device)
    if not isinstance(g, Variable):
        g = wrap(np.asarray(g) if isinstance(g, np.generic) else g, x.device)
    return g if g._data.dtype == x._data.dtype else operation.namespace.astype(g, x._data.dtype)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> Any:
    """d outputs / d inputs, as one Tensor for one input and a tuple for several; ``.grad`` stays.

    Inputs may be results of other operations. With ``create_graph`` the gradients can be
    differentiated again. An input that the outputs do not depend on is a RuntimeError, or None with
    ``allow_unused``.
    """
    one = isinstance(inputs, Variable)
    xs = [inputs] if one else list(inputs)
    ys = [outputs] if isinstance(outputs, Variable) else list(outputs)
    gs = [grad_outputs] if isinstance(outputs, Variable) else list(grad_outputs or [None] * len(ys))
    for i, x in enumerate(xs):
        if not x.requires_grad:
            raise RuntimeError(
                f"grad: input {i}, shape {x._data.shape}, does not require a gradient. "
                "Make it with requires_grad=True before it is used."
            )
    keys = [x if x._node is None else x._node[0] for x in xs]
    seeds = [(y, _seed("grad", y, g, create_graph)) for y, g in zip(ys, gs, strict=True)]
    arrived = _sweep(seeds, create_graph, keys)
    results = [
        _finish(x, _own(arrived[k], (arrived[k],))) if k in arrived else None
        for x, k in zip(xs, keys, strict=True)
    ]
    for i, (x, result) in enumerate(zip(xs, results, strict=True)):
        if result is None and not allow_unused:
            raise RuntimeError(
                f"grad: the outputs do not depend on input {i}, shape {x._data.shape}. "
                "Pass allow_unused=True to get None for it."
            )
    return results[0] if one else tuple(results)
