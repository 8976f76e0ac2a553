"""The numbers of an explanation are those of the step, and explaining changes nothing."""

import math
import re
from typing import ClassVar

import numpy as np
import pytest

from tinygrad_opt import Tensor, manual_seed, nn
from tinygrad_opt.optim import (
    OPTIMIZERS,
    SAM,
    SGD,
    Accumulate,
    Adam,
    Lookahead,
    Optimizer,
    SparseAdam,
    before_step,
    clip_grad_norm_,
    get_optimizer,
)
from tinygrad_opt.teach.explain import explain

pytestmark = pytest.mark.on("cpu")

NEEDS_MORE = {"sophiag", "sparseadam"}  # logits, rows: below
RULES = [name for name in OPTIMIZERS if name not in NEEDS_MORE]


def problem(name, shape=(2, 3), **options):
    """A parameter on a slope that differs in every number, its optimizer and its closure."""
    manual_seed(3)
    w = Tensor(np.linspace(-1.0, 2.0, math.prod(shape)).reshape(shape), requires_grad=True)
    b = Tensor(np.array([0.5]), requires_grad=True)
    optimizer = OPTIMIZERS[name](
        [w] if OPTIMIZERS[name].kind.scope == "matrix" or name == "lbfgs" else [b, w], **options
    )
    scale = Tensor(np.arange(1.0, 1.0 + math.prod(shape)).reshape(shape))

    def closure():
        optimizer.zero_grad()
        loss = (scale * (w - 0.3) ** 4).sum() + (b * b).sum()
        loss.backward()
        return loss

    return w, optimizer, closure


def needed(optimizer, closure):
    return closure if type(optimizer).scope == "closure" else None


def flat(value):
    """The numbers in a value, in a row."""
    if isinstance(value, (list, tuple)):
        parts = [flat(one) for one in value if one is not None]
        return np.concatenate(parts) if parts else np.zeros(0)
    return np.asarray(value, float).reshape(-1)


def close(a, b):
    np.testing.assert_allclose(flat(a), flat(b), rtol=1e-12, atol=1e-12)


def test_adam_on_the_bowl_reads_as_in_a_lecture():
    w = Tensor(np.array(3.0), requires_grad=True)
    optimizer = Adam([w], lr=0.1)
    (w * w).backward()
    assert str(explain(optimizer, w)) == (
        "Adam, update 1 of p\n"
        "m: running mean of gradients   v: running mean of squares\n"
        "m ← β₁·m + (1−β₁)·g = 0.9·0 + 0.1·6 = 0.6\n"
        "v ← β₂·v + (1−β₂)·g² = 0.999·0 + 0.001·36 = 0.036\n"
        "m̂ ← m/(1−β₁ᵗ) = 0.6/0.1 = 6\n"
        "v̂ ← v/(1−β₂ᵗ) = 0.036/0.001 = 36\n"
        "p ← p − η·m̂/(√v̂ + ε) = 3 − 0.1·6/(√36 + 1e-8) = 2.9\n"
        "p: 3 → 2.9"
    )


@pytest.mark.parametrize("name", RULES)
def test_every_line_evaluated_again_gives_its_result_and_the_last_is_the_step(name):
    w, optimizer, closure = problem(name)
    for _ in range(3):
        closure()
        explanation = explain(optimizer, w, closure=needed(optimizer, closure))
        assert explanation.lines
        for line in explanation.lines:
            assert line.formula and line.result
            if line.closed:
                close(line.evaluate(), line.value)
        optimizer.step(needed(optimizer, closure))
        close(explanation.new, w.data)
        moved = [line for line in explanation.lines if line.name == "p"]
        if moved:
            index = explanation.index
            close(moved[-1].value, w.data if index is None else w.data[index])
        else:
            close(explanation.old, explanation.new)


def clip(x, *bounds):
    return np.clip(x, *(bounds if len(bounds) == 2 else bounds[0]))


FUNCTIONS = {
    "max": max,
    "min": min,
    "sign": np.sign,
    "sqrt": math.sqrt,
    "abs": abs,
    "where": np.where,
    "clip": clip,
}


def calculated(text):
    """A text of numbers, as a pocket calculator takes it."""
    for sign, python in {
        "·": "*",
        "−": "-",
        "∞": "inf",
        "²": "**2",
        "¹": "**1",
        "⁰": "**0",
        "^": "**",
    }.items():
        text = text.replace(sign, python)
    text = re.sub(r"√([\d.]+(?:e-?\d+)?)", r"sqrt(\1)", text).replace("√", "sqrt")
    text = re.sub(r"\|([^|]*)\|", r"abs(\1)", text).replace("0.5**0.5", "sqrt(0.5)")
    return eval(text, {**FUNCTIONS, "inf": math.inf})


@pytest.mark.parametrize(
    "name", [n for n in RULES if OPTIMIZERS[n].kind.scope in ("elementwise", "global")]
)
def test_the_printed_numbers_with_all_their_digits_give_the_result(name):
    w, optimizer, closure = problem(name)
    closure()
    optimizer.step()
    closure()
    checked = 0
    for line in explain(optimizer, w, (1, 2)).lines:
        if "[" not in line.exact and "⟨" not in line.exact:
            close(calculated(line.exact), line.value)
            checked += 1
    assert checked


def contents(optimizer, w):
    """Everything that a step can change, in plain values."""
    state = {
        i: {k: np.copy(v) if hasattr(v, "shape") else v for k, v in optimizer.state_of(p).items()}
        for i, p in enumerate(optimizer.parameters())
    }
    groups = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    return [p.data.copy() for p in optimizer.parameters()], state, groups


def same(a, b):
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            same(one, other)
    else:
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", RULES)
def test_explaining_changes_nothing_to_the_bit(name):
    runs = []
    for explained in (False, True):
        w, optimizer, closure = problem(name)
        for _ in range(3):
            closure()
            if explained:
                before = w.data, w.grad, w.grad.data, w._home, list(optimizer.param_groups)
                explain(optimizer, w, closure=needed(optimizer, closure))
                after = w.data, w.grad, w.grad.data, w._home, list(optimizer.param_groups)
                for one, other in zip(before[:4], after[:4], strict=True):
                    assert one is other
            optimizer.step(needed(optimizer, closure))
        runs.append(contents(optimizer, w))
    same(*runs)


@pytest.mark.parametrize("engine", ["reference", "blocks"])
def test_it_explains_what_other_engines_do(engine):
    w, optimizer, closure = problem("adamw", engine=engine)
    closure()
    explanation = explain(optimizer, w)
    assert optimizer.engine == engine
    optimizer.step()
    close(explanation.new, w.data)


def test_it_shows_the_number_with_the_largest_gradient_or_the_one_asked_for():
    w, optimizer, closure = problem("sgd")
    closure()
    largest = np.unravel_index(abs(w.grad.data).argmax(), w.shape)
    assert explain(optimizer, w).index == tuple(map(int, largest))
    line = explain(optimizer, w, (0, 1)).lines[-1]
    assert line.values["p"] == w.data[0, 1]
    assert explain(optimizer, w, (-1, -1)).index == (1, 2)


def test_whole_arrays_are_shown_by_shape_and_norm():
    w, optimizer, closure = problem("muon")
    closure()
    text = str(explain(optimizer, w))
    assert "⟨2×3, norm" in text and "newton_schulz" in text


def test_decay_and_climbing_come_first():
    w = Tensor(np.array(3.0), requires_grad=True)
    optimizer = SGD([w], lr=0.1, weight_decay=0.1, maximize=True)
    (w * w).backward()
    assert str(explain(optimizer, w)).splitlines()[1:-1] == [
        "λ: weight decay",
        "in prelude:",
        "  g ← −g = −6",
        "  g ← g + λ·p = −6 + 0.1·3 = −5.7",
        "in rule:",
        "  p ← p − η·g = 3 − 0.1·(−5.7) = 3.57",
    ]


def test_rows_of_a_table():
    manual_seed(0)
    table = nn.Embedding(5, 2, sparse=True)
    optimizer = SparseAdam(table.parameters(), lr=0.1)
    (table(Tensor(np.array([3, 1]))) ** 2).sum().backward()
    w = table.weight
    before = w.data.copy()
    explanation = explain(optimizer, w, (3, 1))
    np.testing.assert_array_equal(w.data, before)
    optimizer.step()
    np.testing.assert_array_equal(explanation.new, w.data)
    assert explanation.lines[-1].value == w.data[3, 1]
    with pytest.raises(RuntimeError, match="row 0 has no gradient"):
        (table(Tensor(np.array([3, 1]))) ** 2).sum().backward()
        explain(optimizer, w, (0, 1))


def test_curvature_of_drawn_labels():
    manual_seed(0)
    model = nn.Linear(3, 4)
    x, y = Tensor(np.eye(3, dtype=np.float32)), Tensor(np.array([0, 1, 2]))
    optimizer = get_optimizer("sophiag")(model.parameters())

    def closure():
        optimizer.zero_grad()
        logits = model(x)
        loss = nn.functional.cross_entropy(logits, y)
        loss.backward()
        return loss, logits

    explanation = explain(optimizer, model.weight, closure=closure)
    optimizer.step(closure)
    np.testing.assert_array_equal(explanation.new, model.weight.data)


@pytest.mark.parametrize("around", [SAM, Lookahead])
def test_inside_a_wrapper_the_inner_rule_is_explained(around):
    def make():
        w = Tensor(np.array([3.0, 1.0]), requires_grad=True)
        return w, around(SGD([w], lr=0.1, momentum=0.9))

    results = []
    for explained in (True, False):
        w, optimizer = make()

        def closure(w=w, optimizer=optimizer):
            optimizer.zero_grad()
            loss = (w * w).sum()
            loss.backward()
            return loss

        for _ in range(7):
            if explained:
                explanation = explain(optimizer, w, closure=closure)
                assert explanation.around == [around.__name__]
            optimizer.step(closure)
            if explained:
                np.testing.assert_array_equal(explanation.new, w.data)
        results.append(w.data.copy())
    np.testing.assert_array_equal(*results)


class Own(Optimizer):
    state: ClassVar = {"m": "m"}

    def __init__(self, params, lr=0.1, beta=0.5):
        super().__init__(params, {"lr": lr, "beta": beta})


class InPlace(Own):
    @staticmethod
    def rule(xp, p, g, m, *, lr, beta):
        m = beta * m
        m += (1 - beta) * g
        p -= lr * m
        return p, m


# What stands on one line on purpose is no style of ours.
# fmt: off
class OnOneLine(Own):
    @staticmethod
    def rule(xp, p, g, m, *, t, lr, beta):
        if t == 1: m = g  # noqa: E701, SIM108
        else: m = beta * m + (1 - beta) * g  # noqa: E701
        m: object = m * 1.0; d = lr * m  # noqa: E702
        return p - d, m
# fmt: on


class Named(Own):
    @staticmethod
    def rule(xp, p, g, m, *, lr, beta):
        return p - lr * (m := beta * m + (1 - beta) * g), m


class Lambda(Own):
    rule = staticmethod(lambda xp, p, g, m, *, lr, beta: (p - lr * (beta * m + g), beta * m + g))


def explained_twice(kind):
    w = Tensor(np.array(3.0), requires_grad=True)
    optimizer = kind([w])
    for _ in range(2):
        optimizer.zero_grad()
        (w * w).backward()
        explanation = explain(optimizer, w)
        optimizer.step()
        close(explanation.new, w.data)
    return str(explanation).splitlines()[1:-1]


def test_rules_of_ones_own_however_they_are_written():
    assert explained_twice(InPlace) == [
        "m ← β·m = 0.5·3 = 1.5",
        "m ← m + (1−β)·g = 1.5 + 0.5·5.4 = 4.2",
        "p ← p − η·m = 2.7 − 0.1·4.2 = 2.28",
    ]
    assert explained_twice(OnOneLine) == [
        "m ← β·m + (1−β)·g = 0.5·6 + 0.5·4.8 = 5.4",
        "m ← m·1 = 5.4·1 = 5.4",
        "d ← η·m = 0.1·5.4 = 0.54",
        "p ← p − d = 2.4 − 0.54 = 1.86",
    ]
    assert explained_twice(Named)[0] == "m ← β·m + (1−β)·g = 0.5·3 + 0.5·5.4 = 4.2"
    assert explained_twice(Lambda)[0] == "p ← p − η·(β·m + g) = 2.4 − 0.1·(0.5·6 + 4.8) = 1.62"


def test_a_rule_without_a_source_says_so():
    made = {"Own": Own}
    exec(
        "class Made(Own):\n    state = {}\n    @staticmethod\n"
        "    def rule(xp, p, g, *, lr): return p - lr * g",
        made,
    )
    (line,) = explained_twice(made["Made"])
    assert line.startswith("the source of rule cannot be read")


def test_hooks_before_the_step_are_rehearsed():
    w = Tensor(np.array([3.0, 1.0]), requires_grad=True)
    optimizer = SGD([w], lr=0.1)
    optimizer.register_step_pre_hook(before_step(clip_grad_norm_, max_norm=1.0))
    optimizer.register_step_post_hook(lambda *_: None)
    (100 * w * w).sum().backward()
    gradient = w.grad
    explanation = explain(optimizer, w)
    assert w.grad is gradient and gradient.data[0] == 600
    optimizer.step()
    np.testing.assert_array_equal(explanation.new, w.data)
    text = str(explanation)
    assert "hooks before the step have changed the gradients" in text
    assert "not shown: hooks that are called after the step" in text


def test_what_moves_or_holds_a_parameter_besides_the_rule_is_said():
    for around, words in [
        (lambda o: Lookahead(o, k=1), "then Lookahead goes back, after every 1 steps"),
        (lambda o: Accumulate(o, k=2), "1 of 2 are in, so nothing moves"),
    ]:
        w = Tensor(np.array([3.0, 1.0]), requires_grad=True)
        optimizer = around(SGD([w], lr=0.1))
        (w * w).sum().backward()
        assert words in str(explain(optimizer, w))


def test_hooks_after_the_step_are_left_alone():
    w, optimizer, closure = problem("sgd")
    calls = []
    optimizer.register_step_post_hook(lambda *_: calls.append(1))
    closure()
    explain(optimizer, w)
    assert calls == []
    optimizer.step()
    assert calls == [1]


def test_what_cannot_be_explained_is_said():
    w, optimizer, closure = problem("sgd")
    with pytest.raises(RuntimeError, match=r"explain: p has no gradient.*Call loss.backward"):
        explain(optimizer, w)
    closure()
    with pytest.raises(ValueError, match="is no parameter of this SGD"):
        explain(optimizer, Tensor([1.0], requires_grad=True))
    with pytest.raises(ValueError, match=r"explain: p of shape \(2, 3\) has no number at 7"):
        explain(optimizer, w, 7)
    with pytest.raises(TypeError, match=r"explain: the index is 'a'\. Give one whole number"):
        explain(optimizer, w, "a")
    for wrong in (None, "w"):
        with pytest.raises(TypeError, match=r"explain: the parameter is a (NoneType|str)\. Pass"):
            explain(optimizer, wrong)
    assert str(explain(optimizer, w, (np.int64(1), 0))).startswith("SGD, update 1 of p[1, 0]")
    w, optimizer, closure = problem("newton")
    closure()
    with pytest.raises(TypeError, match=r"Newton\.step: second derivatives need"):
        explain(optimizer, w)
    optimizer.step(closure)
