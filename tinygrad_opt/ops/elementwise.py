"""Operations that treat every element alike, as a table of derivatives.

Read a decorator line as in the back of a calculus book: g is the gradient that arrives, y the
output; the rest are the inputs. Where inputs broadcast, the engine adds the gradient up again.

Order: arithmetic · exponentials and roots · trigonometry · choosing · rounding · comparisons.
"""

from __future__ import annotations

import math

from ..operation import op
from .special import erf_of

__all__ = [
    "add",
    "subtract",
    "multiply",
    "divide",
    "power",
    "negative",
    "reciprocal",
    "absolute",
    "abs",
    "sign",
    "exp",
    "expm1",
    "log",
    "log1p",
    "log2",
    "sqrt",
    "square",
    "erf",
    "sin",
    "cos",
    "tan",
    "arcsin",
    "arccos",
    "arctan",
    "arctan2",
    "sinh",
    "cosh",
    "tanh",
    "maximum",
    "minimum",
    "clip",
    "where",
    "floor",
    "ceil",
    "round",
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "invert",
    "logical_and",
    "logical_or",
    "logical_xor",
    "logical_not",
    "isnan",
    "isinf",
    "isfinite",
]


def _zero(xp, g, y, x):
    """0."""
    return xp.zeros_like(g)


# ---- arithmetic -------------------------------------------------------------------------------


@op(lambda xp, g, y, a, b: g, lambda xp, g, y, a, b: g)
def add(xp, a, b):
    """a + b."""
    return a + b


@op(lambda xp, g, y, a, b: g, lambda xp, g, y, a, b: -g)
def subtract(xp, a, b):
    """a − b."""
    return a - b


@op(lambda xp, g, y, a, b: g * b, lambda xp, g, y, a, b: g * a)
def multiply(xp, a, b):
    """a · b."""
    return a * b


@op(lambda xp, g, y, a, b: g / b, lambda xp, g, y, a, b: -g * y / b)
def divide(xp, a, b):
    """a / b; integers give floats."""
    return a / b


def _power_base(xp, g, y, a, b):
    """g·b·aᵇ⁻¹."""
    if isinstance(b, (int, float)):
        return g * (b * a ** (b - 1)) if b != 0 else xp.zeros_like(g)
    zero = b == 0
    return xp.where(zero, 0, g * b * a ** xp.where(zero, 1, b - 1))


def _power_exponent(xp, g, y, a, b):
    """g·aᵇ·ln a."""
    a = a + xp.zeros_like(y)  # a number may stand here
    zero = (a == 0) & (b >= 0)
    return xp.where(zero, 0, g * y * xp.log(xp.where(zero, 1, a)))


@op(_power_base, _power_exponent)
def power(xp, a, b):
    """aᵇ; at a = 0 the derivative for b is 0, and for a it is 0 where b = 0."""
    return a**b


@op(lambda xp, g, y, x: -g)
def negative(xp, x):
    """−x."""
    return -x


@op(lambda xp, g, y, x: -g * y * y)
def reciprocal(xp, x):
    """1 / x."""
    return 1 / x


@op(lambda xp, g, y, x: g * xp.sign(x))
def absolute(xp, x):
    """|x|; the derivative at 0 is 0."""
    return xp.abs(x)


abs = absolute


@op(_zero)
def sign(xp, x):
    """−1, 0 or 1."""
    return xp.sign(x)


# ---- exponentials and roots -------------------------------------------------------------------


@op(lambda xp, g, y, x: g * y)
def exp(xp, x):
    """eˣ."""
    return xp.exp(x)


@op(lambda xp, g, y, x: g * (y + 1))
def expm1(xp, x):
    """eˣ − 1, exact for small x."""
    return xp.expm1(x)


@op(lambda xp, g, y, x: g / x)
def log(xp, x):
    """ln x."""
    return xp.log(x)


@op(lambda xp, g, y, x: g / (1 + x))
def log1p(xp, x):
    """ln(1 + x), exact for small x."""
    return xp.log1p(x)


@op(lambda xp, g, y, x: g / (x * math.log(2)))
def log2(xp, x):
    """The logarithm to base 2."""
    return xp.log2(x)


@op(lambda xp, g, y, x: g / (2 * y))
def sqrt(xp, x):
    """√x; the derivative at 0 is infinite."""
    return xp.sqrt(x)


@op(lambda xp, g, y, x: g * (2 * x))
def square(xp, x):
    """x²."""
    return xp.square(x)


@op(lambda xp, g, y, x: g * (2 / math.sqrt(math.pi)) * xp.exp(-x * x))
def erf(xp, x):
    """2/√π ∫₀ˣ e^(−t²) dt."""
    return erf_of(xp, x)


# ---- trigonometry -----------------------------------------------------------------------------


@op(lambda xp, g, y, x: g * xp.cos(x))
def sin(xp, x):
    """The sine of x in radians."""
    return xp.sin(x)


@op(lambda xp, g, y, x: -g * xp.sin(x))
def cos(xp, x):
    """The cosine of x in radians."""
    return xp.cos(x)


@op(lambda xp, g, y, x: g * (1 + y * y))
def tan(xp, x):
    """The tangent of x in radians."""
    return xp.tan(x)


@op(lambda xp, g, y, x: g / xp.sqrt(1 - x * x))
def arcsin(xp, x):
    """The angle whose sine is x."""
    return xp.arcsin(x)


@op(lambda xp, g, y, x: -g / xp.sqrt(1 - x * x))
def arccos(xp, x):
    """The angle whose cosine is x."""
    return xp.arccos(x)


@op(lambda xp, g, y, x: g / (1 + x * x))
def arctan(xp, x):
    """The angle whose tangent is x."""
    return xp.arctan(x)


def _arctan2(xp, g, other, a, b):
    """g times the other, over a² + b²."""
    radius = a * a + b * b
    return g * other / xp.where(radius == 0, 1, radius)


@op(
    lambda xp, g, y, a, b: _arctan2(xp, g, b, a, b),
    lambda xp, g, y, a, b: _arctan2(xp, -g, a, a, b),
)
def arctan2(xp, a, b):
    """The angle of the point (b, a); at the origin both derivatives are 0."""
    return xp.arctan2(a, b)


@op(lambda xp, g, y, x: g * xp.cosh(x))
def sinh(xp, x):
    """(eˣ − e⁻ˣ) / 2."""
    return xp.sinh(x)


@op(lambda xp, g, y, x: g * xp.sinh(x))
def cosh(xp, x):
    """(eˣ + e⁻ˣ) / 2."""
    return xp.cosh(x)


@op(lambda xp, g, y, x: g * (1 - y * y))
def tanh(xp, x):
    """sinh x / cosh x."""
    return xp.tanh(x)


# ---- choosing ---------------------------------------------------------------------------------


def _share(xp, g, larger, smaller):
    """g where the one is larger than the other, half of it where both are equal."""
    return xp.where(larger == smaller, g * 0.5, xp.where(larger > smaller, g, 0))


@op(lambda xp, g, y, a, b: _share(xp, g, a, b), lambda xp, g, y, a, b: _share(xp, g, b, a))
def maximum(xp, a, b):
    """The larger of two; equal ones share the gradient."""
    return xp.maximum(a, b)


@op(lambda xp, g, y, a, b: _share(xp, g, b, a), lambda xp, g, y, a, b: _share(xp, g, a, b))
def minimum(xp, a, b):
    """The smaller of two; equal ones share the gradient."""
    return xp.minimum(a, b)


def _inside(xp, g, y, x, low=None, high=None):
    """g where low ≤ x ≤ high, else 0."""
    if low is not None:
        g = g * (x >= low)
    return g if high is None else g * (x <= high)


@op(_inside)
def clip(xp, x, low=None, high=None):
    """x held between two numbers (None: no bound); the derivative at a bound is 1."""
    return xp.clip(x, low, high)


def _chosen(xp, g, y, condition, a, b):
    """g where the condition holds, else 0."""
    return where.within(xp, condition, g, 0)


def _not_chosen(xp, g, y, condition, a, b):
    """g where the condition does not hold, else 0."""
    return where.within(xp, condition, 0, g)


@op(None, _chosen, _not_chosen)
def where(xp, condition, a, b):
    """a where the condition holds, else b.

    An infinite or NaN derivative in the branch not taken makes the gradient NaN, as in PyTorch and
    JAX: give that branch a harmless input by a second ``where`` inside it.
    """
    return xp.where(xp.asarray(condition), a, b)  # an array: CuPy takes no bare truth


# ---- rounding: flat between the jumps ---------------------------------------------------------


@op(_zero)
def floor(xp, x):
    """The largest integer ≤ x."""
    return xp.floor(x)


@op(_zero)
def ceil(xp, x):
    """The smallest integer ≥ x."""
    return xp.ceil(x)


@op(lambda xp, g, y, x, decimals=0: xp.zeros_like(g))
def round(xp, x, decimals=0):
    """To the nearest value with that many decimals; halves go to the even one."""
    return xp.round(x, decimals)


# ---- comparisons: booleans, through which no gradient flows ------------------------------------


def _comparison(name, sentence, value):
    value.__name__, value.__doc__ = name, sentence
    return op(*[None] * (value.__code__.co_argcount - 1))(value)


equal = _comparison("equal", "a == b.", lambda xp, a, b: a == b)
not_equal = _comparison("not_equal", "a != b.", lambda xp, a, b: a != b)
less = _comparison("less", "a < b.", lambda xp, a, b: a < b)
less_equal = _comparison("less_equal", "a <= b.", lambda xp, a, b: a <= b)
greater = _comparison("greater", "a > b.", lambda xp, a, b: a > b)
greater_equal = _comparison("greater_equal", "a >= b.", lambda xp, a, b: a >= b)
bitwise_and = _comparison("bitwise_and", "Bit by bit; of truths: both.", lambda xp, a, b: a & b)
bitwise_or = _comparison("bitwise_or", "Bit by bit; of truths: either.", lambda xp, a, b: a | b)
bitwise_xor = _comparison("bitwise_xor", "Bit by bit; of truths: one.", lambda xp, a, b: a ^ b)
invert = _comparison("invert", "Every bit turned; of truths: not.", lambda xp, a: ~a)
logical_and = _comparison("logical_and", "Both.", lambda xp, a, b: xp.logical_and(a, b))
logical_or = _comparison("logical_or", "Either.", lambda xp, a, b: xp.logical_or(a, b))
logical_xor = _comparison("logical_xor", "One, not both.", lambda xp, a, b: xp.logical_xor(a, b))
logical_not = _comparison("logical_not", "Not.", lambda xp, a: xp.logical_not(a))
isnan = _comparison("isnan", "Not a number.", lambda xp, a: xp.isnan(a))
isinf = _comparison("isinf", "Plus or minus infinity.", lambda xp, a: xp.isinf(a))
isfinite = _comparison("isfinite", "Neither NaN nor infinite.", lambda xp, a: xp.isfinite(a))
