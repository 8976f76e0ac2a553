"""Lint: each mistake is noticed where it is made, and what only looks like one is not.

Order: the loop · the model · the numbers · what is left in peace · the block itself.
"""

from __future__ import annotations

import contextlib
import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.helpers import host
from tinygrad_opt import data, nn, optim
from tinygrad_opt.device import default_device
from tinygrad_opt.nn import functional as F
from tinygrad_opt.optim import lr_scheduler
from tinygrad_opt.teach import Finding, fit
from tinygrad_opt.teach.lint import RULES
from tinygrad_opt.teach.lint.watch import Watcher

ROOT = Path(__file__).parents[2]


def net(*extra: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), *extra, nn.Linear(8, 3))


def batch(n: int = 16, seed: int = 0) -> tuple[tg.Tensor, tg.Tensor]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4)).astype(np.float32)
    return tg.tensor(x), tg.tensor(x[:, :3].argmax(axis=1))


def update(
    model: nn.Module, optimizer: Any, loss: Callable[..., tg.Tensor] = F.cross_entropy
) -> Any:
    """One right update."""
    x, y = batch()
    optimizer.zero_grad()
    value = loss(model(x), y)
    value.backward()
    optimizer.step()
    return value


@contextlib.contextmanager
def expecting(rule: str, *args: Any, times: int = 1) -> Iterator[list[Finding]]:
    """Lint the block, which has to break this rule, in so many places, and no other."""
    with tg.lint(*args) as findings:
        yield findings
    assert [finding.rule for finding in findings] == [rule] * times, "\n".join(map(str, findings))


def peace(*args: Any) -> Any:
    """Lint the block, which has to break no rule."""
    return expecting("", *args, times=0)


# ---- the loop ---------------------------------------------------------------------------------


def test_zero_grad_is_missing() -> None:
    model = net()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with expecting("forgot zero_grad", model, optimizer) as found:
        for _ in range(3):
            F.cross_entropy(model(batch()[0]), batch()[1]).backward()
            optimizer.step()
    assert found[0].level == "error"
    assert found[0].what.startswith("test_lint.py:")
    assert found[0].try_this == "optimizer.zero_grad() before loss.backward()."


def test_gradients_of_small_batches_may_add_up_before_a_step() -> None:
    model = net()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with peace(model, optimizer):
        for _ in range(3):
            optimizer.zero_grad()
            for seed in range(4):
                x, y = batch(seed=seed)
                (F.cross_entropy(model(x), y) / 4).backward()
            optimizer.step()


def test_gradients_set_to_zero_in_place_are_new() -> None:
    model = net()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with peace(model, optimizer):
        for _ in range(3):
            F.cross_entropy(model(batch()[0]), batch()[1]).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)


def test_a_step_without_gradients() -> None:
    model = net()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with expecting("step without new gradients", model, optimizer) as found:
        optimizer.step()
    assert "every gradient is None" in found[0].evidence
    with expecting("step without new gradients", model, optimizer) as found:
        update(model, optimizer)
        optimizer.step()
    assert "those of the step before" in found[0].evidence


def test_a_closure_brings_gradients_along() -> None:
    model = net()
    optimizer = optim.LBFGS(model.parameters())

    def closure() -> tg.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(batch()[0]), batch()[1])
        loss.backward()
        return loss

    with peace(model, optimizer):
        optimizer.step(closure)
        optimizer.step(closure)


def test_what_a_closure_does_is_seen() -> None:
    model = net()
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def closure() -> tg.Tensor:
        loss = F.cross_entropy(model(batch()[0]), batch()[1])
        loss.backward()
        return loss

    with expecting("forgot zero_grad", model, optimizer):
        optimizer.step(closure)
        optimizer.step(closure)


@pytest.mark.filterwarnings("ignore:.*was called before the first")
@pytest.mark.parametrize("make", [lr_scheduler.ExponentialLR, lr_scheduler.StepLR])
def test_the_scheduler_steps_first(make: Any) -> None:
    model = net()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    scheduler = make(optimizer, 0.9) if make is lr_scheduler.ExponentialLR else make(optimizer, 2)
    with expecting("scheduler before optimizer", model, optimizer, scheduler):
        for _ in range(3):
            optimizer.zero_grad()
            F.cross_entropy(model(batch()[0]), batch()[1]).backward()
            scheduler.step()
            optimizer.step()


def test_a_scheduler_in_its_place_and_one_that_resumes() -> None:
    model = net()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.9)
    with peace(model, optimizer, scheduler):
        for _ in range(3):
            update(model, optimizer)
            scheduler.step()
    with peace(model, optimizer, scheduler):
        scheduler.step()
        update(model, optimizer)
    accumulating = optim.Accumulate(optim.SGD(model.parameters(), lr=0.1), k=2)
    scheduler = lr_scheduler.ExponentialLR(optimizer := accumulating.optimizer, 0.9)
    update(model, optimizer)
    with peace(model, accumulating, scheduler):
        for _ in range(4):
            update(model, accumulating)
            scheduler.step()


def test_a_layer_that_is_not_called() -> None:
    model = net()
    model.spare = nn.Linear(2, 2)
    model.forward = lambda x: model[1](model[0](x)) @ model[2].weight.T + model[2].bias  # type: ignore[method-assign]
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with expecting("parameter without gradient", model, optimizer) as found:
        update(model, optimizer)
    assert "spare.weight, spare.bias: no gradient arrived." in found[0].what
    model.spare.requires_grad_(False)
    optimizer = optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    with peace(model, optimizer):
        update(model, optimizer)


def test_a_parameter_that_nobody_moves_and_a_model_that_was_rebuilt() -> None:
    model = net()
    optimizer = optim.SGD(model[0].parameters(), lr=0.1)
    with expecting("parameter not in the optimizer", model, optimizer) as found:
        pass
    assert found[0].evidence == "missing: 2.weight, 2.bias"
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    model = net()
    with expecting("parameter not in the optimizer", model, optimizer, times=2) as found:
        pass
    assert "not the model's" in found[1].what


def test_losses_that_keep_their_graphs() -> None:
    model = net()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    losses = []
    with expecting("graph grows", model, optimizer):
        for _ in range(8):
            losses.append(update(model, optimizer))
    numbers = []
    with peace(model, optimizer):
        for _ in range(8):
            numbers.append(update(model, optimizer).detach())


def test_a_python_loop_over_numbers() -> None:
    model = nn.Linear(4, 1)
    optimizer = optim.SGD(model.parameters(), lr=1e-5)

    def one_by_one(y: tg.Tensor, _: tg.Tensor) -> tg.Tensor:
        total = y[0, 0]
        for _i in range(40):
            for i in range(16):
                total = total + y[i, 0] * 1e-3
        return total

    with expecting("python loop", model, optimizer) as found:
        update(model, optimizer, one_by_one)
    assert "operations on one number" in found[0].evidence


def test_a_loss_that_rises_with_large_steps() -> None:
    model = nn.Linear(4, 3)
    optimizer = optim.SGD(model.parameters(), lr=5.0)
    x, y = batch()
    target = tg.tensor(np.eye(3, dtype=np.float32)[host(y)])
    with expecting("learning rate", model, optimizer) as found:
        for _ in range(8):
            optimizer.zero_grad()
            F.mse_loss(model(x), target).backward()
            optimizer.step()
    assert "the loss rose 3 times running" in found[0].evidence


def test_two_losses_may_share_a_network_that_one_of_them_moves() -> None:
    maker, judge = nn.Linear(2, 4), nn.Linear(4, 1)
    makes, judges = (optim.SGD(m.parameters(), lr=0.01) for m in (maker, judge))
    with peace(judge, judges):
        for _ in range(3):
            fake = maker(tg.randn(8, 2))
            judges.zero_grad()
            F.mse_loss(judge(fake.detach()), tg.zeros(8, 1)).backward()
            judges.step()
            makes.zero_grad()
            F.mse_loss(judge(fake), tg.ones(8, 1)).backward()
            makes.step()


def test_gradients_set_to_zero_before_the_step() -> None:
    model = net()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with expecting("step without new gradients", model, optimizer) as found:
        for _ in range(2):
            F.cross_entropy(model(batch()[0]), batch()[1]).backward()
            optimizer.zero_grad(set_to_none=False)
            optimizer.step()
    assert found[0].evidence == "every gradient was set to 0 after the backward pass"


def test_the_scheduler_steps_twice() -> None:
    model = net()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.9)
    with expecting("scheduler before optimizer", model, optimizer, scheduler) as found:
        for _ in range(3):
            update(model, optimizer)
            scheduler.step()
            scheduler.step()
    assert "moved twice in a row" in found[0].what


def test_model_and_optimizer_in_the_wrong_order() -> None:
    model = net()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(TypeError, match="the model is a SGD"), tg.lint(optimizer, model):  # type: ignore[arg-type]
        pass


# ---- the model --------------------------------------------------------------------------------


class Listed(nn.Module):
    """Layers in a list."""

    def __init__(self, kind: Callable[..., Any]) -> None:
        self.layers = kind([nn.Linear(4, 4), nn.Linear(4, 3)])
        self.head = nn.Linear(3, 3)

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


@pytest.mark.filterwarnings("ignore:.*plain list")
def test_layers_in_a_plain_list() -> None:
    model = Listed(list)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with expecting("layers in a plain list", model, optimizer) as found:
        update(model, optimizer)
    assert found[0].try_this == "nn.ModuleList."
    model = Listed(nn.ModuleList)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with peace(model, optimizer):
        update(model, optimizer)


@pytest.mark.parametrize("hook", [False, True])
def test_dead_relus(hook: bool) -> None:
    model = net()
    if hook:
        model[1].register_forward_hook(lambda *_: None)  # so that it does not run in one pass
    model[0].bias.data = model[0].bias.data - 50
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with expecting("dead relu", model, optimizer) as found:
        for _ in range(25):
            update(model, optimizer)
    assert found[0].evidence == "100% of the relu after 0, in 20 batches"


@pytest.mark.parametrize("relu", [lambda x: x.clip(0, None), lambda x: tg.maximum(x, 0)])
def test_dead_units_of_a_relu_by_hand(relu: Callable[[tg.Tensor], tg.Tensor]) -> None:
    model = net()
    model[0].bias.data = model[0].bias.data - 50
    with expecting("dead relu", model):
        for _ in range(25):
            relu(model[0](batch()[0]))


@pytest.mark.filterwarnings("ignore:.*plain list")
def test_layers_in_tuples_in_a_list() -> None:
    model = net()
    model.pairs = [(nn.Linear(4, 4), nn.ReLU())]
    with expecting("layers in a plain list", model):
        pass


@pytest.mark.parametrize("make", [lambda: nn.Dropout(0.5), lambda: nn.BatchNorm1d(8)])
def test_training_mode_while_evaluating(make: Callable[[], nn.Module]) -> None:
    model = net(layer := make())
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with expecting("training mode while evaluating", model, optimizer) as found:
        update(model, optimizer)
        with tg.no_grad():
            model(batch()[0])
    assert type(layer).__name__.lower() in found[0].what.lower()
    with peace(model, optimizer):
        update(model, optimizer)
        model.eval()
        with tg.no_grad():
            model(batch()[0])
        optim.update_bn([batch()[0]], model)


def test_raw_inputs() -> None:
    model = net()
    optimizer = optim.SGD(model.parameters(), lr=1e-6)
    with expecting("raw input scale", model, optimizer) as found:
        model(batch()[0] * 100)
        model(batch()[0])
    assert found[0].what.endswith("The inputs are not scaled.")


# ---- the numbers ------------------------------------------------------------------------------


def test_softmax_twice() -> None:
    model = net(nn.Linear(8, 8))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with expecting("softmax before cross-entropy", model, optimizer):
        update(model, optimizer, lambda z, y: F.cross_entropy(F.softmax(z), y))
    with expecting("softmax before cross-entropy", model, optimizer):
        loss = nn.CrossEntropyLoss(label_smoothing=0.1)
        update(model, optimizer, lambda z, y: loss(F.softmax(z), y))
    with expecting("softmax before cross-entropy", model, optimizer):
        for _ in range(2):  # made by hand
            update(
                model,
                optimizer,
                lambda z, y: F.cross_entropy(tg.exp(z) / tg.exp(z).sum(axis=1, keepdims=True), y),
            )


def test_log_softmax_before_cross_entropy_is_not_needed() -> None:
    model = net()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with expecting("softmax before cross-entropy", model, optimizer) as found:
        update(model, optimizer, lambda z, y: F.cross_entropy(F.log_softmax(z), y))
    assert found[0].level == "info"
    with peace(model, optimizer):
        update(model, optimizer, lambda z, y: F.nll_loss(F.log_softmax(z), y))


def test_one_class_is_always_a_probability() -> None:
    model = nn.Sequential(nn.Linear(4, 1), nn.Softmax())
    with peace(model):
        for _ in range(3):
            F.cross_entropy(model(batch()[0]), batch()[1] * 0)


def test_probabilities_into_nll() -> None:
    model = net()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with expecting("probabilities into nll", model, optimizer):
        update(model, optimizer, lambda z, y: F.nll_loss(F.softmax(z), y))
    weight = tg.tensor([1.0, 2.0, 3.0])
    with peace(model, optimizer):
        update(model, optimizer, lambda z, y: F.nll_loss(F.log_softmax(z), y, weight))


def test_a_column_against_a_row() -> None:
    model = nn.Linear(4, 1)
    optimizer = optim.SGD(model.parameters(), lr=1e-3)
    row = tg.tensor(np.arange(16, dtype=np.float32))
    with expecting("(N, 1) against (N,)", model, optimizer) as found:
        update(model, optimizer, lambda p, _: ((p - row) ** 2).mean())
    assert "(16, 1) − (16,) gives (16, 16)" in found[0].evidence
    with expecting("(N, 1) against (N,)", model, optimizer):
        update(model, optimizer, lambda p, _: tg.square(row - p).sum())
    with peace(model, optimizer):
        update(model, optimizer, lambda p, _: ((p - row.reshape(16, 1)) ** 2).mean())
        distances = model(batch()[0]) - row  # all against all, and kept
        distances.sum(axis=1)


@pytest.mark.parametrize(
    "loss",
    [
        lambda p, y: (0.5 * (p - y) ** 2).mean(),
        lambda p, y: ((p - y) ** 2).mean(axis=1).mean(),
        lambda p, y: tg.norm(p - y),
    ],
)
def test_a_difference_of_all_against_all_is_followed(loss: Callable[..., tg.Tensor]) -> None:
    with expecting("(N, 1) against (N,)") as found:
        loss(nn.Linear(4, 1)(batch()[0]), tg.zeros(16))
    assert "gives (16, 16)" in found[0].evidence


def test_where_nan_was_made() -> None:
    model = nn.Linear(4, 3)
    with expecting("not finite", model) as found, default_device().errstate(all="ignore"):
        tg.log(model(batch()[0])).sum()
    assert "log makes NaN" in found[0].what
    assert "of 48 values; its input goes from -" in found[0].evidence


def test_an_infinite_gradient_is_told_where_the_operation_was_called() -> None:
    w = tg.zeros(3).requires_grad_()
    with expecting("not finite") as found, default_device().errstate(all="ignore"):
        y = tg.sqrt(w)
        line = sys._getframe().f_lineno - 1
        y.sum().backward()
    assert found[0].what == f"test_lint.py:{line}: The gradient of sqrt makes an infinity."
    assert found[0].evidence == "3 of 3 values; its input goes from 0 to 0"


def test_nan_in_the_data() -> None:
    model = nn.Linear(4, 3)
    x = batch()[0]
    x.data[0, 0] = float("nan")
    with expecting("not finite", model) as found:
        model(x)
    assert found[0].evidence == "an input holds them: 1 of 64 values"


def test_an_infinity_may_be_a_mask() -> None:
    z = batch()[0].requires_grad_()
    with peace(), default_device().errstate(all="ignore"):
        mask = tg.tensor([1.0, 1.0, 0.0, 1.0])
        F.cross_entropy(z + tg.log(mask), batch()[1] * 0).backward()
        F.softmax(tg.where(mask > 0, z, float("-inf")))


def test_float64_among_float32() -> None:
    model = net()
    wide = tg.tensor(np.ones((16, 4)))
    with expecting("float64 among float32", model) as found:
        _ = wide * 2
    assert "multiply computes in float64" in found[0].what
    with peace(model.to("float64")):
        model(wide)


# ---- what is left in peace --------------------------------------------------------------------


@pytest.mark.on("cpu", "cuda")
@pytest.mark.parametrize("name", ["sgd", "adam", "lbfgs", "sophiag"])
def test_fit_is_left_in_peace(name: str) -> None:
    model = net(nn.Dropout(0.2))
    optimizer = optim.get_optimizer(name)(model.parameters(), lr=0.01)
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.99)
    batches = [batch(seed=seed) for seed in range(4)]
    with peace(model, optimizer, scheduler):
        fit(model, batches, optimizer, epochs=3, scheduler=scheduler, test=batches, norms=True)


@pytest.mark.on("cpu", "cuda")
@pytest.mark.parametrize("wrap", [optim.SAM, optim.Lookahead, lambda o: optim.Accumulate(o, 2)])
def test_wrappers_are_left_in_peace(wrap: Any) -> None:
    model = net()
    optimizer = wrap(optim.SGD(model.parameters(), lr=0.1))
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.99)
    batches = [batch(seed=seed) for seed in range(4)]
    with peace(model, optimizer, scheduler):
        fit(model, batches, optimizer, epochs=3, scheduler=scheduler)


def test_fit_with_raw_data_is_not() -> None:
    model = nn.Sequential(nn.Linear(64, 10))
    optimizer = optim.Adam(model.parameters())
    digits = data.load("digits")
    x = digits.x[:64].reshape(64, 64).astype(np.float32) * 16
    with expecting("raw input scale", model, optimizer) as found:
        fit(model, [(tg.tensor(x), tg.tensor(digits.y[:64]))], optimizer, epochs=1)
    assert found[0].what.startswith("test_lint.py:")


LESSONS = sorted(path for path in (ROOT / "examples").glob("[0-9]*.py"))
ON_PURPOSE = {  # lessons that make a mistake to show it
    "06_training_loop": {"forgot zero_grad", "dead relu"},
    "14_is_it_working": {rule.name for rule in RULES},
    "17_second_order": {"not finite"},
    "19_digits": {"learning rate", "dead relu"},
}


class Enough(BaseException):
    """The lesson has trained for a while."""


@pytest.mark.on("cpu")
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_lessons_are_left_in_peace(path: Path, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(path), "--quick"])
    step, count = Watcher.step, iter(range(150))

    def limited(self: Watcher, *args: Any) -> Any:
        if next(count, None) is None:
            raise Enough
        return step(self, *args)

    monkeypatch.setattr(Watcher, "step", limited)
    with contextlib.suppress(Enough), tg.lint() as findings:
        runpy.run_path(str(path), run_name="__main__")
    assert {finding.rule for finding in findings} <= ON_PURPOSE.get(path.stem, set())


@pytest.mark.on("cpu")
def test_the_loops_of_the_readme_are_left_in_peace() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    whole = [block for block in blocks if "import tinygrad_opt" in block]
    elsewhere = ("profile", '"cuda"')  # another that watches, and a GPU
    loops = [one for one in whole if ".backward()" in one and not any(w in one for w in elsewhere)]
    assert loops
    for loop in loops:
        with peace():
            exec(loop, {})


# ---- the block itself -------------------------------------------------------------------------


def test_every_rule_of_the_table_is_there() -> None:
    assert len(RULES) == len({rule.name for rule in RULES}) == 17


def test_a_place_is_reported_once() -> None:
    model = net()
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    with expecting("forgot zero_grad", model, optimizer, times=2):
        for _ in range(3):
            F.cross_entropy(model(batch()[0]), batch()[1]).backward()
            optimizer.step()
        F.cross_entropy(model(batch()[0]), batch()[1]).backward()
        optimizer.step()


def test_the_device_is_as_before_also_after_an_error() -> None:
    device = default_device()
    before = device.xp
    with contextlib.suppress(ZeroDivisionError), tg.lint():
        raise ZeroDivisionError
    assert device.xp is before


def test_the_numbers_are_those_without() -> None:
    losses = []
    for watching in (contextlib.nullcontext, tg.lint):
        tg.manual_seed(3)
        model = net(nn.Dropout(0.5))
        optimizer = optim.Adam(model.parameters(), lr=0.01)
        with watching():
            losses.append([update(model, optimizer).item() for _ in range(5)])
    assert losses[0] == losses[1]


def test_two_cannot_watch_at_once() -> None:
    with tg.profile(show=False), pytest.raises(RuntimeError, match="is watched already"), tg.lint():
        pass
    with tg.lint(), pytest.raises(RuntimeError, match="is watched already"), tg.lint():
        pass
    with tg.lint(), pytest.raises(RuntimeError, match="is watched already"), tg.profile():
        pass


@pytest.mark.on("cpu")
def test_a_captured_step_runs_under_lint() -> None:
    model = net()
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    @tg.capture
    def step(x: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    with peace(model, optimizer):
        losses = [step(*batch()).item() for _ in range(6)]
    assert losses[-1] < losses[0]


@pytest.mark.host
def test_teaching_is_loaded_when_lint_is_first_asked_for() -> None:
    code = (
        "import sys, tinygrad_opt as tg; assert 'tinygrad_opt.teach' not in sys.modules; tg.lint; "
        "assert 'tinygrad_opt.teach' in sys.modules and 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
