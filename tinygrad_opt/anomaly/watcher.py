"""What anomaly mode sees: every result, every backward pass, every step of an optimizer.

Order: the watcher · what it says of operations, of gradients, of backward passes.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NoReturn

import numpy as np

from ..device import Device
from ..observer import Function, Observer
from ..operation import Variable
from ..places import Places, user_line
from ..profile import BACKWARD
from . import remedies
from .call import Call, leaves_of
from .numbers import as_host, is_finite
from .sentence import AnomalyError, first_bad, kinds, place, told
from .step import Step

OF = {True: "of finite numbers", False: "of inputs that hold infinities"}


class Watcher(Observer):
    """Stands before a device and raises where a number that is not finite was made there."""

    replays = False

    def __init__(self, device: Device, places: Places) -> None:
        super().__init__(device)
        self.places = places
        self.infinite = ""  # where an infinity came in, since the last backward pass

    def operation(self, kernel: Any, *inputs: Any, **params: Any) -> Any:
        """Run it, and judge what it gave."""
        back = kernel.name.endswith(BACKWARD)
        result = super().operation(kernel, *inputs, **params)
        for i, one in enumerate(result if type(result) is tuple else (result,)):
            if not is_finite(self.device, one):
                call = Call(kernel, inputs, params, self.places)
                if back:
                    judge_gradient(call, as_host(one))
                elif not call.is_between and (i == 0 or not call.is_fused):
                    self.judge(call, as_host(one))
        return result

    def recorded(self, node: Any) -> None:
        """Note its line."""
        self.places.note(node)
        super().recorded(node)

    def backward(self, function: Function, *args: Any) -> None:
        """Run a backward pass, and judge what it begins with and what leaves have then."""
        _, _, y, gradient, _ = args
        self.judge_loss(y, gradient)
        before = [(leaf, leaf.grad) for leaf in leaves_of(y)]
        run = self.xp.backward if isinstance(self.xp, Observer) else _call
        run(function, *args)
        for leaf, grad in before:
            if leaf.grad is not None and not is_finite(leaf.device, leaf.grad):
                judge_leaf(leaf, grad)

    def step(self, function: Function, *args: Any) -> Any:
        """Run a step of an optimizer, and judge where it leaves its parameters."""
        *before, step, closure = args
        taken = Step(step.__self__)
        run = self.xp.step if isinstance(self.xp, Observer) else _call
        with self.away():
            result = run(function, *before, step, closure and partial(self.inside, closure, taken))
        taken.judge()
        return result

    def inside(self, closure: Function, taken: Step) -> Any:
        """Run the closure of a step, which may have moved parameters before."""
        taken.judge_parameters()
        with self.watching():
            value = closure()
        taken.look()
        return value

    def judge(self, call: Call, values: Any) -> None:
        """Raise where an operation has made these values, or NaN has come in."""
        is_nan = bool(np.isnan(values).any())
        source = next((x for x in call.inputs if x.has_nan), None)
        if is_nan and source is not None:
            if call.moves:
                return  # what moves numbers about computes nothing
            if call.function and not source.is_array:
                raise AnomalyError(
                    f"{place(call.line)}{call.function} makes NaN, by {call.name}. "
                    f"{remedies.remedy(call.function, values)}"
                )
            raise AnomalyError(
                f"{place(call.line)}NaN comes into {call.name} with {source.position}: "
                f"{kinds(source.value)}{first_at(source.value)}. No operation seen here made it. "
                f"{remedies.CAME_IN if source.is_array else remedies.NUMBER}"
            )
        finite = all(x.is_finite for x in call.inputs)
        if not is_nan and not finite:
            self.infinite = self.infinite or f"{call.name} at {call.line or 'no line of yours'}"
            return
        raise AnomalyError(
            f"{place(call.line)}{call.name}{call.within} makes {kinds(values, not finite)}, "
            f"{OF[finite]}. {call.about_lines}"
            f"{told(call.inputs, values, call.is_elementwise)}"
            f"{remedies.remedy(call.name, values, not finite, is_the_users=call.is_the_users)}"
        )

    def judge_loss(self, y: Any, gradient: Any) -> None:
        """Raise for a loss, or a gradient from the caller, that is not finite."""
        where = place(user_line())
        if isinstance(gradient, Variable) and not is_finite(gradient.device, gradient):
            raise AnomalyError(_given(where, as_host(gradient)))
        if y._data.size == 1 and not is_finite(self.device, y):
            came = f" An infinity came into {self.infinite}." if self.infinite else ""
            raise AnomalyError(
                f"{where}backward: the loss is {kinds(as_host(y).reshape(()))}, and no operation "
                f"seen here made it of finite numbers.{came} {remedies.LOSS}"
            )
        self.infinite = ""


def _call(function: Function, *args: Any) -> Any:
    return function(*args)


def first_at(values: Any) -> str:
    """Where the first is, among several."""
    index = first_bad(values)
    return f", the first at {list(index)}" if index else ""


# ---- gradients --------------------------------------------------------------------------------


def judge_gradient(call: Call, values: Any) -> NoReturn:
    """Raise for the gradient that a derivative has given: an infinite one is never meant."""
    where = place(call.line)
    if not all(g.is_finite for g in call.arriving):
        _arrived(call)
    source = next((x for x in call.inputs if x.has_nan), None)
    if source is not None:
        raise AnomalyError(
            f"{where}NaN comes into the gradient of {call.name} with {source.position}: "
            f"{kinds(source.value)}{first_at(source.value)}. {call.about_lines}"
            f"{remedies.MADE_BEFORE}"
        )
    finite = all(x.is_finite for x in call.inputs)
    zero = np.isnan(values).any() and any(
        g.value.shape == values.shape and g.value[first_bad(values)] == 0 for g in call.arriving
    )
    advice = remedies.remedy(
        call.name, values, not finite, backward=True, is_the_users=call.is_the_users
    )
    raise AnomalyError(
        f"{where}the gradient of {call.name}{call.wanted} has {kinds(values)}, "
        f"{OF[finite]}. {call.about_lines}"
        f"{told([*call.arriving, *call.inputs], values, call.is_elementwise)}"
        f"{advice}"
        f"{remedies.NOT_TAKEN if zero else ''}"
    )


def _arrived(call: Call) -> NoReturn:
    """Raise for a gradient that no derivative has made."""
    where = place(call.line)
    for output, seed in call.outputs:
        if not is_finite(output.device, seed):
            raise AnomalyError(_given(place(user_line()), as_host(seed)))
    values = next(g.value for g in call.arriving if not g.is_finite)
    if call.node[6]:
        raise AnomalyError(
            f"{where}a hook of the result of {call.name} gives a gradient that has "
            f"{kinds(values)}. {call.about_lines}{remedies.HOOK}"
        )
    raise AnomalyError(
        f"{where}the gradients that meet at the result of {call.name} add up to {kinds(values)}, "
        f"each of them finite. {call.about_lines}{remedies.SUM}"
    )


def _given(where: str, values: Any) -> str:
    return (
        f"{where}backward: the gradient that was given has {kinds(values)}. Give finite numbers, "
        "one for each element of the result."
    )


def judge_leaf(leaf: Any, earlier: Any) -> NoReturn:
    """Raise for the gradient of a leaf after a backward pass of which every part was finite."""
    where, values = place(user_line()), as_host(leaf.grad)
    who = f"{leaf.name or 'a leaf'} {leaf.shape}"
    if earlier is not None and not is_finite(leaf.device, earlier):
        raise AnomalyError(
            f"{where}backward: the gradient of {who} had {kinds(as_host(earlier))} before this "
            "pass, and no operation seen here made it. Call zero_grad() before backward()."
        )
    if leaf._hooks:
        raise AnomalyError(
            f"{where}backward: the gradient of {who} has {kinds(values)} after its hooks, or as a "
            f"sum of parts that are finite. {remedies.HOOK}"
        )
    passes = "" if earlier is None else ", of this pass and those before,"
    raise AnomalyError(
        f"{where}backward: the gradients of {who}{passes} add up to {kinds(values)}, each of them "
        f"finite. {remedies.SUM}"
    )
