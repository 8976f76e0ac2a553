"""What a rule computes with while it is traced: numbers and arrays that write down what is done.

Numbers. What depends on numbers only, such as 1 − β₁ᵗ, is hoisted: computed in Python, not on
arrays. A Python `if` on a number is answered for the values at hand; the answer becomes a condition
of the program.

Factors. With `carry` a number that multiplies an array is not multiplied in but carried outward, as
the factor of the array, until it meets an addition: √(c a) = √c √a, and c a + s = c (a + s / c).
So the m̂ and v̂ of Adam's text cost no array call. That may change the last bits; without it, every
call of the text is made as written, to the bit.

Order: numbers · arrays · the names of xp.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .tape import Tape

Method = Callable[..., Any]

# ---- numbers ----------------------------------------------------------------------------------


def _infix(symbol: str, compute: Callable[[Any, Any], Any], reflected: bool = False) -> Method:
    """The method of an operator: it writes the text on and computes the value of this step."""

    def combine(self: Number, other: Any) -> Any:
        if isinstance(other, Array):
            return NotImplemented
        a, b = self, self.tape.number(other)
        if reflected:
            a, b = b, a
        return self.tape.compute(compute(a.value, b.value), f"{{}} {symbol} {{}}", a, b)

    return combine


class Number:
    """A number of the rule: its name in the program, its formula, its value in the traced step.

    `late` numbers depend on the step, the others on options only.
    """

    __slots__ = ("formula", "late", "name", "tape", "value")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, tape: Tape, name: str, formula: str, value: Any, late: bool = False) -> None:
        self.tape, self.name, self.formula, self.value, self.late = tape, name, formula, value, late

    def __bool__(self) -> bool:
        return self.tape.decide(self)

    def __neg__(self) -> Number:
        return self.tape.compute(-self.value, "-{}", self)

    __add__ = _infix("+", operator.add)
    __sub__ = _infix("-", operator.sub)
    __mul__ = _infix("*", operator.mul)
    __truediv__ = _infix("/", operator.truediv)
    __pow__ = _infix("**", operator.pow)
    __radd__ = _infix("+", operator.add, reflected=True)
    __rsub__ = _infix("-", operator.sub, reflected=True)
    __rmul__ = _infix("*", operator.mul, reflected=True)
    __rtruediv__ = _infix("/", operator.truediv, reflected=True)
    __rpow__ = _infix("**", operator.pow, reflected=True)
    __lt__ = _infix("<", operator.lt)
    __le__ = _infix("<=", operator.le)
    __gt__ = _infix(">", operator.gt)
    __ge__ = _infix(">=", operator.ge)
    __eq__ = _infix("==", operator.eq)
    __ne__ = _infix("!=", operator.ne)


# ---- arrays -----------------------------------------------------------------------------------


def _call(operation: str, reflected: bool = False) -> Method:
    """The method of an operator that needs its operands as they are."""

    def combine(self: Array, other: Any) -> Array:
        return self.tape.call(operation, *((other, self) if reflected else (self, other)))

    return combine


def _shift(operation: str) -> Method:
    """The method of + and −; a number is divided by the factor instead: c a + s = c (a + s / c)."""

    def combine(self: Array, other: Any) -> Array:
        c = self.factor
        if c is None or isinstance(other, Array) or not c > 0:
            return self.tape.call(operation, self, other)
        return self.tape.array(operation, self.name, other / c).times(c)

    return combine


class Array:
    """An array of the rule, by the name that it has in the program, times a factor or none."""

    __slots__ = ("factor", "name", "tape")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, tape: Tape, name: str, factor: Number | None = None) -> None:
        self.tape, self.name, self.factor = tape, name, factor

    def __bool__(self) -> bool:
        raise TypeError(
            "a rule cannot branch on an array, which holds many answers. Write xp.where(condition, "
            "a, b)."
        )

    def times(self, number: Any) -> Array:
        """This array with one more factor: carried along, or multiplied in at once."""
        if number is None:
            return self
        product = self.tape.number(number if self.factor is None else self.factor * number)
        scaled = Array(self.tape, self.name, product)
        return scaled if self.tape.carry else Array(self.tape, scaled.multiplied())

    def multiplied(self) -> str:
        """The name of the array with its factor multiplied in; a factor of 1 costs nothing."""
        if self.factor is None or self.factor == 1:
            return self.name
        return self.tape.write("multiply", self.name, self.factor)

    def root(self) -> Array:
        """√(c a) = √c √a, for positive c."""
        c = self.factor
        if c is None or not c > 0:
            return self.tape.call("sqrt", self)
        return self.tape.array("sqrt", self.name).times(c**0.5)

    __add__ = __radd__ = _shift("add")
    __sub__ = _shift("subtract")
    __rsub__ = _call("subtract", reflected=True)
    __rpow__ = _call("power", reflected=True)
    __rtruediv__ = _call("divide", reflected=True)
    __lt__ = _call("less")
    __le__ = _call("less_equal")
    __gt__ = _call("greater")
    __ge__ = _call("greater_equal")
    __eq__ = _call("equal")
    __ne__ = _call("not_equal")
    __and__ = _call("logical_and")

    def __mul__(self, other: Any) -> Array:
        if not isinstance(other, Array):
            return self.times(other)
        product = self.tape.array("multiply", self.name, other.name)
        return product.times(self.factor).times(other.factor)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Array:
        if not isinstance(other, Array):
            if self.tape.carry:
                return self.times(1 / self.tape.number(other))
            return self.tape.call("divide", self, other)
        c = other.factor
        if c is None or not c > 0:
            return self.tape.array("divide", self.name, other.multiplied()).times(self.factor)
        return self.tape.array("divide", self.name, other.name).times(self.factor).times(1 / c)

    def __neg__(self) -> Array:
        return self.times(-1) if self.tape.carry else self.tape.call("negative", self)

    def __pow__(self, exponent: Any) -> Array:
        if exponent == 2:  # for these exponents NumPy, too, calls something faster than power
            return self * self
        if exponent == 0.5:
            return self.root()
        if exponent == -1:
            return self.tape.call("reciprocal", self)
        return self if exponent == 1 else self.tape.call("power", self, exponent)


# ---- the names of xp --------------------------------------------------------------------------

# Besides sqrt, square and zeros_like, which have texts of their own below.
CALLS = {"abs", "sign", "maximum", "minimum", "clip", "where", "exp", "expm1", "log", "log1p"}
CALLS |= {"logaddexp", "sin", "cos", "sinh", "cosh", "tanh"}


class Names:
    """What stands for xp while a rule is traced: the elementwise functions that a rule may call."""

    def sqrt(self, x: Any) -> Array:
        """√x of an array."""
        if not isinstance(x, Array):
            raise TypeError(
                "a rule called xp.sqrt with a number. NumPy would give np.float64, which turns "
                "float32 arrays into float64. Write x ** 0.5."
            )
        return x.root()

    def square(self, x: Array) -> Array:
        """x²."""
        return x * x

    def zeros_like(self, x: Array) -> Number:
        """0."""
        return x.tape.number(0.0)

    def __getattr__(self, name: str) -> Callable[..., Array]:
        if name not in CALLS:
            raise AttributeError(
                f"an elementwise rule called xp.{name}. It may use sqrt, square, "
                f'{", ".join(sorted(CALLS))}; a rule of whole tensors says scope = "tensor".'
            )

        def function(*operands: Any) -> Array:
            tapes = [x.tape for x in operands if isinstance(x, Array)]
            if not tapes:
                raise TypeError(
                    f"a rule called xp.{name} with numbers. Use Python's own for them: abs, min, "
                    "max, if."
                )
            return tapes[0].call(name, *operands)

        return function
