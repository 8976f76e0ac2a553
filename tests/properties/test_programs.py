"""Random programs of twenty operations: values and gradients are PyTorch's, and do not depend on
how often, in which pieces or beside what garbage a backward pass runs.

A program is a list of lines, each an operation on results of earlier lines: reused, reshaped,
broadcast, cut, put together; then a loss. One that fails is printed.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any, NamedTuple

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

import tinygrad_opt as tg
from tests.helpers import host

LINES, LEAVES = 20, 3

# All results of a program have one shape, (R, C), so that any may meet any; H is C // 2. Each line
# keeps numbers near 1; the text is run with f = ours, or f = a dialect of PyTorch.
UNARY = [
    "f.tanh({a})",
    "f.sin({a} * 1.5)",
    "f.exp({a} * 0.3)",
    "f.log({a} * {a} + 1.0)",
    "f.sqrt({a} * {a} + 0.5)",
    "f.sigmoid({a})",
    "f.softmax({a}, 1)",
    "f.log_softmax({a}, 0) * 0.3",
    "f.logsumexp({a}, 1).reshape(R, 1) * 0.2 + {a} * 0.5",
    "f.swap({a} * 0.5).reshape(R, C)",
    "{a}.sum() * 0.05 + {a} * 0.5",
    "f.mean({a}, 0) - {a}",
    "f.var({a}, 1) * 0.1 + 0.5 * {a}",
    "f.join({a}[:, H:], {a}[:, :H]) * 0.9",
    "{a}[ROWS] * 0.8",
    "{a}[0] * 0.5 + {a}[:, :1] * 0.5",
    "f.cumsum({a} * 0.3, 1)",
    "f.relu({a} + 0.3) - 0.2 * {a}",
    "f.clip({a}, -0.9, 0.9) + 0.1 * {a}",
    "f.detach({a}) * 0.5 + {a}",
    "f.largest({a}, 1).reshape(R, 1) * 0.5 - 0.3 * {a}",
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
LOSSES = [
    "f.cross_entropy({a}, LABELS)",
    "f.mse_loss({a}, {b})",
    "f.huber_loss({a}, {b})",
    "f.smooth_l1_loss({a}, {b})",
    "f.nll_loss(f.log_softmax({a}, 1), LABELS)",
    "f.binary_cross_entropy_with_logits({a}, f.sigmoid(f.detach({b})))",
]


class Program(NamedTuple):
    """What is drawn; `leaves` are the numbers that it begins with."""

    lines: list[str]
    shape: tuple[int, int]
    seed: int

    def leaves(self, seed: int = 0) -> list[Any]:
        return list(np.random.default_rng(self.seed + seed).normal(size=(LEAVES, *self.shape)))

    def integers(self, words: Any) -> list[Any]:
        """Labels, and which rows `{a}[ROWS]` takes."""
        rows, columns = self.shape
        return [
            words.integers([i * k % n for i in range(rows)]) for k, n in ((1, columns), (2, rows))
        ]

    def ours(self) -> list[Any]:
        return [tg.tensor(array, requires_grad=True) for array in self.leaves()]


class Ours:
    """The words of a program, in this package."""

    join = staticmethod(lambda a, b: tg.concatenate([a, b], axis=1))
    swap = staticmethod(lambda a: tg.swapaxes(a, 0, 1))
    mean = staticmethod(lambda a, axis, keep=False: tg.mean(a, axis=axis, keepdims=keep))
    var = staticmethod(lambda a, axis: tg.var(a, axis=axis, keepdims=True))
    largest = staticmethod(lambda a, axis: tg.max(a, axis=axis))
    detach = staticmethod(lambda a: a.detach())
    integers = staticmethod(tg.tensor)
    logsumexp = staticmethod(lambda a, axis: tg.logsumexp(a, axis=axis))

    def __getattr__(self, name: str) -> Any:
        return getattr(tg.nn.functional, name, None) or getattr(tg, name)


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
        integers = staticmethod(torch.tensor)

        def __getattr__(self, name: str) -> Any:
            return getattr(torch.nn.functional, name, None) or getattr(torch, name)

    return Theirs()


@st.composite
def programs(draw: Any, without: str = "nothing") -> Program:
    """Twenty lines; the last ones are most likely to be read, and the leaves, too."""
    lines = []
    words, losses = ([t for t in texts if without not in t] for texts in (UNARY + BINARY, LOSSES))
    for n in range(LEAVES, LEAVES + LINES + 1):
        some = st.one_of(st.integers(max(0, n - 4), n - 1), st.integers(0, n - 1))
        text = draw(st.sampled_from(words if n < LEAVES + LINES else losses))
        name = f"v{n}" if n < LEAVES + LINES else "loss"
        lines.append(f"{name} = " + text.format(a=f"v{draw(some)}", b=f"v{draw(some)}"))
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 5)))
    return Program(lines, shape, draw(st.integers(0, 999)))


def built(program: Program, words: Any) -> Callable[..., Any]:
    """A function of leaves and integers: the loss, and all results, each with its own weight."""
    rows, columns = program.shape
    names: dict[str, Any] = {"f": words, "R": rows, "C": columns, "H": columns // 2}
    weighted = [f"(v{n} * v{n}).sum() * {0.1 * n:.1f}" for n in range(LEAVES, LEAVES + LINES)]
    arguments = ", ".join(f"v{n}" for n in range(LEAVES))
    body = [*program.lines, f"return loss + {' + '.join(weighted)}"]
    exec("\n    ".join([f"def program({arguments}, LABELS, ROWS):", *body]), names)
    found: Callable[..., Any] = names["program"]
    return found


def some(examples: int, without: str = "nothing") -> Callable[[Any], Any]:
    settings = hypothesis.settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    given = hypothesis.given(programs(without))
    return lambda test: settings(given(test))


def near(found: Any, expected: Any) -> None:
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10 * scale)


@pytest.mark.oracle
@some(150)
def test_values_and_gradients_to_second_order_are_pytorch_s(program: Program) -> None:
    import torch

    mine = program.ours()
    theirs = [torch.tensor(array, requires_grad=True) for array in program.leaves()]
    loss, other = (
        built(program, words)(*leaves, *program.integers(words))
        for words, leaves in ((Ours(), mine), (in_pytorch(), theirs))
    )
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


@pytest.mark.on("cpu")
@some(25)
def test_a_pass_may_be_repeated_beside_garbage_and_by_grad(program: Program) -> None:
    leaves, function = program.ours(), built(program, Ours())
    integers = program.integers(Ours())
    loss = function(*leaves, *integers)
    loss.backward(retain_graph=True)
    once = [None if p.grad is None else host(p.grad).copy() for p in leaves]
    gc.collect()
    loss.backward()
    by_grad = tg.grad(function(*leaves, *integers), leaves, allow_unused=True)
    for p, g, again in zip(leaves, once, by_grad):
        assert (g is None) == (again is None)
        if g is not None:
            np.testing.assert_array_equal(host(p.grad), 2 * g)
            np.testing.assert_array_equal(host(again), g)


@pytest.mark.on("cpu")
@some(20)
def test_captured_it_gives_the_same_bits_while_leaves_change_in_place(program: Program) -> None:
    def descent(captured: bool) -> list[Any]:
        leaves, function = program.ours(), built(program, Ours())

        def step(*integers: Any) -> Any:
            for p in leaves:
                p.grad = None
            loss = function(*leaves, *integers)
            loss.backward()
            return loss

        step, found = tg.capture(step) if captured else step, []
        for _ in range(5):
            found.append(step(*program.integers(Ours())).item())
            found += [None if p.grad is None else host(p.grad).copy() for p in leaves]
            for p in leaves:
                p.data *= 0.9
        return found

    for eager, replayed in zip(descent(False), descent(True), strict=True):
        np.testing.assert_array_equal(eager, replayed)


@pytest.mark.on("cpu")
@some(25, without="detach")  # which differences do not see
def test_gradients_are_those_of_differences(program: Program) -> None:
    leaves, function = program.ours(), built(program, Ours())
    integers = program.integers(Ours())
    function(*leaves, *integers).backward()
    direction = program.leaves(1)
    h = 1e-6

    def at(t: float) -> float:
        moved = [tg.tensor(p.detach().numpy() + t * d) for p, d in zip(leaves, direction)]
        return float(function(*moved, *integers).item())

    expected = sum(
        (host(p.grad) * d).sum() for p, d in zip(leaves, direction) if p.grad is not None
    )
    slopes = [(at(h) - at(-h)) / (2 * h), (at(h / 4) - at(-h / 4)) / (h / 2)]
    error = min(abs(slope - expected) for slope in slopes)  # a kink may be near
    assert error <= 1e-5 * max(1.0, abs(expected))
