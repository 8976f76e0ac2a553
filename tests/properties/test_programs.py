"""Random programs of twenty operations: values and gradients are PyTorch's, and do not depend on
how often, in which pieces or beside what garbage a backward pass runs.

A program is a list of lines, each an operation on results of earlier lines: reused, reshaped,
broadcast, cut, put together. One that fails is printed.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

import tinygrad_opt as tg
from tests.helpers import host

LINES, LEAVES = 20, 3
SHAPE = (3, 4)  # of all results, so that any may meet any

# Each keeps numbers near 1; the text is run with f = ours, or f = a dialect of PyTorch.
UNARY = [
    "f.tanh({a})",
    "f.sin({a} * 1.5)",
    "f.exp({a} * 0.3)",
    "f.log({a} * {a} + 1.0)",
    "f.sqrt({a} * {a} + 0.5)",
    "f.sigmoid({a})",
    "f.softmax({a}, 1)",
    "f.log_softmax({a}, 0) * 0.3",
    "f.logsumexp({a}, 1).reshape(3, 1) * 0.2 + {a} * 0.5",
    "f.swap({a} * 0.5).reshape(3, 4)",
    "{a}.sum() * 0.05 + {a} * 0.5",
    "f.mean({a}, 0) - {a}",
    "f.var({a}, 1) * 0.1 + 0.5 * {a}",
    "f.join({a}[:, 2:], {a}[:, :2]) * 0.9",
    "{a}[[2, 0, 2]] * 0.8",
    "{a}[0] * 0.5 + {a}[:, :1] * 0.5",
    "f.cumsum({a} * 0.3, 1)",
    "f.relu({a} + 0.3) - 0.2 * {a}",
    "f.clip({a}, -0.9, 0.9) + 0.1 * {a}",
    "f.detach({a}) * 0.5 + {a}",
    "f.largest({a}, 1).reshape(3, 1) * 0.5 - 0.3 * {a}",
]
BINARY = [
    "({a} + {b}) * 0.7",
    "{a} - 0.5 * {b}",
    "{a} * {b} * 0.7",
    "{a} / ({b} * {b} + 1.0)",
    "f.where({a} > {b}, {a} * 0.9, {b} * 1.1)",
    "f.maximum({a}, {b}) * 0.8",
    "({a} @ f.swap({b})) @ {a} * 0.1",
    "{a} * f.mean({b}, 1, True)",
]


class Ours:
    """The words of a program, in this package."""

    join = staticmethod(lambda a, b: tg.concatenate([a, b], axis=1))
    swap = staticmethod(lambda a: tg.swapaxes(a, 0, 1))
    mean = staticmethod(lambda a, axis, keep=False: tg.mean(a, axis=axis, keepdims=keep))
    var = staticmethod(lambda a, axis: tg.var(a, axis=axis, keepdims=True))
    largest = staticmethod(lambda a, axis: tg.max(a, axis=axis))
    detach = staticmethod(lambda a: a.detach())
    softmax = staticmethod(lambda a, axis: tg.nn.functional.softmax(a, axis))
    log_softmax = staticmethod(lambda a, axis: tg.nn.functional.log_softmax(a, axis))
    logsumexp = staticmethod(lambda a, axis: tg.logsumexp(a, axis=axis))

    def __getattr__(self, name: str) -> Any:
        return getattr(tg, name)


def in_pytorch() -> Any:
    """The same words in PyTorch."""
    import torch

    class Theirs:
        join = staticmethod(lambda a, b: torch.cat([a, b], 1))
        swap = staticmethod(lambda a: torch.swapaxes(a, 0, 1))
        mean = staticmethod(lambda a, axis, keep=False: a.mean(axis, keepdim=keep))
        var = staticmethod(lambda a, axis: a.var(axis, correction=0, keepdim=True))
        largest = staticmethod(lambda a, axis: a.amax(axis))
        detach = staticmethod(lambda a: a.detach())

        def __getattr__(self, name: str) -> Any:
            return getattr(torch, name)

    return Theirs()


@st.composite
def programs(draw: Any) -> list[str]:
    """Twenty lines; the last ones are most likely to be read, and the leaves, too."""
    lines = []
    for n in range(LEAVES, LEAVES + LINES):
        some = st.one_of(st.integers(max(0, n - 4), n - 1), st.integers(0, n - 1))
        text = draw(st.sampled_from(UNARY + BINARY))
        lines.append(f"v{n} = " + text.format(a=f"v{draw(some)}", b=f"v{draw(some)}"))
    return lines


def drawn(seed: int) -> list[Any]:
    """The numbers of the leaves."""
    return list(np.random.default_rng(seed).normal(size=(LEAVES, *SHAPE)))


def run(lines: list[str], words: Any, leaves: list[Any]) -> Any:
    """The loss: all results together, in which every one has its own weights."""
    names: dict[str, Any] = {"f": words} | {f"v{i}": leaf for i, leaf in enumerate(leaves)}
    exec("\n".join(lines), names)
    results = [names[f"v{n}"] for n in range(LEAVES, LEAVES + LINES)]
    return sum((value * value).sum() * (0.1 * n + 0.1) for n, value in enumerate(results))


def ours(seed: int) -> list[Any]:
    return [tg.tensor(array, requires_grad=True) for array in drawn(seed)]


def some(examples: int) -> Callable[[Any], Any]:
    settings = hypothesis.settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    given = hypothesis.given(programs(), st.integers(0, 999))
    return lambda test: settings(given(test))


def near(found: Any, expected: Any) -> None:
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10 * scale)


@pytest.mark.oracle
@some(150)
def test_values_and_gradients_to_second_order_are_pytorch_s(lines: list[str], seed: int) -> None:
    import torch

    mine = ours(seed)
    theirs = [torch.tensor(array, requires_grad=True) for array in drawn(seed)]
    loss, other = run(lines, Ours(), mine), run(lines, in_pytorch(), theirs)
    near(loss.item(), other.item())
    first = tg.grad(loss, mine, create_graph=True, allow_unused=True)
    firsts = torch.autograd.grad(other, theirs, create_graph=True, allow_unused=True)
    assert [g is None for g in first] == [g is None for g in firsts]
    pairs = [(g, h) for g, h in zip(first, firsts) if g is not None]
    for g, h in pairs:
        near(host(g), h.detach().numpy())
    if pairs and all(h.requires_grad for _, h in pairs):
        sum((g * g).sum() for g, _ in pairs).backward()
        sum((h * h).sum() for _, h in pairs).backward()
        for p, q in zip(mine, theirs):
            near(0.0 if p.grad is None else host(p.grad), 0.0 if q.grad is None else q.grad.numpy())


@some(25)
def test_a_pass_may_be_repeated_beside_garbage_and_by_grad(lines: list[str], seed: int) -> None:
    leaves = ours(seed)
    loss = run(lines, Ours(), leaves)
    loss.backward(retain_graph=True)
    once = [None if p.grad is None else host(p.grad).copy() for p in leaves]
    gc.collect()
    loss.backward()
    by_grad = tg.grad(run(lines, Ours(), leaves), leaves, allow_unused=True)
    for p, g, again in zip(leaves, once, by_grad):
        assert (g is None) == (again is None)
        if g is not None:
            np.testing.assert_array_equal(host(p.grad), 2 * g)
            np.testing.assert_array_equal(host(again), g)


@pytest.mark.on("cpu")
@some(15)
def test_gradients_are_those_of_differences(lines: list[str], seed: int) -> None:
    leaves = ours(seed)
    run(lines, Ours(), leaves).backward()
    direction = drawn(seed + 1)
    h = 1e-6

    def at(t: float) -> float:
        moved = [tg.tensor(p.detach().numpy() + t * d) for p, d in zip(leaves, direction)]
        return float(run(lines, Ours(), moved).item())

    expected = sum(
        (host(p.grad) * d).sum() for p, d in zip(leaves, direction) if p.grad is not None
    )
    if "detach" not in "".join(lines):  # which differences do not see
        slopes = [(at(h) - at(-h)) / (2 * h), (at(h / 4) - at(-h / 4)) / (h / 2)]
        error = min(abs(slope - expected) for slope in slopes)  # a kink may be near
        assert error <= 1e-5 * max(1.0, abs(expected))
