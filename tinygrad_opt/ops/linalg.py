"""Products of vectors, matrices and stacks of matrices.

Order: matmul · einsum · compositions.
"""

from __future__ import annotations

from string import ascii_letters

from ..operation import explain_broadcast, op
from .checks import check_same_float
from .elementwise import multiply
from .reduce import sum as total
from .shape import diagonal, expand_dims, reshape

__all__ = [
    "matmul",
    "einsum",
    "dot",
    "outer",
    "trace",
]

# ---- matmul -----------------------------------------------------------------------------------


def _as_matrices(xp, g, a, b):
    """The three as stacks of matrices: a vector on the left is a row, on the right a column."""
    if len(b.shape) == 1:
        b = xp.reshape(b, (*b.shape, 1))
        g = xp.reshape(g, (*g.shape, 1))
    if len(a.shape) == 1:
        a = xp.reshape(a, (1, *a.shape))
        g = xp.reshape(g, (*g.shape[:-1], 1, g.shape[-1]))
    return g, a, b


def _matmul_left(xp, g, y, a, b):
    """g·bᵀ."""
    vector = len(a.shape) == 1
    g, _, b = _as_matrices(xp, g, a, b)
    da = g @ xp.swapaxes(b, -1, -2)
    return xp.reshape(da, (*da.shape[:-2], da.shape[-1])) if vector else da


def _matmul_right(xp, g, y, a, b):
    """aᵀ·g."""
    vector = len(b.shape) == 1
    g, a, _ = _as_matrices(xp, g, a, b)
    db = xp.swapaxes(a, -1, -2) @ g
    return xp.reshape(db, db.shape[:-1]) if vector else db


def _explain_matmul(name, a, b):
    if not a or not b:
        return f"matmul: {a} @ {b} does not fit: it needs at least one axis on each side; use *."
    inner = b[-2] if len(b) > 1 else b[-1]
    if a[-1] == inner:
        if explain_broadcast(name, a[:-2], b[:-2]) is None:
            return None
        return f"matmul: {a} @ {b} does not fit: the axes before the last two must broadcast."
    text = f"matmul: {a} @ {b} does not fit: {a[-1]} columns meet {inner} rows."
    if len(a) == len(b) == 2:
        if b[1] == a[0]:
            return f"{text} The other order, {b} @ {a}, would fit."
        if a[1] == b[1]:
            return (
                f"{text} a @ b.T would fit; a weight stored as (out, in) is meant for linear(x, w)."
            )
        if a[0] == b[0]:
            return f"{text} a.T @ b would fit."
    return text


@op(_matmul_left, _matmul_right, explain=_explain_matmul)
def matmul(xp, a, b):
    """a @ b: (…, n, k) @ (…, k, m) -> (…, n, m); vectors as in NumPy, stacks broadcast."""
    check_same_float("matmul", a, b)
    return xp.matmul(a, b)


# ---- einsum -----------------------------------------------------------------------------------


def _einsum_back(i):
    """The derivative for operand i: g takes its place, and the axes that were summed return."""

    def derivative(xp, g, y, *operands, subscripts):
        *terms, result = subscripts.replace("->", ",").split(",")
        mine = terms[i]
        others = [(t, x) for j, (t, x) in enumerate(zip(terms, operands, strict=True)) if j != i]
        known = set(result).union(*(t for t, _ in others))
        reached = "".join(c for c in mine if c in known)
        spec = ",".join([result, *(t for t, _ in others)]) + "->" + reached
        back = xp.einsum(spec, g, *(x for _, x in others))
        sizes = iter(back.shape)
        back = xp.reshape(back, tuple(next(sizes) if c in known else 1 for c in mine))
        shape = tuple(
            m if n == 1 else n for n, m in zip(back.shape, operands[i].shape, strict=True)
        )
        return xp.broadcast_to(back, shape)

    return derivative


def _einsum(xp, *operands, subscripts):
    return xp.einsum(subscripts, *operands)


_einsum = op(each=_einsum_back)(_einsum)


def _explicit(subscripts, operands):
    """The subscripts with the output written out and letters in place of an ellipsis."""
    left, arrow, result = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        raise ValueError(
            f"einsum: {subscripts!r} names {len(terms)} operands, and {len(operands)} were given."
        )
    free = [c for c in ascii_letters if c not in subscripts]
    batch = 0
    for place, (term, x) in enumerate(zip(terms, operands, strict=True)):
        hidden = x.ndim - len(term.replace("...", ""))
        if hidden < 0 or (hidden and "..." not in term):
            raise ValueError(
                f"einsum: {term!r} has {len(term)} letters for the {x.ndim} axes of {x.shape}."
            )
        batch = max(batch, hidden if "..." in term else 0)
        terms[place] = term.replace("...", "".join(free[26 - hidden : 26]))
    if arrow:
        return terms, result.replace("...", "".join(free[26 - batch : 26]))
    letters = "".join(terms)
    once = sorted(c for c in set(letters) if letters.count(c) == 1 and c not in free)
    return terms, "".join(free[26 - batch : 26]) + "".join(once)


def einsum(subscripts, *operands):
    """Sums of products by named axes: "ij,jk->ik" is a matrix product, "ii->" the trace."""
    terms, result = _explicit(subscripts, operands)
    pairs = [_without_repeats(term, x) for term, x in zip(terms, operands, strict=True)]
    subscripts = ",".join(term for term, _ in pairs) + "->" + result
    return _einsum(*(x for _, x in pairs), subscripts=subscripts)


def _without_repeats(term, x):
    """A letter twice in one term means a diagonal."""
    while len(set(term)) < len(term):
        letter = next(c for c in term if term.count(c) > 1)
        first = term.index(letter)
        second = term.index(letter, first + 1)
        if x.shape[first] != x.shape[second]:
            raise ValueError(f"einsum: {letter!r} stands for two lengths in {x.shape}.")
        x = diagonal(x, 0, first, second)
        term = term[:first] + term[first + 1 : second] + term[second + 1 :] + letter
    return term, x


# ---- compositions -----------------------------------------------------------------------------


def dot(a, b):
    """The product of numbers, vectors or matrices; of stacks use matmul."""
    if a.ndim == 0 or b.ndim == 0:
        return multiply(a, b)
    if a.ndim > 2 or b.ndim > 2:
        raise ValueError(f"dot: {a.shape} and {b.shape} have more than two axes. Use matmul.")
    return matmul(a, b)


def outer(a, b):
    """Every element of a times every element of b: (n,), (m,) -> (n, m)."""
    return multiply(expand_dims(reshape(a, (-1,)), 1), reshape(b, (1, -1)))


def trace(x, offset=0, axis1=0, axis2=1):
    """The sum of a diagonal."""
    return total(diagonal(x, offset, axis1, axis2), axis=-1)
