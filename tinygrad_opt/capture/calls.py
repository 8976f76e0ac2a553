"""Calls of NumPy, written down in the form that computes into memory which is there.

Order: ufuncs · functions and methods · indices · the module.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from .noted import Noted
from .tape import Array, Tape, Unfollowed, owner

CREATION = {"zeros", "ones", "empty", "full", "arange", "eye", "linspace", "tri", "identity"}
LIKE = {np.zeros_like, np.ones_like, np.empty_like, np.full_like}
REDUCTIONS = {  # methods and functions that are reductions by a ufunc, if one knows
    "sum": np.add,
    "prod": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
}
AS_METHODS = {np.sum: "sum", np.prod: "prod", np.max: "max", np.min: "min", np.amax: "max"}
WITH_OUT = {"mean", "var", "std", "cumsum", "argmax", "argmin", "any", "all", "clip", "round"}
WITH_OUT_FUNCTIONS = {np.mean, np.var, np.std, np.cumsum, np.argmax, np.argmin, np.any, np.all}
WITH_OUT_FUNCTIONS |= {np.clip, np.round, np.concatenate, np.stack}
VIA_OTHER_DTYPES = {"mean", "var", "std", "cumsum", "clip", "round"}  # as out= is, perhaps
VIEWS = {  # what may give the memory of its argument, and leaves it as it is
    *("reshape", "ravel", "transpose", "swapaxes", "moveaxis", "squeeze", "expand_dims", "flip"),
    *("broadcast_to", "diagonal", "einsum", "view", "astype", "real", "atleast_1d", "atleast_2d"),
}
IN_PLACE = {"fill", "sort", "partition", "put", "resize", "setfield", "setflags", "byteswap"}
NAMED_OUT = {np.maximum, np.minimum}  # a warning where it is positional
NOT_BY_NUMBER = {np.power, np.float_power}  # which look at the number itself


class Calls(Tape):
    """Stands for NumPy, and takes the calls of arrays that take notes."""

    # ---- ufuncs ---------------------------------------------------------------------------------

    def ufunc(self, ufunc: Any, method: str, inputs: Any, options: dict[str, Any]) -> Any:
        """A call of a ufunc, or of one of its methods."""
        out = options.pop("out", None)
        reals, rest = [self.real(x) for x in inputs], self.real(options)
        target = self.real(out[0]) if out else None
        name = self.function_name(ufunc)
        more = "".join(f", {k}={self.spelled(v)}" for k, v in rest.items())
        if method == "at":
            ufunc.at(*reals)
            text = f"{name}.at({', '.join(map(self.spelled, reals))})"
            self.write(text, effect=self.touch(reals[0]))
            return None
        if method == "reduce":
            return self.reduce(ufunc, *reals, **rest)
        if method != "__call__" or ufunc.nout != 1 or (out and len(out) != 1):
            raise Unfollowed(f"capture: {name}.{method} cannot be recorded.")
        value = ufunc(*reals, out=target, **rest)
        spelled = ", ".join(map(self.spelled, self.as_arrays(ufunc, reals, value)))
        out_text = "out={}" if ufunc in NAMED_OUT or rest else "{}"
        template = f"{name}({spelled}, {out_text}{more})"
        if target is None:
            return self.result(value, f"{name}(…)", template)
        self.write(template.format(self.spelled(target)), effect=self.touch(target))
        return out[0]

    def as_arrays(self, ufunc: Any, operands: list[Any], value: Any) -> list[Any]:
        """The operands, Python numbers as 0-d arrays where it is the same: the faster form."""
        kinds = {x.dtype for x in operands if hasattr(x, "dtype")}
        if len(kinds) != 1 or ufunc in NOT_BY_NUMBER or len(operands) != 2:
            return operands
        (dtype,) = kinds
        if value.dtype not in (dtype, bool) or dtype.kind not in "fiu":
            return operands
        limits = np.iinfo(dtype) if dtype.kind != "f" else None

        def fits(x: Any) -> bool:
            if limits is None:
                return type(x) in (int, float)
            return type(x) is int and limits.min <= x <= limits.max

        return [self.number(x, dtype) if fits(x) else x for x in operands]

    def reduce(
        self, ufunc: Any, a: Array, axis: Any = 0, dtype: Any = None, keepdims: Any = False
    ) -> Any:
        """A reduction by a ufunc."""
        value = ufunc.reduce(a, axis=axis, dtype=dtype, keepdims=keepdims)
        name, spelled = self.function_name(ufunc), self.spelled
        keep = f", {keepdims!r}" if keepdims else ""
        text = f"{name}.reduce({spelled(a)}, {spelled(axis)}, {spelled(dtype)}, {{}}{keep})"
        return self.result(value, f"{name}.reduce(…)", text)

    # ---- functions and methods ------------------------------------------------------------------

    def function(self, function: Callable[..., Any], args: Any, options: dict[str, Any]) -> Any:
        """A call of a NumPy function, or of an operator."""
        if function in AS_METHODS and isinstance(args[0], Noted):
            return self.method(AS_METHODS[function], *args, **options)
        if function in LIKE:
            return self.created(function, self.real(args), options)
        args, options = self.real(args), self.real(options)
        value = self.pure(function, args, options)
        if function is operator.pow:
            text = f"{self.spelled(args[0])} ** {self.spelled(args[1])}"
        else:
            text = f"{self.function_name(function)}({self.arguments(args, options)})"
        template = None
        if function in WITH_OUT_FUNCTIONS and _same_with_out(function.__name__, args, value):
            template = text[:-1].replace("{", "{{").replace("}", "}}") + ", out={})"
        return self.checked(value, text, template)

    def pure(self, function: Any, args: Any, options: dict[str, Any]) -> Any:
        """What a function gives that writes into none of its arguments, as far as is known."""
        name = function.__name__
        if "out" not in options:
            value = function(*args, **options)
            is_known = isinstance(value, np.ndarray) and id(owner(value)) in self.memories
            if not is_known or name in VIEWS:
                return value
        raise Unfollowed(f"capture: {name} with these arguments cannot be recorded.")

    def arguments(self, args: Any, options: dict[str, Any]) -> str:
        """Arguments as they are written."""
        named = [f"{k}={self.spelled(v)}" for k, v in options.items()]
        return ", ".join([*map(self.spelled, args), *named])

    def checked(self, value: Any, text: str, template: str | None = None) -> Any:
        """The result of a call whose shape may depend on data."""
        if isinstance(value, (tuple, list)):
            raise Unfollowed(f"capture: {text} gives several arrays.")
        if template is None and not isinstance(value, (bool, int, float, str)):
            self.objects["fill"] = fill
            array = np.asarray(value)
            if id(array) not in self.noted and id(owner(array)) not in self.memories:
                template = f"fill({{}}, {text.replace('{', '{{').replace('}', '}}')})"
        return self.result(value, text, template)

    def method(self, name: str, a: Noted, *args: Any, **options: Any) -> Any:
        """A call of a method of an array."""
        real = self.real(a)
        args, options = self.real(args), self.real(options)
        if name in IN_PLACE:
            raise Unfollowed(f"capture: {name}() of an array cannot be recorded.")
        if name == "copy":
            options["order"] = options.get("order", "C")
        if name in REDUCTIONS:
            return self.reduce(REDUCTIONS[name], real, *_reduction(*args, **options))
        if name == "dot" and real.ndim and np.ndim(args[0]):
            out = args[1] if len(args) > 1 else options.get("out")
            value = real.dot(args[0]) if out is None else real.dot(args[0], out)
            text = f"{self.spelled(real)}.dot({self.spelled(args[0])}, {{}})"
            if out is None:
                return self.result(value, "dot(…)", text)
            self.write(text.format(self.spelled(out)), effect=self.touch(out))
            return self.noted[id(out)]
        value = self.pure(getattr(real, name), args, options)
        text = f"{self.spelled(real)}.{name}({self.arguments(args, options)})"
        if name == "copy" or (name == "astype" and not options):
            return self.result(value, text if name == "astype" else self.spelled(real))
        template = None
        if name in WITH_OUT and _same_with_out(name, (real, *args), value):
            comma = ", " if args or options else ""
            template = f"{text[:-1]}{comma}out={{}})"
        return self.checked(value, text, template)

    # ---- indices --------------------------------------------------------------------------------

    def take_out(self, a: Noted, index: Any) -> Any:
        """a[index]."""
        real, place = self.real(a), self.real(index)
        value = real[place]
        if isinstance(value, np.generic):
            value = np.asarray(value)
        text = f"{self.spelled(real)}[{self.spelled(place)}]"
        if _has_truths(place):
            return self.checked(value, text)
        return self.result(value, text)

    def put_in(self, a: Noted, index: Any, value: Any) -> None:
        """a[index] = value."""
        real, place, new = self.real(a), self.real(index), self.real(value)
        if isinstance(new, np.ndarray) and new is real and place in (..., slice(None)):
            return  # the end of a[...] += b
        real[place] = new
        text = f"{self.spelled(real)}[{self.spelled(place)}] = {self.spelled(new)}"
        self.write(text, effect=self.touch(real))

    # ---- the module -----------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if name in CREATION and not self.elsewhere:
            return lambda *args, **options: self.created(getattr(np, name), args, options)
        return getattr(np, name)

    def created(self, function: Any, args: Any, options: dict[str, Any]) -> Noted:
        """A new array with the same values at every replay: made once, filled where changed."""
        array = function(*self.real(args), **self.real(options))
        noted = self.note(array, own=True)
        if array.size:
            start = self.bind(array.copy(), "k")
            name = self.names[id(array)]
            self.write(f"{name}[...] = {start}", fills=name)
        return noted

    def asarray(self, x: Any, dtype: Any = None, **options: Any) -> Any:
        """An array from an array or a number."""
        if self.elsewhere:
            return np.asarray(x, dtype, **options)
        if isinstance(x, Noted):
            return x if dtype is None or x.dtype == dtype else x.astype(dtype)
        if isinstance(x, (bool, int, float)):
            return self.note(np.asarray(x, dtype), "k")
        return self.note(self.real(np.asarray(x)))

    array = asanyarray = asarray

    def ascontiguousarray(self, x: Any) -> Any:
        """The same, row by row."""
        if self.elsewhere:
            return np.ascontiguousarray(x)
        return x if x.flags.c_contiguous else x.copy()


def fill(room: Array, value: Any) -> None:
    """Copy what a call gave into its place; RuntimeError if it has another shape."""
    if np.shape(value) != room.shape:
        raise RuntimeError(
            f"capture: a call gave shape {room.shape} when it was recorded, and {np.shape(value)} "
            "now: its shape depends on the data, which cannot be captured. Use where() or a "
            "product with the mask."
        )
    room[...] = value


def _same_with_out(name: str, operands: Any, value: Any) -> bool:
    """Whether a call computes in the same dtypes where it is told where to write."""
    if name not in VIA_OTHER_DTYPES:
        return True
    dtypes = {x.dtype for x in (*operands, value) if hasattr(x, "dtype")}
    return len(dtypes) == 1 and all(t.kind == "f" and t.itemsize > 2 for t in dtypes)


def _reduction(
    axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, **more: Any
) -> Any:
    if out is not None or more:
        raise Unfollowed("capture: a reduction with out=, initial= or where= cannot be recorded.")
    return axis, dtype, keepdims


def _tuple(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def _has_truths(index: Any) -> bool:
    kinds = (np.ndarray, list, bool)
    return any(np.asarray(i).dtype == bool for i in _tuple(index) if isinstance(i, kinds))
