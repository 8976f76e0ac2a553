"""What an operation is: a value and, for each input, a derivative; and how a call is recorded.

Order: Variable · modes · Op · what derivatives read.
"""

from __future__ import annotations

import contextlib
import dis
import functools
import inspect
import itertools
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from functools import partial
from typing import Any

import numpy as np

from .device import DeviceError, out_of_memory
from .kernels import Kernel
from .locks import Lock
from .observer import Observer

FLOAT32 = np.dtype(np.float32)
_tick = itertools.count(1).__next__  # one clock for nodes and for changes: newer is larger


NEVER_CHANGED = (0, "")


class Variable:
    """What the engine knows of a tensor; `Tensor` adds everything that people use.

    ``_node`` is what made it (None for a leaf), ``_change`` when and by whom its array was last
    changed, on the clock that numbers the nodes, ``_base`` the leaf whose memory it shows, where
    it is a view that no graph knows of. What most tensors never have is a class attribute.
    """

    __slots__ = ("__dict__", "__weakref__", "_data", "_node", "_requires_grad", "device")
    _data: Any
    _node: Any
    device: Any
    _requires_grad: bool

    grad: Any = None
    name: str | None = None
    is_sparse: bool = False  # only some rows are there, see rows.py
    _hooks: list[Callable[[Any], Any]] | None = None
    _change: tuple[int, str] = NEVER_CHANGED
    _base: Variable | None = None
    _home: Any = None  # a reference to where its optimizer wants the gradient written


IN_GRAPH = Variable()  # the base of what shows the memory of a result, which must stay as it is


_new = object.__new__
tensor_class: Any = Variable  # the class of results; tensor.py connects it,
namespace: Any = None  # and `tinygrad_opt.ops`, the xp of rules that get Tensors


def connect(new_class: type[Variable], ops: Any) -> None:
    """Name the class of results and the module that stands for ``xp`` where rules get Tensors."""
    global tensor_class, namespace
    tensor_class, namespace = new_class, ops


def wrap(array: Any, device: Any, node: Any = None) -> Any:
    """A tensor around a raw array, made by this node or, without one, a leaf."""
    out = _new(tensor_class)
    out._data = array
    out.device = device
    out._node = node
    out._requires_grad = node is not None
    return out


latest_change = 0  # on the clock of the nodes; those that are newer need no closer look
_turn = Lock()  # so that no thread puts it back


def changed(tensors: Iterable[Variable], cause: str) -> None:
    """Note that the arrays of these tensors were changed, so that an older graph is not trusted."""
    global latest_change
    with _turn:
        latest_change = _tick()
        change = (latest_change, cause)
    for tensor in tensors:
        (tensor if tensor._base is None else tensor._base)._change = change


def show(out: Any, x: Variable) -> None:
    """Note that a tensor without a graph shows the memory of another one, as a view does."""
    if x._node is not None:
        out._base = IN_GRAPH
    else:
        out._base = x if x._base is None else x._base


# ---- modes ------------------------------------------------------------------------------------

_mode: ContextVar[bool] = ContextVar("recording", default=True)  # threads begin with the default
recording = is_grad_enabled = _mode.get


@contextlib.contextmanager
def record_mode(on: bool) -> Iterator[None]:
    """Record inside this block or not."""
    token = _mode.set(on)
    try:
        yield
    finally:
        _mode.reset(token)


def no_grad() -> contextlib._GeneratorContextManager[None]:
    """Record nothing inside this block (or decorated function); each thread has its own mode."""
    return record_mode(False)


def enable_grad() -> contextlib._GeneratorContextManager[None]:
    """Record again inside a `no_grad` block."""
    return record_mode(True)


# ---- operations -------------------------------------------------------------------------------


PLANS = 64  # of one operation: what takes any number of inputs has one for each number of them


class Op:
    """A value and, for each tensor input, a derivative: the row of an operation in the table."""

    def __init__(
        self,
        value: Callable[..., Any],
        derivatives: Sequence[Callable[..., Any] | None] = (),
        *,
        each: Callable[[int], Callable[..., Any]] | None = None,
        composition: Callable[..., Any] | None = None,
        arrives: Callable[..., Any] | None = None,
        explain: Callable[..., str | None] | None = None,
        casts: bool = False,
        shapes_only: bool = False,
    ) -> None:
        if not inspect.isfunction(value):
            raise TypeError(
                f"op: a {type(value).__name__} is no value of an operation. Write @op(derivative, "
                "…) above a function, with one derivative for each input."
            )
        self.value, self.name, self.derivatives = value, value.__name__.lstrip("_"), derivatives
        self.ours = str(value.__module__).split(".")[0] == __name__.split(".")[0]
        self.kernel = Kernel(value, name=self.name, traced=self.ours)  # others may be not pure
        self.each, self.composition, self.casts = each, composition, casts
        self.shapes_only, self.arrives = shapes_only, arrives
        self.explain = explain or explain_broadcast
        self.arity = -1 if each else len(derivatives)
        self.signature = inspect.signature(value)
        parameters = list(self.signature.parameters.values())[1:]
        self.signature = self.signature.replace(parameters=parameters)
        self.parameters = [p.name for p in parameters]
        inputs = parameters[: max(self.arity, 0)]
        self.optional = {p.name for p in inputs if p.default is None}
        self.plans: dict[int, Plan] = {}  # by what is wanted, see `plan`

    def plan(self, wants: int, count: int) -> Plan:
        """What running these derivatives takes; one bit of ``wants`` for each of the inputs."""
        wanted = [bool(wants >> (count - 1 - i) & 1) for i in range(count)]
        derivatives = [self.each(i) for i in range(count)] if self.each else self.derivatives
        if len(self.plans) >= PLANS:
            self.plans.clear()
        plan = self.plans[wants] = Plan(self, derivatives, wanted)
        return plan

    def bind(self, inputs: Any, params: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Sort arguments given by position or by name into tensor inputs and parameters."""
        names, arity = self.parameters, self.arity
        if len(inputs) > len(names):
            raise TypeError(
                f"{self.name}: takes at most {len(names)} arguments ({', '.join(names)}), "
                f"and was given {len(inputs)}."
            )
        params = dict(zip(names[arity:], inputs[arity:], strict=False)) | params
        inputs = list(inputs[:arity])
        for name in names[len(inputs) : arity]:
            if name not in params and name not in self.optional:
                raise TypeError(f"{self.name}: the argument {name} is missing.")
            inputs.append(params.pop(name, None))
        return inputs, params

    def explain_error(self, error: Exception, *shapes: Any, **params: Any) -> str:
        """The sentence for what went wrong; NumPy's own where we have no better one."""
        text = str(error)
        if text.partition(": ")[0].isidentifier() and text.endswith("."):
            return text  # a sentence of ours
        if isinstance(error, np.exceptions.AxisError) and None not in (error.axis, error.ndim):
            return no_axis(self.name, error.axis, error.ndim)
        ours = self.explain(self.name, *shapes, **params) if type(error) is ValueError else None
        return ours or f"{self.name}: {text.rstrip('.')}."

    def number(self, x: Any, inputs: Sequence[Any]) -> Any:
        """A Python number: weak, so that float32 stays float32."""
        if isinstance(x, np.generic) or (isinstance(x, np.ndarray) and x.ndim == 0):
            x = x.item()  # first, because np.float64 is a float, and a strong one
        if isinstance(x, (bool, int, float)) or (x is None and self.optional):
            return x
        shape = f" of shape {x.shape}" if hasattr(x, "shape") else ""
        kind = f"{type(x).__module__}.{type(x).__qualname__}".removeprefix("builtins.")
        gpus = [t.device for t in inputs if isinstance(t, Variable) and t.device.kind != "cpu"]
        where = f', device="{gpus[0]}"' if gpus else ""
        raise TypeError(
            f"{self.name}: the other operand is a {kind}{shape}. Wrap it: tensor(array{where})."
        )


def _function(op: Op) -> Callable[..., Any]:
    """The function that people call with Tensors and Python numbers.

    It computes the value and, where an input requires a gradient, leaves a node:
    ``(-number, plan, inputs, kept, output, params, hooks)``. Inputs are nodes or leaves; kept are
    their arrays where a derivative reads them, else only their shapes.
    """
    value, arity, casts, composition = op.value, op.arity, op.casts, op.composition
    plans = op.plans
    usual: Callable[..., Any] = USUAL.get(op.arity) or (lambda *inputs: _parts(op, inputs))

    def call(*inputs: Any, **params: Any) -> Any:
        if len(inputs) != arity and arity >= 0:
            inputs, params = op.bind(inputs, params)
        try:
            arrays, origins, wants, device = usual(*inputs)
        except AttributeError:
            device = None
        if device is None:
            arrays, origins, wants, device = _parts(op, inputs)
            if device is None:
                return call(tensor_class(inputs[0]), *inputs[1:], **params)
        try:
            if device.xp is not np:
                y = there(device, partial(op.kernel, device.xp, *arrays, **params))
            elif params:
                y = value(np, *arrays, **params)
            else:
                y = value(np, *arrays)
        except (ValueError, TypeError, IndexError) as error:
            shapes = [getattr(a, "shape", ()) for a in arrays]
            kind = next(k for k in (ValueError, TypeError, IndexError) if isinstance(error, k))
            raise kind(op.explain_error(error, *shapes, **params)) from None
        except MemoryError as error:
            raise out_of_memory(device, error) from None
        saved = None
        if type(y) is tuple:
            if composition is None:
                ys = tuple(np.asarray(one) if isinstance(one, np.generic) else one for one in y)
                wanted = wants & (wants - 1) and recording()
                return _several(ys, device, wanted and node(wants, origins, arrays, ys, params))
            y, saved = y
        if type(y) is not np.ndarray and isinstance(y, np.generic):
            y = np.asarray(y)
        if y.dtype is not FLOAT32 and not casts:
            y = _weak(y, arrays, value, device, params)
        out = _new(tensor_class)
        out._data, out.device, out._node, out._requires_grad = y, device, None, False
        if wants & (wants - 1) and recording():
            made = node(wants, origins, arrays, y if saved is None else saved, params)
            if made is not None:
                if device.xp is not np:
                    _show_node(device.xp, made)
                out._node, out._requires_grad = made, True
                return out
        if y.base is not None:
            for x, array in zip(inputs, arrays, strict=True):
                if y.base is array or y.base is getattr(array, "base", y):
                    show(out, x)
        return out

    def node(wants: int, origins: list[Any], arrays: list[Any], output: Any, params: Any) -> Any:
        plan = plans.get(wants) or op.plan(wants, len(arrays))
        if not plan.terms:
            return None
        for i in plan.shape_only:
            arrays[i] = getattr(arrays[i], "shape", ())
        for i in plan.unlinked:
            origins[i] = None
        return (-_tick(), plan, origins, arrays, output if plan.keep_output else None, params, [])

    def within(xp: Any, *inputs: Any, **params: Any) -> Any:
        """This operation in another's rule: the bare value of raw arrays, recorded for Tensors."""
        return call(*inputs, **params) if xp is namespace else value(xp, *inputs, **params)

    functools.update_wrapper(call, value)
    call.__signature__ = op.signature  # type: ignore[attr-defined]
    call.op, call.within = op, within  # type: ignore[attr-defined]
    return call


def _parts(op: Op, inputs: Sequence[Any]) -> tuple[list[Any], list[Any], int, Any]:
    """The arrays of inputs, where they come from, which want a gradient, and on what device.

    What wants a gradient is one bit for each input, behind a leading one. There is no device where
    all inputs are numbers.
    """
    arrays: list[Any] = []
    origins: list[Any] = []
    wants, device = 1, None
    for x in inputs:
        wants += wants
        if not isinstance(x, Variable):
            arrays.append(op.number(x, inputs))
            origins.append(None)
            continue
        arrays.append(x._data)
        origins.append(x._node or x)
        wants += x._requires_grad
        if x.device is not device:
            if device is not None:
                raise DeviceError(_two_devices(op, inputs))
            device = x.device
    return arrays, origins, wants, device


# The same for what is usual, tensors on one device, without a loop; else AttributeError, or None.


def _one(a: Any) -> Any:
    return [a._data], [a._node or a], 2 + a._requires_grad, a.device


def _two(a: Any, b: Any) -> Any:
    device = a.device
    return (
        [a._data, b._data],
        [a._node or a, b._node or b],
        4 + 2 * a._requires_grad + b._requires_grad,
        device if b.device is device else None,
    )


def _three(a: Any, b: Any, c: Any) -> Any:
    device = a.device
    return (
        [a._data, b._data, c._data],
        [a._node or a, b._node or b, c._node or c],
        8 + 4 * a._requires_grad + 2 * b._requires_grad + c._requires_grad,
        device if b.device is device is c.device else None,
    )


USUAL: dict[int, Callable[..., Any]] = {1: _one, 2: _two, 3: _three}


def op(*derivatives: Callable[..., Any] | None, **options: Any) -> Callable[[Any], Any]:
    """Make an operation from its value, ``value(xp, *inputs, **params)``, and its derivatives.

    Each derivative is ``d(xp, g, y, *inputs, **params)``: g is the gradient that arrives, y the
    output. None stands for an input through which no gradient flows. The engine undoes
    broadcasting; use ``xp`` and operators only, and gradients have gradients.

        @op(lambda xp, g, y, x: g * 3 * x**2)
        def cube(xp, x):
            return x**3
    """
    return lambda value: _function(Op(value, derivatives, **options))


def fused(
    composition: Callable[..., Any], *derivatives: Callable[..., Any] | None, **options: Any
) -> Callable[[Any], Any]:
    """Make an operation tuned for speed that names the composition of Tensors it replaces.

    Its value may return ``(y, saved)``; the derivatives then get ``saved`` where others get y. They
    see raw arrays only: for gradients of gradients the composition is differentiated instead.
    ``arrives(xp, g, y)`` is what all of them have in common: the g that they get.
    """
    return lambda value: _function(Op(value, derivatives, composition=composition, **options))


def _several(ys: Any, device: Any, node: Any) -> tuple[Any, ...]:
    """The results of an operation with several outputs, which its derivatives see together."""
    if not node:
        return tuple(wrap(y, device) for y in ys)
    _show_node(device.xp, node)
    return pick_each(ys, device, (*node[:4], ys, *node[5:]))


def _show_node(xp: Any, node: Any) -> None:
    """To whoever observes what this thread does."""
    if isinstance(xp, Observer):
        xp.recorded(node)


def there(device: Any, function: Callable[..., Any], *args: Any) -> Any:
    """Call a function where new arrays land on this device, which with one GPU they always do."""
    try:
        if not device.guarded:
            return function(*args)
        with device.activate():
            return function(*args)
    except MemoryError as error:
        raise out_of_memory(device, error) from None


def _weak(y: Any, arrays: Sequence[Any], value: Any, device: Any, params: dict[str, Any]) -> Any:
    """A float dtype comes only from the same dtype; integers and numbers alone give float32."""
    if y.dtype.kind != "f" or y.dtype in [a.dtype for a in arrays if hasattr(a, "dtype")]:
        return y
    if y.dtype == np.float16:  # what NumPy makes of bytes: too few digits
        bytes_ = [getattr(a, "dtype", FLOAT32).itemsize == 1 for a in arrays]
        wide = [a.astype(np.int16) if is_ else a for a, is_ in zip(arrays, bytes_, strict=True)]
        y = there(device, partial(value, device.xp, *wide, **params))
        y = device.xp.asarray(y[0] if type(y) is tuple else y)
    return there(device, y.astype, FLOAT32)


def _two_devices(op: Op, inputs: Sequence[Any]) -> str:
    """Where the inputs are that do not meet, by their names, and what to move."""
    found: dict[Any, tuple[str, str]] = {}
    for i, x in enumerate(inputs):
        if isinstance(x, Variable):
            name = op.parameters[i] if i < op.arity else f"input {i}"
            found.setdefault(x.device, (x.name or name, "model" if x.name else name))
    (here, (first, its)), (there, (second, other)) = list(found.items())[:2]
    return (
        f"{op.name}: {first} is on {here}, {second} on {there}. Nothing moves by itself: write "
        f'{its}.to("{there}") or {other}.to("{here}").'
    )


def no_axis(name: str, axis: int | None, ndim: int | None) -> str:
    """That this axis does not exist."""
    return f"{name}: there is no axis {axis} among {ndim}, which count from 0."


def explain_broadcast(name: str, *shapes: tuple[int, ...], **params: Any) -> str | None:
    """Which axis keeps shapes from broadcasting, and what to write; None where none does."""
    for a, b in itertools.pairwise(shapes):
        n = max(len(a), len(b))
        pairs = zip((1,) * (n - len(a)) + a, (1,) * (n - len(b)) + b, strict=True)
        for axis, (i, j) in enumerate(pairs):
            if i != j and i != 1 and j != 1:
                text = f"{name}: {a} and {b} do not broadcast: axis {axis} has {i} against {j}."
                if len(b) == 1 and len(a) == 2 and a[0] == b[0]:
                    text += f" One number per row is written b.reshape({b[0]}, 1)."
                elif len(a) == 1 and len(b) == 2 and a[0] == b[0]:
                    text += f" One number per row is written a.reshape({a[0]}, 1)."
                return text
    return None


@op(lambda xp, g, y, x: g)
def clone(xp: Any, x: Any) -> Any:
    """The same values in memory of their own."""
    return x.copy()


# ---- what derivatives read --------------------------------------------------------------------


class Plan:
    """Which derivatives run for these wanted inputs, and what they read, known before any call.

    An input that no running derivative reads is not kept alive, only its shape, and may be changed.
    A fused operation keeps all, for its composition. `terms` are pairs of an input and its
    derivative; `on_numpy` are the terms and what they have in common, `elsewhere` both as kernels,
    for GPUs and observers; `fills` are the inputs whose derivative writes into an array given as
    out. Only where it `broadcasts`, which tuned operations do not, has broadcasting to be undone.
    """

    __slots__ = (
        "broadcasts",
        "elsewhere",
        "fills",
        "keep_output",
        "on_numpy",
        "op",
        "reads",
        "reads_again",
        "shape_only",
        "terms",
        "unlinked",
    )

    def __init__(self, op: Op, derivatives: Sequence[Any], wanted: Sequence[bool]) -> None:
        self.op = op
        self.terms = [
            (i, d)
            for i, (d, want) in enumerate(zip(derivatives, wanted, strict=True))
            if want and d
        ]
        read = [
            (False, ()) if op.shapes_only else _reads(derivative, len(wanted))
            for _, derivative in self.terms
        ]
        back = f"{op.name} backward"
        self.fills = {i for i, d in self.terms if op.ours and "out" in _parameters(d)}
        kernels = [
            (i, Kernel(d, name=back, traced=op.ours and i not in self.fills)) for i, d in self.terms
        ]
        arrives = op.arrives and Kernel(op.arrives, name=back, traced=False)
        self.on_numpy, self.elsewhere = (self.terms, op.arrives), (kernels, arrives)
        self.broadcasts = op.composition is None
        self.keep_output = any(output for output, _ in read)
        if op.arrives:
            self.keep_output |= _reads(op.arrives, 0)[0]
        self.reads = tuple(sorted({i for _, inputs in read for i in inputs}))
        everything = range(len(wanted))
        self.reads_again = tuple(everything) if op.composition else self.reads  # for create_graph
        self.shape_only = tuple(i for i in everything if i not in self.reads_again)
        linked = {*self.reads_again, *(i for i, _ in self.terms)}
        self.unlinked = tuple(i for i in everything if i not in linked)


PICK: Any = object()  # the plan of a node that stands for one of several outputs


def pick_each(ys: Any, device: Any, whole: Any) -> tuple[Any, ...]:
    """Tensors for the outputs of one node, each with a node of its own that points to its place."""
    return tuple(
        wrap(y, device, (-_tick(), PICK, [whole], [], None, {"place": place}, []))
        for place, y in enumerate(ys)
    )


def _parameters(derivative: Callable[..., Any]) -> tuple[str, ...]:
    """What a derivative asks for by name; nothing is known of what is no plain function."""
    code = getattr(derivative, "__code__", None)
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount] if code else ()


def _reads(derivative: Callable[..., Any], count: int) -> tuple[bool, tuple[int, ...]]:
    """Whether a derivative reads the output's value, and which inputs' values, by its bytecode.

    ``x.shape`` and ``x.ndim`` do not count as reading x: shapes are always kept. What is no plain
    function, a bound method perhaps, may read everything.
    """
    if not isinstance(derivative, types.FunctionType):
        return True, tuple(range(count))
    code = derivative.__code__
    names = list(code.co_varnames[: code.co_argcount])
    if code.co_flags & inspect.CO_VARARGS:  # stands for all the arguments without a name
        rest = code.co_varnames[code.co_argcount + code.co_kwonlyargcount]
        names += [rest] * (3 + count - len(names))
    if len(names) < 3 + count:
        raise TypeError(
            f"op: a derivative takes ({', '.join(names)}). It gets xp, g, y, then all inputs."
        )
    read = set(code.co_cellvars)
    instructions = list(dis.get_instructions(code))
    for this, after in itertools.pairwise(instructions):
        if "LOAD_FAST" in this.opname:
            loaded = this.argval if isinstance(this.argval, tuple) else (this.argval,)
            shape_only = after.opname == "LOAD_ATTR" and after.argval in ("shape", "ndim")
            read.update(loaded[:-1] if shape_only else loaded)
    return names[2] in read, tuple(i for i in range(count) if names[3 + i] in read)


class Shape:
    """Stands for an input of which only the shape was kept."""

    __slots__ = ("shape",)

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)
