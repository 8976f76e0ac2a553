"""Averages of weights: PyTorch's numbers, memory of their own, and everything put back."""

from __future__ import annotations

import copy
import pathlib
import pickle
import re
import runpy
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.helpers import host, share_memory
from tinygrad_opt import nn, optim, tensor
from tinygrad_opt.optim import (
    EMA,
    SGD,
    SWA,
    AveragedModel,
    PolyakAverage,
    get_ema_avg_fn,
    get_ema_multi_avg_fn,
    get_swa_avg_fn,
    get_swa_multi_avg_fn,
    update_bn,
)

ORACLES = pathlib.Path(__file__).parents[1] / "oracles"
ORACLE = SimpleNamespace(**runpy.run_path(str(ORACLES / "record_wrappers.py")))
ARRAYS = dict(np.load(ORACLE.ARRAYS))
OURS = SimpleNamespace(nn=nn)


class Single(nn.Module):
    """One weight."""

    def __init__(self, value: float = 0.0) -> None:
        self.w = nn.Parameter(tensor(np.array([value])))

    def forward(self, x: Any) -> Any:
        return x * self.w


def averages_of(kind: Any, values: Any, **options: Any) -> list[float]:
    """The average after each of these weights."""
    model = Single()
    average = kind(model, **options)
    found = []
    for value in values:
        model.w.data = np.array([float(value)])
        average.update_parameters(model)
        found.append(average.module.w.item())
    assert average.n_averaged == len(values)
    return found


# ---- the formulas -----------------------------------------------------------------------------

WAYS: list[tuple[dict[str, Any], list[float]]] = [
    ({}, [2, 2.5, 3]),
    ({"avg_fn": get_swa_avg_fn()}, [2, 2.5, 3]),
    ({"multi_avg_fn": get_swa_multi_avg_fn()}, [2, 2.5, 3]),
    ({"avg_fn": get_ema_avg_fn(0.9)}, [2, 2.1, 2.29]),
    ({"multi_avg_fn": get_ema_multi_avg_fn(0.9)}, [2, 2.1, 2.29]),
    ({"avg_fn": lambda average, current, n: average * 0 + n}, [2, 1, 2]),
]


@pytest.mark.parametrize(("options", "expected"), WAYS)
def test_two_three_four(options: dict[str, Any], expected: list[float]) -> None:
    np.testing.assert_allclose(averages_of(AveragedModel, [2, 3, 4], **options), expected)


def test_the_classes_give_the_same_sequences() -> None:
    assert averages_of(SWA, [2, 3, 4]) == [2, 2.5, 3]
    assert averages_of(PolyakAverage, [2, 3, 4]) == [2, 2.5, 3]
    np.testing.assert_allclose(averages_of(EMA, [2, 3, 4], decay=0.9), [2, 2.1, 2.29])
    assert averages_of(EMA, [2, 3, 4], decay=0) == [2, 3, 4]
    assert averages_of(EMA, [2, 3, 4], decay=1) == [2, 2, 2]
    assert averages_of(PolyakAverage, [9, 9, 2, 3, 4], start=2) == [9, 9, 2, 2.5, 3]


def test_a_debiased_average_is_one_from_zero_divided_by_its_weight() -> None:
    values, decay = [2.0, 3.0, -4.0, 5.0], 0.9
    a, expected = 0.0, []
    for t, value in enumerate(values, 1):
        a = decay * a + (1 - decay) * value
        expected.append(a / (1 - decay**t))
    np.testing.assert_allclose(averages_of(EMA, values, decay=decay, debias=True), expected)


def test_warmup_forgets_more_at_first() -> None:
    values, a, expected = [2.0, 3.0, -4.0, 5.0, 1.0], 2.0, [2.0]
    for n, value in enumerate(values[1:], 1):
        decay = min(0.3, (1 + n) / (10 + n))
        a = decay * a + (1 - decay) * value
        expected.append(a)
    np.testing.assert_allclose(averages_of(EMA, values, decay=0.3, warmup=True), expected)


@pytest.mark.parametrize("name", ORACLE.AVERAGES)
def test_averages_and_buffers_are_those_of_pytorch(name: str) -> None:
    found = ORACLE.average(OURS, tensor, optim, name)
    expected = ARRAYS[name]
    if name == "ema buffers":  # the last is num_batches_tracked, which PyTorch averages
        assert found[:, -1].tolist() == [1, 2, 3, 4, 5]
        found, expected = found[:, :-1], expected[:, :-1]
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-15)


@pytest.mark.oracle
@pytest.mark.parametrize("name", ORACLE.AVERAGES)
def test_pytorch_as_installed_agrees(name: str) -> None:
    import torch
    from torch.optim import swa_utils

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        theirs = ORACLE.average(torch, torch.tensor, swa_utils, name)
        statistics = ORACLE.statistics(torch, torch.tensor, swa_utils)
    finally:
        torch.set_default_dtype(before)
    ours = ORACLE.average(OURS, tensor, optim, name)
    columns = slice(-1) if name == "ema buffers" else slice(None)
    np.testing.assert_allclose(ours[:, columns], theirs[:, columns], rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(
        ORACLE.statistics(OURS, tensor, optim), statistics, rtol=1e-13, atol=1e-15
    )


# ---- traps ------------------------------------------------------------------------------------


def test_an_average_has_memory_of_its_own() -> None:
    model = nn.Linear(2, 2)
    optimizer = SGD(model.parameters(), lr=0.1)
    model(tensor(np.ones((1, 2), np.float32))).sum().backward()
    average = EMA(model, 0.5)
    for _ in range(3):
        optimizer.step()
        average.update_parameters(model)
        for a, p in zip(average.parameters(), model.parameters(), strict=True):
            assert not share_memory(a, p) and a.grad is None
            assert a.requires_grad
    before = host(model.weight).copy()
    average.module.weight.data[...] = 7.0
    np.testing.assert_array_equal(host(model.weight), before)


def test_an_average_of_numbers_stays_in_their_dtype() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).to("float16")
    average = EMA(model, 0.9, use_buffers=True)
    for _ in range(2):
        average.update_parameters(model)
    assert [t.dtype for t in ORACLE.everything(average.module)] == [
        t.dtype for t in ORACLE.everything(model)
    ]


def test_a_graph_that_needs_old_averages_is_not_trusted() -> None:
    model = Single(3.0)
    average = EMA(model)
    for cause in ("a copy of averages", r"update_parameters\(\)"):
        loss = average(tensor(np.array([2.0]), requires_grad=True)).sum()
        average.update_parameters(model)
        with pytest.raises(RuntimeError, match=cause):
            loss.backward()


def test_averaging_tied_weights_keeps_them_tied() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    average = SWA(model)
    for value in (1.0, 3.0):
        model[0].weight.data = np.full((2, 2), value, np.float32)
        average.update_parameters(model)
    assert average.module[0].weight is average.module[1].weight
    assert average.module[1].weight.tolist() == [[2.0, 2.0]] * 2


def test_another_model_is_refused_and_nothing_changes() -> None:
    model = Single(2.0)
    average = EMA(model, 0.5)
    average.update_parameters(model)
    text = (
        "EMA: this model has 2 arrays of shapes (2, 1), (2,), and the averaged one 1 arrays of "
        "shapes (1,). Average the model that it was made from."
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        average.update_parameters(nn.Linear(1, 2))
    with pytest.raises(ValueError, match="EMA: this model has 2 arrays"):
        average.copy_to(nn.Linear(1, 2))
    assert average.n_averaged == 1 and average.module.w.item() == 2.0


BAD: list[tuple[Any, str]] = [
    (lambda m: EMA(m, decay=1.5), "EMA: decay is 1.5; it has to be between 0 and 1."),
    (lambda m: EMA(m, decay=-0.1), "EMA: decay is -0.1; it has to be between 0 and 1."),
    (lambda m: EMA(m, warmup=True, debias=True), "EMA: warmup and debias both repair the beginn"),
    (lambda m: EMA(m, decay=1, debias=True), "EMA: debias divides by 1 − decay, which is 0."),
    (lambda m: PolyakAverage(m, start=-1), "PolyakAverage: start is -1; it has to be at least 0."),
    (lambda m: get_ema_avg_fn(2.0), "get_ema_avg_fn: decay is 2.0; it has to be between 0 and 1."),
    (
        lambda m: AveragedModel(m, get_swa_avg_fn(), get_swa_multi_avg_fn()),
        "AveragedModel: avg_fn and multi_avg_fn are both given. Choose one.",
    ),
]


@pytest.mark.parametrize(("make", "text"), BAD)
def test_options_out_of_range(make: Any, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        make(Single())


# ---- in the place of the trained model --------------------------------------------------------


def trained() -> tuple[Any, EMA, SGD]:
    model = ORACLE.network(OURS)
    average, optimizer = EMA(model, 0.5), SGD(model.parameters(), lr=0.1, momentum=0.9)
    rng = np.random.default_rng(0)
    for _ in range(3):
        optimizer.zero_grad()
        model(tensor(rng.standard_normal((4, 3)))).square().sum().backward()
        optimizer.step()
        average.update_parameters(model)
    return model, average, optimizer


def test_averages_stand_in_and_the_weights_come_back_to_the_bit() -> None:
    model, average, optimizer = trained()
    before = [host(t).copy() for t in ORACLE.everything(model)]
    x = tensor(np.ones((4, 3)))
    with average.in_place_of(model):
        model.eval()
        np.testing.assert_array_equal(host(model(x)), host(average.eval()(x)))
        model.train()(x)  # moves the running statistics
    for t, array in zip(ORACLE.everything(model), before, strict=True):
        np.testing.assert_array_equal(host(t), array)
    model[0].weight.grad = tensor(np.zeros((2, 3)))
    optimizer.step()
    assert not np.array_equal(host(model[0].weight), before[0]), "momentum goes on"


def test_an_error_inside_brings_them_back_too() -> None:
    model, average, _ = trained()
    before = [host(t).copy() for t in ORACLE.everything(model)]
    with pytest.raises(KeyError), average.in_place_of(model):
        raise KeyError
    for t, array in zip(ORACLE.everything(model), before, strict=True):
        np.testing.assert_array_equal(host(t), array)


def test_averages_can_replace_the_weights() -> None:
    model, average, optimizer = trained()
    average.copy_to(model)
    for a, p in zip(ORACLE.everything(average.module), ORACLE.everything(model), strict=True):
        np.testing.assert_array_equal(host(a), host(p))
        assert not share_memory(a, p)
    optimizer.step()
    assert not np.array_equal(host(average.module[0].weight), host(model[0].weight))


# ---- saving -----------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"warmup": True}, {"debias": True}])
def test_a_resumed_average_has_the_same_bits(options: dict[str, bool]) -> None:
    values = np.random.default_rng(0).standard_normal(30)
    model = Single()
    whole, resumed = EMA(model, 0.9, **options), EMA(Single(), 0.9, **options)
    for i, value in enumerate(values):
        model.w.data = np.array([float(value)])
        whole.update_parameters(model)
        if i == 4:
            resumed.load_state_dict(whole.state_dict())
        if i > 4:
            resumed.update_parameters(model)
    np.testing.assert_equal(resumed.state_dict(), whole.state_dict())
    assert whole.state_dict().keys() == {"n_averaged", "module.w"}
    assert whole.state_dict()["n_averaged"] == 30


def test_copies_and_pickles_go_on_alike() -> None:
    model, average, _ = trained()
    for twin in (copy.deepcopy(average), pickle.loads(pickle.dumps(average))):
        twin.update_parameters(model)
        assert twin.n_averaged == 4 and average.n_averaged == 3
    assert repr(average).startswith("EMA(n_averaged=3\n  Sequential(")


def test_the_state_of_a_plain_model_is_not_an_average() -> None:
    model, average, _ = trained()
    text = "EMA.load_state_dict: n_averaged is missing. Is this the state of a model that is not"
    with pytest.raises(ValueError, match=text):
        average.load_state_dict(model.state_dict())
    with pytest.raises(ValueError, match="Missing"):
        average.load_state_dict({"n_averaged": 7})
    assert average.n_averaged == 3


@pytest.mark.oracle
def test_checkpoints_cross_to_pytorch_and_back() -> None:
    import torch
    from torch.optim.swa_utils import AveragedModel as TorchAveragedModel

    ours = AveragedModel(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)))
    ours.update_parameters(ours.module)
    theirs = TorchAveragedModel(torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)))
    assert list(theirs.state_dict()) == list(ours.state_dict())
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    assert theirs.n_averaged.item() == 1
    ours.load_state_dict(theirs.state_dict())


# ---- batch statistics -------------------------------------------------------------------------


def test_batch_statistics_are_those_of_pytorch() -> None:
    found = ORACLE.statistics(OURS, tensor, optim)
    np.testing.assert_allclose(found, ARRAYS["update_bn"], rtol=1e-13, atol=1e-15)


def test_modes_and_momenta_come_back() -> None:
    _, average, _ = trained()
    average.eval()
    average.module[0].training = True
    batches = [tensor(np.random.default_rng(i).standard_normal((4, 3))) for i in range(3)]
    weight = host(average.module[0].weight).copy()
    update_bn(batches, average)
    assert [m.training for m in average.modules()] == [False, True, False]
    norm = average.module[1]
    assert norm.momentum == 0.1 and norm.num_batches_tracked.item() == 3
    means = [host(average.module[0](x)).mean(axis=0) for x in batches]
    np.testing.assert_allclose(host(norm.running_mean), np.mean(means, axis=0), rtol=1e-12)
    np.testing.assert_array_equal(host(average.module[0].weight), weight)


@pytest.mark.parametrize("batches", [[], [np.ones((4, 3)), "no tensor"]])
def test_after_an_error_the_old_statistics_are_back(batches: list[Any]) -> None:
    model, _, _ = trained()
    loader = [batch if isinstance(batch, str) else tensor(batch) for batch in batches]
    before = [host(t).copy() for t in model.buffers()]
    with pytest.raises((ValueError, TypeError, AttributeError)) as error:
        update_bn(loader, model)
    if not loader:
        assert str(error.value).startswith("update_bn: the loader gave no batches.")
    for buffer, array in zip(model.buffers(), before, strict=True):
        np.testing.assert_array_equal(host(buffer), array)
    assert model[1].momentum == 0.1 and model.training


def test_a_model_without_statistics_is_not_run() -> None:
    update_bn([None], nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)))
