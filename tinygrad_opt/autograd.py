"""The backward pass: from a result to the gradients of everything that it was made from.

`_sweep` walks the recorded nodes, newest first, and sends every gradient on to the inputs by the
chain rule. That is all of reverse-mode differentiation; `backward` and `grad` are two ways to ask.

Order: the sweep · its helpers · `backward` · `grad`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from heapq import heappop, heappush
from typing import Any

import numpy as np

from . import operation
from .constants import ones
from .homes import collect, room_for
from .observer import Observer
from .operation import (
    PICK,
    Shape,
    Variable,
    clone,
    enable_grad,
    pick_each,
    record_mode,
    there,
    wrap,
)

# ---- the backward pass ------------------------------------------------------------------------


def _sweep(
    outputs: Iterable[tuple[Any, Any]],
    create_graph: bool,
    targets: Set[Any] = frozenset(),
    at_home: list[tuple[Any, Any]] | None = None,
) -> dict[Any, Any]:
    """The gradients that reach leaves (by leaf) and target nodes (by number) from these outputs.

    Nodes are visited newest first. An operation is always newer than what it reads, so by the time
    a node is visited every operation that used its result has sent its part of the gradient. That
    is why the order matters: a node visited too early would pass on an incomplete sum.
    With ``create_graph`` gradients are Tensors, and the same rules record what they do. Those that
    could be written where an optimizer wants them go to the list ``at_home``, leaf by leaf.
    """
    arrived: dict[Any, Any] = {}  # leaf, or number of a node -> the sum of what has arrived
    heap: list[Any] = []
    for tensor, g in outputs:
        device = tensor.device
        _send(arrived, heap, tensor._node or tensor, g, g)
    xp = operation.namespace if create_graph else device.xp
    oldest = max(targets) if targets and all(type(key) is int for key in targets) else 0
    while heap:
        node = heappop(heap)
        number, plan, inputs, kept, output, params, hooks = node
        if number > oldest:
            break  # no target is as old as this
        g = arrived.pop(number)
        if hooks:
            g = _call_hooks(hooks, g, device, create_graph)
        if targets and number in targets:
            arrived[number] = g
            if number == oldest:
                break
        if plan is PICK:
            _send_to_place(arrived, heap, inputs[0], params["place"], g, xp)
            continue
        if operation.latest_change > -number:
            _check_unchanged(node, create_graph)
        args, (terms, arrives) = kept, plan.on_numpy if xp is np else plan.elsewhere
        if plan.shape_only:
            args = [Shape(a) if type(a) is tuple else a for a in kept]
        if create_graph:
            args, output, terms = _as_tensors(node, args, g, device)
        elif arrives:
            g = arrives(xp, g, output)
        for i, derivative in terms:
            to = inputs[i]
            if at_home is not None and i in plan.fills and type(to) is not tuple:
                room = room_for(to)
                part = derivative(xp, g, output, *args, out=room)
                if part is room:
                    at_home.append((to, part))
                    continue
            else:
                part = derivative(xp, g, output, *args, **params)
            if plan.broadcasts and part.shape != args[i].shape:
                part = _sum_to(xp, part, args[i].shape, plan.op.name)
            _send(arrived, heap, to, part, g)
    return arrived


# ---- its helpers ------------------------------------------------------------------------------


def _send(arrived: dict[Any, Any], heap: list[Any], to: Any, part: Any, g: Any) -> None:
    """Add a part of the gradient, made from g, to what has arrived at a node or a leaf."""
    if type(to) is tuple:
        key = to[0]
        if key in arrived:
            arrived[key] = arrived[key] + part  # out of place: the first may be shared
        else:
            arrived[key] = part
            heappush(heap, to)
    elif to in arrived:
        arrived[to] = arrived[to] + part
    else:
        arrived[to] = _own(part, g)


def _send_to_place(
    arrived: dict[Any, Any], heap: list[Any], whole: Any, place: int, g: Any, xp: Any
) -> None:
    """Add the gradient of one of several outputs to those of the others, which begin as zeros."""
    if whole[0] not in arrived:
        outputs = whole[4]
        if xp is operation.namespace:
            outputs = [wrap(y, g.device) for y in outputs]
        arrived[whole[0]] = [xp.zeros_like(y) for y in outputs]
        heappush(heap, whole)
    arrived[whole[0]][place] = arrived[whole[0]][place] + g


def _sum_to(xp: Any, g: Any, shape: tuple[int, ...], name: str) -> Any:
    """Undo broadcasting: add up the axes along which an input of this shape was repeated."""
    extra = len(g.shape) - len(shape)
    if extra < 0 or any(n not in (1, m) for n, m in zip(shape, g.shape[extra:], strict=True)):
        raise ValueError(
            f"backward: a derivative of {name} has shape {g.shape}, its input {shape}, which "
            "broadcasting does not explain. A derivative has the shape of its input."
        )
    axes = tuple(range(extra)) + tuple(
        extra + i for i, n in enumerate(shape) if n == 1 and g.shape[extra + i] != 1
    )
    if len(axes) == extra:
        return xp.sum(g, axis=axes)
    return xp.reshape(xp.sum(g, axis=axes, keepdims=True), shape)


def _own(part: Any, g: Any) -> Any:
    """A gradient that nobody else holds: derivatives are linear in g, so only g can be shared."""
    raw = part
    if isinstance(part, Variable):
        if part.is_sparse:
            return part
        raw = part._data
    lent = raw.base is not None and type(raw.base) is not bytearray  # the memory of an optimizer
    if part is g or type(g) is list or lent or not raw.flags.c_contiguous:
        return clone(part) if raw is not part else part.copy()
    return part


def _leaf_behind(node: Any, view: Any) -> Any:
    """The leaf whose memory a result shows, as w.T shows w's: who changes w changes both."""
    while type(node) is tuple:
        node = node[2][0]
    array = None if node is None else node._data
    return node if array is not None and (view.base is array or view.base is array.base) else None


def _as_tensors(node: Any, args: list[Any], g: Any, device: Any) -> tuple[list[Any], Any, Any]:
    """What the derivatives of a node read, as Tensors; for a fused one, its composition's."""
    _, plan, inputs, _, output, params, _ = node
    args = [
        x if isinstance(x, Variable) else wrap(a, device, x) if hasattr(a, "dtype") else a
        for x, a in zip(inputs, args, strict=True)
    ]
    if plan.op.composition is not None:
        return args, None, _through_composition(plan, args, g, params)
    if plan.keep_output:
        output = (pick_each if type(output) is tuple else wrap)(output, device, node)
    return args, output, plan.terms


def _through_composition(plan: Any, args: list[Any], g: Any, params: Any) -> list[Any]:
    wanted = [i for i, _ in plan.terms]
    copies = list(args)
    for i in wanted:
        copies[i] = clone(args[i])  # one input may stand in two places, each with its own gradient
    numbers = {i: copies[i]._node[0] for i in wanted}
    y = plan.op.composition(*copies, **params)
    found = _sweep([(y, g)], True, set(numbers.values()))
    return [(i, lambda *_, n=n, **__: found[n]) for i, n in numbers.items() if n in found]


def _call_hooks(
    hooks: Iterable[Callable[[Any], Any]], g: Any, device: Any, create_graph: bool
) -> Any:
    """What the hooks make of a gradient; each gets it as a Tensor and may return another."""
    with record_mode(create_graph):
        seen = clone(g if isinstance(g, Variable) else wrap(g, device))  # theirs to write into
        for hook in hooks:
            result = hook(seen)
            seen = seen if result is None else clone(result)
    if seen._data.shape != g.shape:
        raise ValueError(
            f"hook: it returned shape {seen._data.shape} for a gradient of shape {g.shape}."
        )
    return seen if isinstance(g, Variable) else seen._data


def _check_unchanged(node: Any, create_graph: bool) -> None:
    """RuntimeError where a leaf that the derivatives of a node read has other values by now."""
    number, plan, inputs, kept, *_ = node
    for i in plan.reads_again if create_graph else plan.reads:
        x = inputs[i]
        if type(x) is tuple:
            if kept[i].base is None:
                continue
            x = _leaf_behind(x, kept[i])
        if x is not None and (x if x._base is None else x._base)._change[0] > -number:
            raise RuntimeError(_changed_since(plan.op.name, x))


def _changed_since(name: str, x: Any) -> str:
    who = x.name or "the tensor"
    cause = (x if x._base is None else x._base)._change[1]
    by = f", by {cause}" if cause else ""
    return (
        f"backward: {name} needs the value that {who} {x._data.shape} had in the forward pass, but "
        f"{who} has been changed since{by}. Call every backward() before step(), or run the "
        "forward pass again."
    )


# ---- what people call -------------------------------------------------------------------------


def _seed(name: str, y: Any, g: Any, create_graph: bool) -> Any:
    """The gradient that arrives at an output: g, or 1 where the output is one number."""
    if not y._requires_grad:
        raise RuntimeError(
            f"{name}: nothing here requires a gradient. It was computed under no_grad(), was "
            "detached, or no parameter took part."
        )
    array = y._data
    if g is None:
        if array.size != 1:
            raise RuntimeError(
                f"{name}: the result has shape {array.shape}, not one number. Take .sum() or "
                f".mean() first, or pass the gradient that arrives: y.backward(g) with g of shape "
                f"{array.shape}."
            )
        g = ones(y.device.xp, array.shape, array.dtype)
        return wrap(g, y.device) if create_graph else g
    if not isinstance(g, Variable):
        g = operation.tensor_class(g, device=y.device)
    if g._data.shape != array.shape:
        raise ValueError(
            f"{name}: the gradient that arrives has shape {g._data.shape}, not {array.shape}."
        )
    if g._data.dtype != array.dtype:
        g = operation.namespace.astype(g, array.dtype)
    return g if create_graph else g._data


def _finish(x: Any, g: Any, create_graph: bool) -> Any:
    """What has arrived at x, as a Tensor of its dtype, after the hooks of a leaf."""
    if x._hooks:
        g = _call_hooks(x._hooks, g, x.device, create_graph)
    if not isinstance(g, Variable):
        g = wrap(np.asarray(g) if isinstance(g, np.generic) else g, x.device)
    elif g.is_sparse:
        return g
    dtype = x._data.dtype
    return g if g._data.dtype is dtype else operation.namespace.astype(g, dtype)


def backward(y: Any, gradient: Any = None, create_graph: bool = False) -> None:
    """Add dy/dx to ``x.grad`` of every leaf x that y depends on and that requires a gradient.

    Raises RuntimeError where nothing requires a gradient, where y is not one number and no gradient
    is given, and where a value that is needed was changed since the forward pass; ValueError where
    the gradient that is there has another shape.
    """
    if create_graph and not operation.recording():
        return enable_grad()(backward)(y, gradient, create_graph)
    device = y.device
    if isinstance(xp := device.xp, Observer):
        return xp.backward(there, device, _backward, y, gradient, create_graph)
    there(device, _backward, y, gradient, create_graph)


def _backward(y: Any, gradient: Any, create_graph: bool) -> None:
    seed = _seed("backward", y, gradient, create_graph)
    at_home: list[tuple[Any, Any]] = []
    arrived = _sweep([(y, seed)], create_graph, at_home=None if create_graph else at_home)
    for leaf, g in at_home:
        leaf.grad = wrap(g, leaf.device)
    for leaf, g in arrived.items():
        collect(leaf, _finish(leaf, g, create_graph))


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
    if create_graph and not operation.recording():
        return enable_grad()(grad)(outputs, inputs, grad_outputs, create_graph, allow_unused)
    one = isinstance(inputs, Variable)
    xs = [inputs] if one else list(inputs)
    ys = [outputs] if isinstance(outputs, Variable) else list(outputs)
    gs = [grad_outputs] if isinstance(outputs, Variable) else list(grad_outputs or [None] * len(ys))
    if not ys or len(gs) != len(ys):
        raise ValueError(f"grad: there are {len(ys)} outputs and {len(gs)} gradients for them.")
    results = there(ys[0].device, _grad, ys, xs, gs, create_graph, allow_unused)
    return results[0] if one else results


def _grad(ys: Any, xs: Any, gs: Any, create_graph: bool, allow_unused: bool) -> tuple[Any, ...]:
    for i, x in enumerate(xs):
        if not x._requires_grad:
            raise RuntimeError(
                f"grad: input {i}, shape {x._data.shape}, does not require a gradient. "
                "Make it with requires_grad=True before it is used."
            )
    keys = [x if x._node is None else x._node[0] for x in xs]
    seeds = [(y, _seed("grad", y, g, create_graph)) for y, g in zip(ys, gs, strict=True)]
    arrived = _sweep(seeds, create_graph, set(keys))
    results = []
    for i, (x, key) in enumerate(zip(xs, keys, strict=True)):
        if key not in arrived and not allow_unused:
            raise RuntimeError(
                f"grad: the outputs do not depend on input {i}, shape {x._data.shape}. "
                "Pass allow_unused=True to get None for it."
            )
        g = arrived.get(key)
        results.append(None if g is None else _finish(x, _own(g, g), create_graph))
    return tuple(results)
