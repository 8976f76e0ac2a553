"""Which call of an operation has given a number that is not finite: asked of the stack, once.

Order: the call · the leaves of a graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..autograd import _backward, _call_hooks, _sweep
from ..operation import PICK, Variable, clone
from ..places import Places, frames, line_of
from ..profile import BACKWARD
from .numbers import arrays, as_host, floats
from .sentence import Input

CALL = clone.__code__  # of all operations,
SWEEP = _sweep.__code__  # of the backward pass,
BETWEEN = (_backward.__code__, _call_hooks.__code__)  # and of what it does with gradients itself
ONE_BY_ONE = ("elementwise", "activation", "")  # files of operations whose inputs may meet so
MOVING = "shape"  # the file of those that move numbers, and make none


class Call:
    """A call of an operation or of one of its derivatives: its name, its line, its inputs.

    ``line`` is that of the forward call, also of a derivative; ``caller`` is where the program is.
    """

    op: Any = None
    tensors: Sequence[Any] = ()  # what the operation was called with, or where that came from
    node: Any = None  # whose derivative it is, or is part of
    outputs: Sequence[Any] = ()  # where the backward pass began, and with which gradients
    caller: str | None = None
    function = ""  # of this package, that called the operation
    is_between = False  # it adds or copies gradients, which are judged where they go

    def __init__(self, kernel: Any, given: Any, params: dict[str, Any], places: Places) -> None:
        self.kernel, self.name = kernel, kernel.name.removesuffix(BACKWARD)
        self.look_at_the_stack()
        self.line = self.caller if self.node is None else places.of(self.node)
        self.arriving: list[Input] = []  # the gradient that a derivative gets
        self.inputs: list[Input] = []
        if kernel.name.endswith(BACKWARD):
            self.op, self.tensors = self.node[1].op, self.node[2]
            g, y, *given = given
            about = "the gradient that arrives,"
            self.arriving = [Input("g", as_host(one), about) for one in floats(g)]
            if not isinstance(y, tuple):  # what a fused operation has saved
                self.add("y", y, "the result,")
        for i, x in enumerate(given):
            self.add(self.name_of(i), x, place=f"argument {i}")
        for name, x in params.items():
            self.add(name, x)

    def look_at_the_stack(self) -> None:
        """Find the operation, the node and the user's line."""
        for frame, is_users in frames():
            if is_users:
                self.caller = line_of(frame)
            elif frame.f_code is CALL and self.op is None:
                self.op, self.tensors = frame.f_locals["op"], frame.f_locals["inputs"]
            elif frame.f_code is SWEEP:
                node, self.outputs = frame.f_locals["node"], frame.f_locals["outputs"]
                self.node = node[2][0] if node[1] is PICK else node
            elif frame.f_code in BETWEEN:
                self.is_between = self.is_between or self.node is None
            elif self.op is not None and frame.f_code.co_name[0] not in "_<":
                self.function = self.function or frame.f_code.co_name

    def add(self, name: str, x: Any, about: str = "", place: str = "") -> None:
        """One more input, if it is of floats; other numbers where they stand as an argument."""
        is_number = type(x) is float or (type(x) in (int, bool) and place != "")
        if is_number or next((arrays if place else floats)(x), None) is not None:
            self.inputs.append(Input(name, as_host(x), about, place, is_number))

    def name_of(self, i: int) -> str:
        """What to call an input: as its tensor, else as the operation does."""
        x = self.tensors[i] if i < len(self.tensors) else None
        if isinstance(x, Variable) and x.name:
            return x.name
        if self.op is None:
            return f"input {i}"
        names = self.op.parameters
        return f"{names[0].removesuffix('s')}[{i}]" if self.op.arity < 0 else str(names[i])

    # ---- what it is ---------------------------------------------------------------------------

    @property
    def is_fused(self) -> bool:
        """Whether its results behind the first are what it keeps for its derivatives."""
        return self.op is not None and self.op.composition is not None

    @property
    def file(self) -> str:
        """The file of this package that it is written in; "" for an operation of the user."""
        module = str(self.kernel.function.__module__)
        ours = module.partition(".")[0] == __name__.partition(".")[0]
        return module.rpartition(".")[2] if ours else ""

    @property
    def moves(self) -> bool:
        """Whether it moves numbers, and makes none."""
        return self.file == MOVING

    @property
    def is_elementwise(self) -> bool:
        """Whether its inputs may meet one by one."""
        return self.file in ONE_BY_ONE

    @property
    def is_the_users(self) -> bool:
        """Whether the user wrote it, so that nothing is known of what it computes."""
        return self.file == ""

    @property
    def wanted(self) -> str:
        """For which input a derivative is."""
        terms = self.node[1].elsewhere[0]
        return next((f" for {self.name_of(i)}" for i, d in terms if d is self.kernel), "")

    @property
    def within(self) -> str:
        """Of which gradient an operation is a part, where gradients are recorded."""
        return "" if self.node is None else f", in the gradient of {self.node[1].op.name},"

    @property
    def about_lines(self) -> str:
        """What the line means where there are two."""
        if self.node is None:
            return ""
        began = f"the backward pass began at {self.caller}" if self.caller else ""
        if self.line is None:
            return f"The forward call was not seen; {began}. " if began else ""
        return f"The line is that of the forward call{'; ' if began else ''}{began}. "


# ---- the leaves of a graph --------------------------------------------------------------------


def leaves_of(y: Any) -> Iterator[Any]:
    """The leaves that a backward pass from y reaches, each once."""
    waiting = [y._node or y]
    seen: set[Any] = set()
    while waiting:
        one = waiting.pop()
        key = one[0] if type(one) is tuple else one
        if key in seen:
            continue
        seen.add(key)
        if type(one) is not tuple:
            yield one
        elif one[1] is PICK:
            waiting.append(one[2][0])
        else:
            waiting.extend(one[2][i] for i, _ in one[1].terms)
