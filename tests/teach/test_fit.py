"""Training with a record, through small problems whose answers are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.helpers import host
from tinygrad_opt import nn, optim
from tinygrad_opt.optim import lr_scheduler
from tinygrad_opt.teach import History, evaluate, fit
from tinygrad_opt.teach.fit import penalty

Batches = list[tuple[tg.Tensor, tg.Tensor]]


def line(batches: int = 4) -> Batches:
    """Points of y = 2x − 1."""
    x = np.linspace(-1, 1, 8 * batches, dtype=np.float32).reshape(batches, 8, 1)
    return [(tg.tensor(part), tg.tensor(2 * part - 1)) for part in x]


def classes() -> Batches:
    """Two clouds far apart."""
    rng = np.random.default_rng(0)
    y = np.arange(32) % 2
    x = rng.normal(size=(32, 2)).astype(np.float32) + 6 * y[:, None].astype(np.float32)
    return [(tg.tensor(x[i : i + 8]), tg.tensor(y[i : i + 8])) for i in range(0, 32, 8)]


def test_a_line_is_found() -> None:
    model = nn.Linear(1, 1)
    history = fit(model, line(), optim.SGD(model.parameters(), lr=0.3), epochs=40)
    assert model.weight.item() == pytest.approx(2, abs=1e-3)
    assert model.bias.item() == pytest.approx(-1, abs=1e-3)
    assert history.status == "ok"
    assert list(history.step) == list(range(160))
    assert len(history.loss) == len(history.lr) == 160
    assert set(history.metrics) == {"train_loss"}


def test_the_record_is_what_a_plain_loop_sees() -> None:
    model = nn.Linear(2, 2)
    again = nn.Linear(2, 2)
    again.load_state_dict(model.state_dict())
    history = fit(model, classes(), optim.Adam(model.parameters(), lr=0.1), epochs=2)
    optimizer, losses = optim.Adam(again.parameters(), lr=0.1), []
    for _ in range(2):
        for x, y in classes():
            optimizer.zero_grad()
            loss = nn.CrossEntropyLoss()(again(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert list(history.loss) == losses
    assert history.metrics["train_loss"] == [
        (4, pytest.approx(np.mean(losses[:4]))),
        (8, pytest.approx(np.mean(losses[4:]))),
    ]


def test_accuracy_and_the_test_set_are_noted_each_epoch() -> None:
    model = nn.Linear(2, 2)
    seen: list[tuple[int, float | None]] = []

    def watch(epoch: int, history: History) -> None:
        seen.append((epoch, history.last("test_accuracy")))

    optimizer = optim.Adam(model.parameters(), lr=0.1)
    history = fit(model, classes(), optimizer, epochs=12, test=classes(), on_epoch=watch)
    assert [epoch for epoch, _ in seen] == list(range(1, 13))
    assert history.last("test_accuracy") == evaluate(model, classes())["accuracy"] == 1.0
    assert history.last("test_loss") == evaluate(model, classes())["loss"]
    assert history.last("train_accuracy") == pytest.approx(1.0)


def test_the_scheduler_moves_after_every_update() -> None:
    model = nn.Linear(1, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)
    history = fit(model, line(2), optimizer, epochs=2, scheduler=scheduler)
    assert list(history.lr) == [0.1, 0.05, 0.025, 0.0125]


def test_a_run_that_diverges_ends_and_says_so() -> None:
    model = nn.Linear(1, 1)
    history = fit(model, line(), optim.SGD(model.parameters(), lr=1e4), epochs=50)
    assert history.status == "diverged"
    assert history.stopped_at is not None
    assert len(history.loss) < 50 * 4


def test_nan_is_a_status_of_its_own() -> None:
    model = nn.Linear(1, 1)
    bad = [(tg.tensor([[np.nan]]), tg.tensor([[1.0]]))]
    history = fit(model, bad, optim.SGD(model.parameters(), lr=0.1), epochs=3)
    assert (history.status, history.stopped_at, len(history.loss)) == ("nan", 0, 1)


def test_penalties_are_those_of_the_equation() -> None:
    w = tg.tensor([[1.0, -2.0]], requires_grad=True)
    penalty([w], l1=0.1, l2=0.5).backward()
    assert penalty([w], 0.1, 0.5).item() == pytest.approx(0.1 * 3 + 0.25 * 5)
    np.testing.assert_allclose(host(w.grad), [[0.1 + 0.5, -0.1 - 1.0]], rtol=1e-6)


def test_l2_shrinks_weights_and_leaves_biases_alone() -> None:
    norms = []
    for l2 in (0.0, 1.0):
        tg.manual_seed(0)
        model = nn.Linear(1, 1)
        fit(model, line(), optim.SGD(model.parameters(), lr=0.3), epochs=40, l2=l2)
        norms.append(abs(model.weight.item()))
    assert norms[1] < 0.6 * norms[0]
    constant = [(tg.zeros(8, 1), -tg.ones(8, 1))]
    fit(model, constant, optim.SGD(model.parameters(), lr=0.3), epochs=40, l2=1.0)
    assert model.bias.item() == pytest.approx(-1, abs=1e-3)


def test_evaluation_changes_nothing() -> None:
    model = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))
    model[1].eval()
    before = {name: value.copy() for name, value in model.state_dict().items()}
    first, second = evaluate(model, classes()), evaluate(model, classes())
    assert first == second
    assert [m.training for m in model] == [True, False, True, True]
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize("options", [{"epochs": 0}, {"l1": -1.0}, {"l2": -1e-3}])
def test_senseless_options_are_refused(options: dict[str, float]) -> None:
    model = nn.Linear(1, 1)
    with pytest.raises(ValueError, match="do not make sense"):
        fit(model, line(), optim.SGD(model.parameters(), lr=0.1), **options)


def test_no_batches_are_refused() -> None:
    model = nn.Linear(1, 1)
    with pytest.raises(ValueError, match="0 batches"):
        fit(model, [], optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(ValueError, match="there are no batches"):
        evaluate(model, [])
    assert model.training


WRAPPED: list[Callable[[list[tg.Tensor]], Any]] = [
    lambda params: optim.SAM(optim.SGD(params, lr=0.1)),
    lambda params: optim.ASAM(optim.Adam(params, lr=0.1)),
    lambda params: optim.Lookahead(optim.LBFGS(params)),
    lambda params: optim.Lookahead(optim.SAM(optim.SGD(params, lr=0.1))),
    lambda params: optim.SAM(optim.SkipNonFinite(optim.SGD(params, lr=0.1))),
    lambda params: optim.Accumulate(optim.SGD(params, lr=0.1), k=2),
    lambda params: optim.Lookahead(optim.SophiaG(params, lr=0.1)),
    lambda params: optim.Lookahead(optim.SGDScheduleFree(params, lr=1.0)),
    lambda params: optim.MultiOptimizer(
        [("w", params[0]), ("b", params[1])],
        [
            (lambda name, p: name == "w", lambda group: optim.Adam(group, lr=0.1)),
            (lambda name, p: True, lambda group: optim.SGD(group, lr=0.1)),
        ],
    ),
]


@pytest.mark.parametrize("wrapped", WRAPPED)
def test_every_wrapper_trains(wrapped: Callable[[list[tg.Tensor]], Any]) -> None:
    model = nn.Linear(2, 2)
    history = fit(model, classes(), wrapped(list(model.parameters())), epochs=20)
    assert history.status == "ok"
    assert evaluate(model, classes())["accuracy"] > 0.9


def test_a_closure_runs_the_pass_that_is_there_before_it_computes_another() -> None:
    calls = []
    model = nn.Linear(2, 2)
    model.register_forward_hook(lambda *_: calls.append(1))
    for optimizer, passes in (
        (optim.SGD(model.parameters(), lr=0.1), 4),
        (optim.SAM(optim.SGD(model.parameters(), lr=0.1)), 8),
    ):
        calls.clear()
        history = fit(model, classes(), optimizer, epochs=1)
        assert len(calls) == passes == history.evaluations[-1]


def test_a_scheduler_that_listens_hears_the_test_loss_once_an_epoch() -> None:
    model = nn.Linear(1, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
    worse = [(x, -10 * y) for x, y in line()]  # what is learned makes these worse and worse
    history = fit(model, line(), optimizer, epochs=4, scheduler=scheduler, test=worse)
    assert list(history.lr[::4]) == pytest.approx([0.1, 0.1, 0.01, 0.001])
    assert scheduler.best == history.metrics["test_loss"][0][1]


def test_without_a_test_set_it_hears_the_train_loss_also_inside_another() -> None:
    model = nn.Linear(1, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    plateau = lr_scheduler.ReduceLROnPlateau(optimizer)
    scheduler = lr_scheduler.ChainedScheduler([plateau])
    history = fit(model, line(), optimizer, epochs=3, scheduler=scheduler)
    assert plateau.last_epoch == 3
    assert plateau.best == min(loss for _, loss in history.metrics["train_loss"])


@pytest.mark.parametrize(
    "wrap",
    [
        lambda params: optim.Accumulate(optim.SGD(params, lr=0.1), k=2),
        lambda params: optim.SAM(optim.SGD(params, lr=0.1)),
        lambda params: optim.LBFGS(params, max_iter=3),
    ],
)
def test_the_norm_of_a_gradient_is_that_before_the_update(wrap: Callable[[Any], Any]) -> None:
    model = nn.Linear(2, 2)
    x, y = classes()[0]
    nn.CrossEntropyLoss()(model(x), y).backward()
    expected = np.linalg.norm(host(model.weight.grad))
    model.zero_grad()
    history = fit(model, [(x, y)], wrap(model.parameters()), epochs=2, norms=True)
    assert history.norms["weight"]["grad"][0] == pytest.approx(expected, rel=1e-5)
    assert history.norms["weight"]["grad"].all()


def test_the_norms_are_of_what_the_optimizer_moves() -> None:
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2))
    head = optim.SGD(model[2].parameters(), lr=0.1)  # it clears no gradients but its own
    history = fit(model, classes(), head, epochs=2, norms=True)
    assert set(history.norms) == {"2.weight", "2.bias"}


def test_a_sparse_gradient_has_a_norm() -> None:
    model = nn.Sequential(nn.Embedding(5, 1, sparse=True), nn.Flatten())
    data = [(tg.tensor([[1], [1]]), tg.zeros(2, 1))]
    model[0].weight.data = model[0].weight.data * 0 + 1
    history = fit(model, data, optim.SparseAdam(model.parameters()), epochs=1, norms=True)
    assert history.norms["0.weight"]["grad"][0] == pytest.approx(2)  # the row is there twice


def test_an_accuracy_needs_a_score_for_each_class() -> None:
    x = tg.randn(6, 4)
    one = nn.Linear(4, 1)

    def logistic(p: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
        return nn.functional.binary_cross_entropy_with_logits(p[:, 0], y.float())

    assert set(evaluate(one, [(x, tg.tensor([0, 1, 0, 1, 1, 0]))], logistic)) == {"loss"}
    words, ids = nn.Embedding(5, 5), tg.tensor([[1, 2, 3], [0, 1, 2]])
    words.weight.data = words.weight.device.from_host(np.eye(5, dtype=np.float32))

    def each(p: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
        return nn.functional.cross_entropy(p.reshape(-1, 5), y.reshape(-1))

    assert evaluate(words, [(ids, ids)], each)["accuracy"] == 1.0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"train": (tg.zeros(4, 1), tg.zeros(4, 1))}, "what are no pairs"),
        ({"train": (pair for pair in line())}, "a generator, which cannot be read again"),
        ({"optimizer": "adam"}, "the optimizer is 'adam'"),
        ({"model": "net"}, "the model is 'net'"),
        (
            {"checkpoints": "folder"},
            "^fit: checkpoints is 'folder'. Write Checkpoints\\(folder\\), which says how often.$",
        ),
    ],
)
def test_what_cannot_be_trained_with_is_refused(change: dict[str, Any], sentence: str) -> None:
    model = nn.Linear(1, 1)
    given = {"model": model, "train": line(), "optimizer": optim.SGD(model.parameters(), lr=0.1)}
    with pytest.raises(TypeError, match=sentence):
        fit(**given | change)
