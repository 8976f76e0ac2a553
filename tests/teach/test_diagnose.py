"""Diagnoses: planted faults are named, healthy runs are left in peace, nothing is touched."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.helpers import host
from tests.teach.diagnosed_runs import FAULTS, HEALTHY, Run, prepared, sgd
from tinygrad_opt import nn, optim
from tinygrad_opt.data import DataLoader
from tinygrad_opt.random_numbers import generator
from tinygrad_opt.teach import History, diagnose, fit, report
from tinygrad_opt.teach.diagnose import RULES

on_cpu = pytest.mark.on("cpu")


@on_cpu
@pytest.mark.parametrize("run", FAULTS.values(), ids=FAULTS)
def test_the_planted_fault_is_named(run: Run) -> None:
    _, findings = run()
    assert run.fault in [finding.rule for finding in findings], report(findings)


@on_cpu
@pytest.mark.parametrize("run", HEALTHY.values(), ids=HEALTHY)
def test_a_healthy_run_is_left_in_peace(run: Run) -> None:
    history, findings = run()
    assert history.status == "ok"
    assert report(findings).startswith("Nothing was noticed")


@pytest.mark.host
def test_every_rule_has_a_run_that_it_has_to_name() -> None:
    assert {run.fault for run in FAULTS.values()} == set(RULES)
    assert len(FAULTS) >= 30
    assert len(HEALTHY) >= 10


def trained(**options: bool) -> tuple[History, nn.Module, DataLoader]:
    """A small network with everything that a look might change."""
    model = nn.Sequential(
        nn.Linear(13, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)
    )
    batches = DataLoader(prepared("wine")[0], 32)
    return fit(model, batches, optim.Adam(model.parameters()), epochs=2, **options), model, batches


def test_a_diagnosis_changes_nothing() -> None:
    history, model, batches = trained(norms=True)
    model[1].eval()
    before = {name: value.copy() for name, value in model.state_dict().items()}
    gradients = [host(p.grad).copy() for p in model.parameters()]
    draws, position = generator().bit_generator.state, batches.state_dict()
    record = history.to_json()
    diagnose(history, model, batches, test=batches)
    assert [module.training for module in model] == [True, False, True, True, True]
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    for p, gradient in zip(model.parameters(), gradients, strict=True):
        np.testing.assert_array_equal(host(p.grad), gradient)
    assert generator().bit_generator.state == draws
    assert batches.state_dict() == position
    assert history.to_json() == record
    fit(model, batches, optim.SGD(model.parameters(), lr=0.1), epochs=1)  # no hook is left


def test_a_record_alone_tells_something() -> None:
    model = nn.Linear(13, 3)
    batches = DataLoader(prepared("wine")[0], 32)
    history = fit(model, batches, optim.SGD(model.parameters(), lr=1e4), epochs=3)
    assert "learning rate too high" in [finding.rule for finding in diagnose(history)]
    assert diagnose(History()) == []


def test_a_test_set_can_come_later() -> None:
    train, test = (DataLoader(part, None) for part in prepared("digits"))
    wrong = [(x, tg.tensor((host(y) + 1) % 10)) for x, y in test]  # all are beside their labels
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    history = fit(
        model, DataLoader(prepared("digits")[0]), optim.Adam(model.parameters(), 1e-2), epochs=3
    )
    found = diagnose(history, model, train, test=wrong)
    assert "labels do not belong" in [finding.rule for finding in found]


def test_another_loss_is_taken_for_the_batch_and_means_no_first_loss() -> None:
    def hinge(scores: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
        return 1000 * nn.functional.multi_margin_loss(scores, y)

    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    batches = DataLoader(prepared("digits")[0])
    optimizer = optim.Adam(model.parameters(), 3e-3)
    history = fit(model, batches, optimizer, epochs=5, loss=hinge, norms=True)
    assert history.meta["loss"] == "hinge"
    assert diagnose(history, model, batches, loss=hinge) == []


def test_detail_tells_the_size_of_updates_where_norms_are_known() -> None:
    history, _, _ = trained(norms=True)
    assert [f.rule for f in diagnose(history, detail=True)] == ["update ratio"]
    assert diagnose(trained()[0], detail=True) == []
    assert diagnose(history) == []


@on_cpu
def test_errors_come_first_and_read_as_sentences() -> None:
    _, findings = Run("", sgd(2.0))()
    levels = [finding.level for finding in findings]
    assert levels == sorted(levels, key=["error", "warning", "info"].index)
    text = report(findings)
    assert "error: The learning rate is too high. (an update changes a weight matrix by" in text
    assert "    Try: a third of it, gradients that are clipped, or a warmup." in text


def rules(findings: list[tg.teach.Finding]) -> list[str]:
    return [finding.rule for finding in findings]


def regression(times: float) -> tuple[nn.Module, DataLoader]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, 8)).astype(np.float32)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))
    return model, DataLoader((x, (2 * x[:, :1] + x[:, 1:2]) * np.float32(times)))


def test_targets_that_are_not_scaled_are_no_fault_of_the_model() -> None:
    model, batches = regression(1000)
    history = fit(model, batches, optim.Adam(model.parameters(), 1e-2), epochs=8, norms=True)
    found = diagnose(history, model, batches)
    assert found[0].what == "The targets are not scaled."
    assert "cannot overfit one batch" not in rules(found)


def test_a_loss_below_zero_may_fall() -> None:
    def shifted(p: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
        return nn.functional.mse_loss(p, y) - 5

    model, batches = regression(0.3)
    optimizer = optim.Adam(model.parameters(), 1e-2)
    history = fit(model, batches, optimizer, epochs=8, loss=shifted, norms=True)
    assert "learning rate too high" not in rules(diagnose(history))


def test_a_model_may_give_two_things() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Linear(8, 1)

        def forward(self, x: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
            return self.layer(x), x

    def loss(p: tuple[tg.Tensor, tg.Tensor], y: tg.Tensor) -> tg.Tensor:
        return nn.functional.mse_loss(p[0], y)

    model, (_, batches) = Two(), regression(1)
    optimizer = optim.Adam(model.parameters(), 3e-2)
    history = fit(model, batches, optimizer, epochs=20, loss=loss)  # type: ignore[arg-type]
    assert diagnose(history, model, batches, loss=loss) == []  # type: ignore[arg-type]


def test_one_update_is_too_little() -> None:
    model, batches = regression(1)
    history = fit(model, list(batches)[:1], optim.SGD(model.parameters(), lr=0.01), epochs=1)
    assert [f.evidence for f in diagnose(history) if f.rule == "too short"] == ["1 update"]


def test_a_network_that_goes_on_starts_below_a_guess_and_that_is_no_warning() -> None:
    model, batches = nn.Linear(64, 10), DataLoader(prepared("digits")[0])
    optimizer = optim.Adam(model.parameters(), 1e-2)
    fit(model, batches, optimizer, epochs=3)
    found = diagnose(fit(model, batches, optimizer, epochs=2), model, batches)
    assert {f.level for f in found if f.rule == "initial loss"} == {"info"}


def test_a_surface_hardly_walked_on_has_too_low_a_rate() -> None:
    history = tg.teach.trace("rosenbrock", None, "sgd", 50, lr=1e-9)
    assert "learning rate too low" in rules(diagnose(history))


def test_the_optimizer_is_a_function_that_makes_one() -> None:
    model, batches = regression(1)
    with pytest.raises(TypeError, match="the optimizer is a SGD"):
        diagnose(History(), model, batches, optimizer=optim.SGD(model.parameters(), lr=0.1))  # type: ignore[arg-type]


def test_a_penalty_on_the_model_leaves_no_gradients() -> None:
    model, batches = regression(1)

    def loss(p: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
        return nn.functional.mse_loss(p, y) + 1e-3 * model[0].weight.square().sum()

    optimizer = optim.SGD(model.parameters(), lr=1e-4)
    history = fit(model, batches, optimizer, epochs=1, loss=loss)
    optimizer.zero_grad()
    diagnose(history, model, batches, loss=loss)
    assert all(p.grad is None for p in model.parameters())
