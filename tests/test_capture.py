"""A captured step does what the eager one does, to the bit, or says why it cannot."""

from __future__ import annotations

import gc
import random
import re
import threading
import time
import tracemalloc
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.helpers import host
from tests.ops.op_table import TABLE, Case
from tinygrad_opt import Tensor, nn, optim, tensor
from tinygrad_opt.nn import functional as F
from tinygrad_opt.operation import wrap
from tinygrad_opt.optim import lr_scheduler

pytestmark = pytest.mark.on("cpu")

Step = Callable[..., Any]
Trainer = tuple[Step, Any, Any]
Make = Callable[[], Trainer]
CALLS = 12


def same(a: Any, b: Any) -> None:
    """Equal to the bit, in nested structures too."""
    if isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for one, other in zip(a, b):
            same(one, other)
    elif isinstance(a, Tensor):
        same(host(a), host(b))
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_array_equal(a, b)
    else:
        assert a == b or (a != a and b != b)


def race(make: Make, batches: list[Any], replays: bool = True) -> Any:
    """Train eagerly and captured from one start; all that is there to compare is equal."""
    found = []
    for captured in (False, True):
        tg.manual_seed(1)
        step, model, optimizer = make()
        if captured:
            step = tg.capture(step)
        losses = [step(*batch) for batch in batches]
        gradients = [None if p.grad is None else host(p.grad) for p in model.parameters()]
        state = optimizer.state_dict() if optimizer else None
        found.append((losses, model.state_dict(), state, gradients))
        if captured and replays:
            assert step.calls
    same(found[0], found[1])
    return step


def batches_of(*draws: Callable[[], Tensor], n: int = CALLS) -> list[Any]:
    tg.manual_seed(7)
    return [tuple(draw() for draw in draws) for _ in range(n)]


def trainer(model: Any, optimizer: Any, loss_of: Any, scheduler: Any = None) -> Trainer:
    def step(x: Tensor, y: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        return loss

    return step, model, optimizer


def regression(n: int = 8) -> list[Any]:
    return batches_of(lambda: tg.randn(n, 6), lambda: tg.randn(n, 3))


def classification(n: int = 8) -> list[Any]:
    return batches_of(lambda: tg.randn(n, 6), lambda: tg.randint(0, 3, (n,)))


# ---- training -----------------------------------------------------------------------------------

OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.05),
    "momentum": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "Adam": lambda p: optim.Adam(p, lr=0.01),
    "AdamW": lambda p: optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "Lookahead": lambda p: optim.Lookahead(optim.SGD(p, lr=0.05)),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.01),
}
SCHEDULES = {
    "none": lambda o: None,
    "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, 10),
    "sequence": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o), lr_scheduler.ExponentialLR(o, 0.9)], milestones=[4]
    ),
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_is_the_same_to_the_bit(name: str, schedule: str) -> None:
    def make() -> Trainer:
        model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
        optimizer = OPTIMIZERS[name](model.parameters())
        return trainer(model, optimizer, nn.CrossEntropyLoss(), SCHEDULES[schedule](optimizer))

    race(make, classification())


def _embedding() -> nn.Module:
    return nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), nn.Linear(24, 3))


NETWORKS = {
    "tiny": lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)),
    "no bias": lambda: nn.Sequential(nn.Linear(6, 4, bias=False), nn.ReLU(), nn.Linear(4, 3)),
    "dropout": lambda: nn.Sequential(nn.Linear(6, 9), nn.Dropout(0.4), nn.Linear(9, 3)),
    "batch norm": lambda: nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)),
    "average of batches": lambda: nn.Sequential(
        nn.Linear(6, 4), nn.BatchNorm1d(4, momentum=None), nn.Linear(4, 3)
    ),
    "layer norm": lambda: nn.Sequential(nn.Linear(6, 4), nn.LayerNorm(4), nn.Linear(4, 3)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_learn_the_same_to_the_bit(name: str) -> None:
    def make() -> Trainer:
        model = NETWORKS[name]()
        return trainer(model, optim.Adam(model.parameters(), lr=0.01), nn.MSELoss())

    race(make, regression())


def test_embeddings_learn_the_same_to_the_bit() -> None:
    def make() -> Trainer:
        model = _embedding()
        return trainer(model, optim.Adam(model.parameters(), lr=0.01), nn.CrossEntropyLoss())

    race(make, batches_of(lambda: tg.randint(0, 10, (8, 6)), lambda: tg.randint(0, 3, (8,))))


@pytest.mark.slow
def test_a_medium_network_learns_the_same_to_the_bit() -> None:
    def make() -> Trainer:
        model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
        return trainer(model, optim.Adam(model.parameters()), nn.CrossEntropyLoss())

    race(make, batches_of(lambda: tg.randn(64, 784), lambda: tg.randint(0, 10, (64,)), n=6))


ACTIVATIONS = [
    "ELU", "GELU", "Hardsigmoid", "Hardswish", "Hardtanh", "Identity", "LeakyReLU", "LogSigmoid",
    "LogSoftmax", "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softmax", "Softplus", "Tanh",
]  # fmt: skip


@pytest.mark.parametrize("name", [a for a in ACTIVATIONS if hasattr(nn, a)])
def test_activations_learn_the_same_to_the_bit(name: str) -> None:
    def make() -> Trainer:
        kind = getattr(nn, name)
        layer = kind(dim=1) if "oftmax" in name else kind()
        model = nn.Sequential(nn.Linear(6, 4), layer, nn.Linear(4, 3))
        return trainer(model, optim.SGD(model.parameters(), lr=0.05), nn.MSELoss())

    race(make, regression())


def _signs() -> Tensor:
    return (tg.randint(0, 2, (8, 3)) * 2 - 1).to("float32")


LOSSES: dict[str, Any] = {
    "MSELoss": (nn.MSELoss, lambda: tg.randn(8, 3)),
    "L1Loss": (nn.L1Loss, lambda: tg.randn(8, 3)),
    "SmoothL1Loss": (nn.SmoothL1Loss, lambda: tg.randn(8, 3)),
    "HuberLoss": (nn.HuberLoss, lambda: tg.randn(8, 3)),
    "CrossEntropyLoss": (nn.CrossEntropyLoss, lambda: tg.randint(0, 3, (8,))),
    "smooth labels": (
        lambda: nn.CrossEntropyLoss(label_smoothing=0.1),
        lambda: tg.randint(0, 3, (8,)),
    ),
    "soft labels": (nn.CrossEntropyLoss, lambda: F.softmax(tg.randn(8, 3))),
    "ignored labels": (
        lambda: nn.CrossEntropyLoss(ignore_index=1),
        lambda: tg.randint(0, 3, (8,)),
    ),
    "BCEWithLogitsLoss": (nn.BCEWithLogitsLoss, lambda: tg.rand(8, 3)),
    "HingeLoss": (lambda: F.hinge_loss, _signs),
    "HingeEmbeddingLoss": (lambda: F.hinge_embedding_loss, _signs),
    "MultiMarginLoss": (lambda: F.multi_margin_loss, lambda: tg.randint(0, 3, (8,))),
    "KLDivLoss": (lambda: F.kl_div, lambda: F.softmax(tg.randn(8, 3))),
    "NLLLoss": (lambda: F.nll_loss, lambda: tg.randint(0, 3, (8,))),
    "BCELoss": (
        lambda: lambda z, y: F.binary_cross_entropy(F.sigmoid(z), y),
        lambda: tg.rand(8, 3),
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_learn_the_same_to_the_bit(name: str) -> None:
    kind, target = LOSSES[name]

    def make() -> Trainer:
        model = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3))
        return trainer(model, optim.SGD(model.parameters(), lr=0.05), kind())

    race(make, batches_of(lambda: tg.randn(8, 6), target))


STEPS: dict[str, Any] = {}


def a_step(make: Any) -> Any:
    STEPS[make.__name__] = make
    return make


@a_step
def two_losses(model: Any, optimizer: Any) -> Step:
    def step(x: Tensor, y: Tensor) -> dict[str, Tensor]:
        optimizer.zero_grad()
        first = F.mse_loss(model(x), y)
        second = model(x).abs().mean()
        first.backward()
        (0.1 * second).backward()
        optimizer.step()
        return {"first": first, "second": second}

    return step


@a_step
def shared_weights(model: Any, optimizer: Any) -> Step:
    def step(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        optimizer.zero_grad()
        h = x @ model.weight.T
        loss = ((h @ model.weight - x) ** 2).mean() + (h - y).square().mean()
        loss.backward()
        optimizer.step()
        return loss, h

    return step


@a_step
def clipping(model: Any, optimizer: Any) -> Step:
    def step(x: Tensor, y: Tensor) -> list[Tensor]:
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        norm = optim.clip_grad_norm_(model.parameters(), 0.5)
        optim.l1_(model.parameters(), 1e-3)
        optim.clip_grad_value_(model.parameters(), 0.1)
        optimizer.step()
        optim.max_norm_(model.parameters(), 0.9)
        return [loss, norm]

    return step


@a_step
def by_hand(model: Any, optimizer: Any) -> Step:
    def step(x: Tensor, y: Tensor) -> Tensor:
        model.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        with tg.no_grad():
            for p in model.parameters():
                p -= 0.1 * p.grad
            model.weight[0, 0] = 0.0
        return loss

    return step


@a_step
def zeros_instead_of_none(model: Any, optimizer: Any) -> Step:
    def step(x: Tensor, y: Tensor) -> Tensor:
        optimizer.zero_grad(set_to_none=False)
        loss = F.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


@a_step
def gradients_cleared_at_the_end(model: Any, optimizer: Any) -> Step:
    def step(x: Tensor, y: Tensor) -> Tensor:
        loss = F.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return step


@a_step
def accumulation(model: Any, optimizer: Any) -> Step:
    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        for half in (slice(0, 4), slice(4, 8)):
            F.mse_loss(model(x[half]), y[half]).backward()
        optimizer.step()

    return step


@a_step
def gradient_penalty(model: Any, optimizer: Any) -> Step:
    def step(x: Tensor, y: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        g = tg.grad(loss, model.weight, create_graph=True)
        loss = loss + 0.1 * (g * g).sum()
        loss.backward()
        optimizer.step()
        return loss

    return step


@a_step
def hooks_and_detours(model: Any, optimizer: Any) -> Step:
    def step(x: Tensor, y: Tensor) -> Tensor:
        optimizer.zero_grad()
        h = model(x)
        h.register_hook(lambda g: g.clip(-0.01, 0.01))
        with tg.no_grad():
            scale = h.abs().max()
        loss = F.mse_loss(h / scale, y) + (h.detach() * h).mean()
        loss.backward()
        optimizer.step()
        return loss

    return step


@pytest.mark.parametrize("name", STEPS)
def test_steps_of_many_kinds_are_the_same_to_the_bit(name: str) -> None:
    def make() -> Trainer:
        model = nn.Linear(6, 3)
        optimizer = optim.Adam(model.parameters(), lr=0.01)
        return STEPS[name](model, optimizer), model, optimizer

    race(make, regression())


def test_averages_follow_the_weights() -> None:
    averages = []

    def make() -> Trainer:
        model = nn.Linear(6, 3)
        optimizer, average = optim.SGD(model.parameters(), lr=0.1), optim.EMA(model, 0.9)
        averages.append(average)
        plain, *_ = trainer(model, optimizer, nn.MSELoss())

        def step(x: Tensor, y: Tensor) -> Any:
            loss = plain(x, y)
            average.update_parameters(model)
            return loss

        return step, model, optimizer

    race(make, regression())
    same(averages[0].state_dict(), averages[1].state_dict())


# ---- operations ---------------------------------------------------------------------------------


@pytest.mark.parametrize("case", TABLE, ids=str)
def test_every_operation_is_replayed_to_the_bit_or_refused(case: Case) -> None:
    random_numbers = np.random.default_rng(3)

    def fresh() -> list[Tensor]:
        return [tensor(draw.make(random_numbers)) for draw in case.draws]

    leaves = [tensor(a, requires_grad=case.gradient and a.dtype.kind == "f") for a in case.arrays()]

    def f(*inputs: Tensor) -> Any:
        taken = [x * 1 + 0 * leaf if leaf.requires_grad else x for x, leaf in zip(inputs, leaves)]
        for leaf in leaves:
            leaf.grad = None
        y = case.call(*taken)
        results = list(y) if isinstance(y, (list, tuple)) else [y]
        for r in results:
            if r.requires_grad:
                r.sum().backward()
        return [r.detach() for r in results]

    captured = tg.capture(f)
    inputs = [fresh() for _ in range(4)]
    eager = []
    for given in inputs:
        eager.append((f(*given), [None if x.grad is None else x.grad.numpy() for x in leaves]))
    for given, (results, gradients) in zip(inputs, eager):
        try:
            found = captured(*given)
        except RuntimeError as error:
            assert re.match(f"capture: .*({REFUSED[case.operation]})", str(error)), error
            return
        same(results, found)
        same(gradients, [None if x.grad is None else x.grad.numpy() for x in leaves])
    assert captured.calls or not case.draws


REFUSED = {  # by name: what becomes an index in Python, and shapes that depend on data
    "repeat": "reads a number",
    "getitem": "from Python data|depends on the data",
    "take": "from Python data",
    "dropout": "can use case.params",
}


# ---- bad input ----------------------------------------------------------------------------------


class Counter:
    def __init__(self) -> None:
        self.count, self.factor = 0, 1.0


COUNTER = Counter()
SEEN: list[Any] = []


def _appends(x: Tensor) -> Tensor:
    SEEN.append(x.sum())
    return x


def _counts(x: Tensor) -> Tensor:
    COUNTER.count += 1
    return x * 2


def _prints(x: Tensor) -> Tensor:
    print("hello")
    return x * 2


def _reads(x: Tensor) -> Any:
    return x * x.sum().item()


def _decides(x: Tensor) -> Tensor:
    return x if x.sum() > 0 else -x


def _draws_in_python(x: Tensor) -> Tensor:
    return x * random.random()


def _draws(x: Tensor) -> Tensor:
    return x * tg.randn(3)


def _looks_at_the_clock(x: Tensor) -> Tensor:
    return x * time.perf_counter()


def _makes_data(x: Tensor) -> Tensor:
    return x * tensor([1.0, 2.0, 3.0])


def _returns_a_number(x: Tensor) -> Any:
    return x.sum(), 3.0


def _turns_into_an_array(x: Tensor) -> Any:
    return np.asarray(x.numpy())


def _loops_by_data(x: Tensor) -> Tensor:
    for _ in range(int(x.sum())):
        x = x + 1
    return x


def _steps_with_a_closure(x: Tensor) -> None:
    DESCENT.step(lambda: (LEAF * x).sum())


def _makes_an_optimizer(x: Tensor) -> None:
    optim.SGD([LEAF], lr=0.1)


def _seeds(x: Tensor) -> Tensor:
    tg.manual_seed(0)
    return F.dropout(x)


def _sharpens(x: Tensor) -> None:
    SHARP.step(lambda: (LEAF * x).sum())


def _freezes(x: Tensor) -> Tensor:
    LEAF.requires_grad_(not LEAF.requires_grad)
    return x * 2


def _hooks(x: Tensor) -> Tensor:
    LEAF.register_hook(lambda g: g * 2)
    return x * 2


def _gives_data(x: Tensor) -> None:
    DATA.data = np.ones(3)


def _loads(x: Tensor) -> None:
    LINEAR.load_state_dict({"weight": np.ones((1, 3)), "bias": np.ones(1)})


def _writes_into_its_argument(x: Tensor) -> None:
    x[0] = 5.0


def _iterates(x: Tensor) -> Tensor:
    return x * next(ITERATOR)


def _decides_by_chance(x: Tensor) -> Tensor:
    return x if GENERATOR.random() < 2 else -x


def _decides_by_numpy_s_chance(x: Tensor) -> Tensor:
    return x if np.random.rand() < 2 else -x  # noqa: NPY002


def _uses_a_hidden_tensor(x: Tensor) -> Tensor:
    return x * HIDDEN()


def _formats(x: Tensor) -> Tensor:
    text = f"{x.sum():.3f}"
    return x if text else -x


LEAF = tensor([1.0, 2.0, 3.0], requires_grad=True)
DATA = tensor([1.0, 2.0, 3.0])
LINEAR = nn.Linear(3, 1)
HIDDEN = weakref.ref(DATA)
ITERATOR = iter([2.0] * 9)
GENERATOR = np.random.default_rng(0)
DESCENT = optim.SGD([LEAF], lr=0.1)
SHARP = optim.SAM(optim.SGD([tensor([1.0], requires_grad=True)], lr=0.1))


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (_appends, "it changes SEEN"),
        (_counts, "it changes COUNTER.count"),
        (_prints, r"print\(\) in _prints, line"),
        (_reads, r"reads a number in Python, by item\(\)"),
        (_decides, "reads a number in Python, by if or while|by item"),
        (_draws_in_python, r"Random.random\(\) in _draws_in_python"),
        (_draws, "makes an array of shape .* from Python data|it draws random numbers"),
        (_iterates, "it can use ITERATOR, a list_iterator, which may give other numbers"),
        (_decides_by_chance, "it can use GENERATOR, a Generator"),
        (_decides_by_numpy_s_chance, "np.random in _decides_by_numpy_s_chance"),
        (_looks_at_the_clock, r"perf_counter\(\) in _looks_at_the_clock"),
        (_makes_data, "makes an array of shape .* from Python data"),
        (_returns_a_number, "returns a float"),
        (_turns_into_an_array, "reads a number in Python, by turning it into a NumPy array"),
        (_loops_by_data, "reads a number in Python"),
        (_steps_with_a_closure, r"SGD.step\(\) is given a closure"),
        (_sharpens, r"SAM.step\(\) is given a closure"),
        (_makes_an_optimizer, "reads a number in Python|of the optimizers"),
        (_seeds, "gives a Generator"),
        (_freezes, "it freezes, unfreezes or hooks a tensor"),
        (_hooks, "it freezes, unfreezes or hooks a tensor"),
        (_gives_data, "another array, by .data"),
        (_loads, "makes an array of shape .* from Python data"),
        (_writes_into_its_argument, "it writes into an argument"),
        (_uses_a_hidden_tensor, "uses a tensor that it does not get by name"),
        (_formats, "reads a number in Python"),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_what_a_replay_could_not_repeat_is_said(
    function: Step, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    step = tg.capture(function)
    with pytest.raises(RuntimeError, match=f"^capture: .*({sentence})"):
        step(tg.ones(3))
    assert tg.Device("cpu").xp is np
    assert type(LEAF.data) is np.ndarray
    with pytest.raises(RuntimeError, match=r"^capture: "):
        step(tg.ones(3))


def test_a_python_number_that_changes_is_noticed() -> None:
    step = tg.capture(lambda x: x * COUNTER.factor)
    x = tg.ones(2)
    for factor in (2.0, 2.0, 2.0, 3.0, 3.0, 3.0, 2.0):
        COUNTER.factor = factor
        assert step(x).tolist() == [factor] * 2
    with pytest.raises(RuntimeError, match=r"never does the same twice: COUNTER.factor changes"):
        for factor in range(100):
            COUNTER.factor = factor
            assert step(x).tolist() == [factor] * 2


def test_numbers_in_arrays_and_namespaces_are_noticed() -> None:
    array, space = np.zeros(2), SimpleNamespace(number=1.0)
    step = tg.capture(lambda x: x * float(array[0]) * space.number)
    for i in range(10):
        array[0] = i // 5
        assert step(tg.ones(1)).tolist() == [i // 5]
    assert step.calls
    large = np.zeros(5000)
    with pytest.raises(RuntimeError, match="it can use large, a ndarray, which may give other"):
        tg.capture(lambda x: x * float(large[0]))(tg.ones(1))


def test_a_number_from_a_hidden_place_is_noticed_when_it_changes_at_once() -> None:
    hidden = memoryview(bytearray(1))
    step = tg.capture(lambda x: x * hidden[0])
    with pytest.raises(RuntimeError, match="never does the same twice: another number than"):
        for i in range(10):
            hidden[0] = i + 2
            assert step(tg.ones(2)).tolist() == [i + 2] * 2


def test_an_argument_that_is_also_written_into_is_refused() -> None:
    w = tg.ones(3)

    def step(x: Tensor) -> Tensor:
        w.__iadd__(x)
        return w * x

    assert tg.capture(step)(tg.ones(3)).tolist() == [2, 2, 2]
    with pytest.raises(RuntimeError, match="writes into the memory of an argument"):
        tg.capture(step)(w)


def test_an_optimizer_of_a_user_with_a_step_of_its_own_is_refused() -> None:
    class Decaying(optim.SGD):
        def step(self, closure: Any = None) -> None:
            with tg.no_grad():
                for p in self.parameters():
                    p -= 0.1 * p.grad

    w = tensor([1.0], requires_grad=True)
    optimizer = Decaying([w], lr=0.1)

    def step(x: Tensor) -> None:
        optimizer.zero_grad()
        (w * x).sum().backward()
        optimizer.step()

    with pytest.raises(RuntimeError, match=r"Decaying.step\(\), which works on an optimizer"):
        tg.capture(step)(tg.ones(1))


def test_sparse_gradients_are_refused() -> None:
    table = nn.Embedding(5, 2, sparse=True)
    with pytest.raises(RuntimeError, match=r"gives a RowGradient.* Use the dense form"):
        tg.capture(lambda x: table(x).sum().backward())(tensor([1, 2]))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda o: optim.Accumulate(o, 2),
        lambda o: optim.SkipNonFinite(o),
    ],
    ids=["Accumulate", "SkipNonFinite"],
)
def test_wrappers_live_through_replays(wrap: Any) -> None:
    def make() -> Trainer:
        model = nn.Linear(6, 3)
        optimizer = wrap(optim.SGD(model.parameters(), lr=0.1, momentum=0.9))
        return trainer(model, optimizer, nn.MSELoss())

    race(make, regression(), replays=False)


def test_hooks_of_an_optimizer_live_through_replays() -> None:
    def make() -> Trainer:
        model = nn.Linear(6, 3)
        optimizer = optim.Adam(model.parameters(), lr=0.1)
        optimizer.register_step_pre_hook(optim.before_step(optim.clip_grad_norm_, 0.1))
        return trainer(model, optimizer, nn.MSELoss())

    race(make, regression())


def _sums(x: Tensor, y: Tensor) -> list[Any]:
    """Raw calls on what `.data` gives, which are NumPy's while a step runs eagerly."""
    a, b = x.data, y.data
    c = np.clip(a, 0, 1)
    c += b
    d = np.where(c > 1, a, b).T.copy()
    d[0] = 3
    d[:, 1] *= 2
    e = np.stack([d.sum(axis=0), d.max(axis=0), np.square(d).mean(axis=0)])
    return [c, d, e, np.concatenate([a, b])[::2], np.sum(a, axis=1, keepdims=True), a**3, 2**b]


def test_raw_calls_of_numpy_are_recorded_too() -> None:
    step = tg.capture(lambda x, y: [Tensor.detach(_wrapped(a, x)) for a in _sums(x, y)])
    for x, y in batches_of(lambda: tg.randn(4, 3), lambda: tg.randn(4, 3), n=5):
        same([host(t) for t in step(x, y)], [np.asarray(a) for a in _sums(x, y)])
    assert step.calls


def _wrapped(array: Any, like: Tensor) -> Tensor:
    return wrap(array, like.device)


@pytest.mark.parametrize(
    "function",
    [
        lambda a, room: np.clip(a, 0, 1, room),
        lambda a, room: np.clip(a, 0, 1, out=room),
        lambda a, room: a.sum(axis=0, out=room[0]),
        lambda a, room: np.sum(a, 0, None, room[0]),
        lambda a, room: np.copyto(room, a),
        lambda a, room: room.fill(3),
        lambda a, room: room.sort(),
        lambda a, room: np.split(a, 2),
        lambda a, room: np.array2string(a),
        lambda a, room: memoryview(a),
    ],
)
def test_raw_calls_that_cannot_be_followed_are_refused(function: Any) -> None:
    def step(x: Tensor) -> Tensor:
        room = x.clone()
        function(x.data, room.data)
        return room

    with pytest.raises((RuntimeError, TypeError), match=r"capture: |memoryview"):
        tg.capture(step)(tg.randn(2, 2))


def test_two_networks_that_learn_in_turns_in_one_step() -> None:
    def make() -> Trainer:
        model = nn.Sequential(nn.Linear(6, 3), nn.Linear(3, 3))
        optimizers = [optim.Adam(part.parameters(), lr=0.01) for part in model]

        def step(x: Tensor, y: Tensor) -> list[Tensor]:
            losses = []
            for optimizer in (*optimizers, *optimizers):
                model.zero_grad()
                loss = F.mse_loss(model(x), y)
                loss.backward()
                optimizer.step()
                losses.append(loss)
            return losses

        return step, model, optimizers[0]

    race(make, regression())


def test_parameters_that_freeze_between_calls_are_noticed() -> None:
    found = []
    for captured in (False, True):
        tg.manual_seed(1)
        model = nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 3))
        step, _, optimizer = trainer(model, optim.Adam(model.parameters()), nn.MSELoss())
        step = tg.capture(step) if captured else step
        for i, batch in enumerate(regression()):
            if i in (4, 8):
                model[0].requires_grad_(i == 8)
            step(*batch)
        found.append((model.state_dict(), optimizer.state_dict()))
    same(*found)


def test_options_of_an_optimizer_are_set_outside() -> None:
    w = tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=0.5)

    def step(x: Tensor) -> None:
        optimizer.param_groups[0]["lr"] *= 0.5
        (w * x).sum().backward()

    with pytest.raises(RuntimeError, match="changes lr or another option of an optimizer"):
        tg.capture(step)(tg.ones(1))


def test_a_learning_rate_set_between_calls_counts() -> None:
    w = tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=0.5)

    @tg.capture
    def step(x: Tensor) -> None:
        optimizer.zero_grad()
        (w * x).sum().backward()
        optimizer.step()

    for rate in (0.5, 0.5, 0.5, 0.25, 2.0):
        before = w.item()
        optimizer.param_groups[0]["lr"] = rate
        step(tg.ones(1))
        assert w.item() == np.float32(before - rate)


def test_gradients_that_are_left_are_not_added_to() -> None:
    w = tensor([1.0], requires_grad=True)
    step = tg.capture(lambda x: (w * x).sum().backward())
    step(tg.ones(1))
    with pytest.raises(RuntimeError, match=r"uses the gradient of an earlier call. Call zero_grad"):
        step(tg.ones(1))
    w.grad = None
    for _ in range(4):
        step(tg.ones(1))
        assert w.grad.tolist() == [1.0]
        w.grad = None
    assert step.calls
    w.grad = tensor([5.0])
    with pytest.raises(RuntimeError, match="uses the gradient of an earlier call"):
        step(tg.ones(1))


def test_wrong_labels_are_the_same_error_as_without() -> None:
    model, loss_of = nn.Linear(6, 3), nn.CrossEntropyLoss()
    step = tg.capture(lambda x, y: loss_of(model(x), y))
    x = tg.randn(8, 6)
    for _ in range(3):
        step(x, tg.zeros(8, dtype="int64"))
    assert step.calls
    with pytest.raises(ValueError, match=r"label 3 at position 0 is outside 0..2") as captured:
        step(x, tg.full((8,), 3))
    with pytest.raises(ValueError) as eager:
        step.eager(x, tg.full((8,), 3))
    assert str(captured.value) == str(eager.value)
    ignored = tensor([-100, 0, 1, 2, 0, 1, 2, 0])
    for _ in range(4):
        assert step(x, ignored).item() == step.eager(x, ignored).item()


def test_dropout_draws_the_same_where_a_question_has_another_answer() -> None:
    def make() -> Trainer:
        model = nn.Sequential(nn.Linear(6, 5), nn.Dropout(0.5), nn.Linear(5, 3))
        return trainer(model, optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())

    batches = classification()
    for i in (5, 6, 9):
        labels = batches[i][1].tolist()
        batches[i] = batches[i][0], tensor([-100, *labels[1:]])
    race(make, batches)


def test_other_data_after_a_change_are_an_error_and_no_wrong_number() -> None:
    model = nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 3))
    step = tg.capture(lambda x, y: F.cross_entropy(model(x), y))
    batches = classification()
    for batch in batches:
        step(*batch)
    with pytest.raises(RuntimeError, match=r"check_labels finds other data .* Call .eager"):
        step(batches[0][0], tensor([-100] * 4 + [0] * 4))


@pytest.mark.parametrize("argument", [3, 2.5, [1.0], np.ones(2)])
def test_arguments_are_tensors(argument: Any) -> None:
    with pytest.raises(TypeError, match=r"argument 0 is a .* Pass a Tensor"):
        tg.capture(lambda x: x)(argument)


def test_arguments_do_not_ask_for_gradients() -> None:
    with pytest.raises(RuntimeError, match=r"argument 0 requires a gradient.* Pass x.detach\(\)"):
        tg.capture(lambda x: x * 2)(tg.ones(2, requires_grad=True))


def test_captures_do_not_nest() -> None:
    inner = tg.capture(lambda x: x * 2)
    with pytest.raises(RuntimeError, match="called in a step that is being recorded"):
        tg.capture(lambda x: inner(x))(tg.ones(2))


def test_an_error_of_the_step_leaves_everything_as_it_was() -> None:
    model = nn.Linear(2, 2)

    def step(x: Tensor) -> Tensor:
        model(x).sum().backward()
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        tg.capture(step)(tg.ones(1, 2))
    assert tg.Device("cpu").xp is np
    assert type(model.weight.data) is type(model.weight.grad.data) is np.ndarray


# ---- what is noticed ----------------------------------------------------------------------------


def test_other_shapes_and_modes_are_recordings_of_their_own() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5))
    step = tg.capture(lambda x: model(x))
    for training in (True, False, True, False):
        model.train(training)
        for n in (1, 5):
            for _ in range(3):
                x = tg.randn(n, 3)
                tg.manual_seed(3)
                expected = step.eager(x)
                tg.manual_seed(3)
                same(step(x), expected.detach())
    assert len(step.recordings) == 4


def test_new_arrays_of_parameters_are_noticed() -> None:
    model = nn.Linear(3, 2)
    step = tg.capture(lambda x: model(x))
    x = tg.randn(4, 3)
    changes: list[Callable[[], Any]] = [
        lambda: None,
        lambda: setattr(model.weight, "data", np.ones((2, 3), np.float32)),
        lambda: model.load_state_dict({k: v + 1 for k, v in model.state_dict().items()}),
        lambda: setattr(model, "weight", nn.Parameter(tg.randn(2, 3))),
        lambda: setattr(model, "bias", None),
    ]
    for change in changes:
        change()
        for _ in range(4):
            same(step(x), step.eager(x).detach())
        assert step.calls
    model.to("float64")
    for _ in range(4):
        same(step(x.to("float64")), step.eager(x.to("float64")).detach())


def test_results_and_gradients_that_are_kept_stay() -> None:
    model = nn.Linear(3, 2)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    step = tg.capture(trainer(model, optimizer, nn.MSELoss())[0])
    kept = []
    for x, y in batches_of(lambda: tg.randn(4, 3), lambda: tg.randn(4, 2)):
        loss = step(x, y)
        kept.append((loss, loss.item(), model.weight.grad, host(model.weight.grad).copy()))
    for loss, number, gradient, array in kept:
        assert loss.item() == number and not loss.requires_grad
        same(host(gradient), array)


def test_a_run_is_resumed() -> None:
    def make() -> Trainer:
        model = nn.Linear(6, 3)
        return trainer(model, optim.Adam(model.parameters()), nn.MSELoss())

    batches = regression()
    step, model, optimizer = make()
    for batch in batches:
        step(*batch)
    whole = model.state_dict()
    step, model, optimizer = make()
    states = None
    tg.manual_seed(0)
    first, one, its = make()
    tg.manual_seed(0)
    step, model, optimizer = make()
    captured = tg.capture(step)
    for batch in batches[:6]:
        captured(*batch)
        first(*batch)
    states = one.state_dict(), its.state_dict()
    model.load_state_dict(states[0])
    optimizer.load_state_dict(states[1])
    for batch in batches[6:]:
        same(captured(*batch), first(*batch).detach())
    same(model.state_dict(), one.state_dict())
    assert whole.keys() == one.state_dict().keys()


def test_two_captures_and_eager_steps_share_an_optimizer() -> None:
    model = nn.Linear(6, 3)
    optimizer = optim.Adam(model.parameters())
    eager, *_ = trainer(model, optimizer, nn.MSELoss())
    one, two = tg.capture(eager), tg.capture(eager)
    start = model.state_dict(), optimizer.state_dict()
    found = []
    for steps in ((eager, eager, eager), (eager, one, two)):
        model.load_state_dict(start[0])
        optimizer.load_state_dict(start[1])
        losses = [steps[i % 3](*batch).item() for i, batch in enumerate(regression())]
        found.append((losses, model.state_dict()))
    same(*found)
    assert one.calls and two.calls


def test_operations_of_users_run_as_they_are() -> None:
    calls = []

    @tg.op(lambda xp, g, y, x: g * 3 * x**2)
    def cube(xp: Any, x: Any) -> Any:
        calls.append(1)
        return x**3

    step = tg.capture(lambda x: cube(x) + 1)
    for i in range(5):
        assert step(tensor([float(i)])).tolist() == [i**3 + 1]
    assert len(calls) == 5


def test_a_profile_around_a_captured_step_sees_its_optimizer() -> None:
    model = nn.Linear(6, 3)
    step = tg.capture(trainer(model, optim.SGD(model.parameters(), lr=0.1), nn.MSELoss())[0])
    batches = regression()
    for batch in batches[:3]:
        step(*batch)
    with tg.profile() as p:
        for batch in batches[3:]:
            step(*batch)
    assert next(row for row in p.rows if row.name == "SGD.step()").calls == CALLS - 3


def test_the_program_is_shown() -> None:
    model = nn.Linear(2, 1)
    step = tg.capture(lambda x: model(x))
    assert "not recorded yet" in repr(step) and step.calls == 0
    for _ in range(2):
        step(tg.ones(1, 2))
    assert str(step).splitlines() == [
        "x0.dot(w0, v0)",
        "add(v0, p1, v0)",
        "return wrap(v0.copy(), device)",
    ]
    assert step.calls == 2 and "2 calls" in repr(step)


def test_nothing_grows_from_replay_to_replay() -> None:
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Dropout(0.2), nn.Linear(4, 3))
    step = tg.capture(trainer(model, optim.Adam(model.parameters()), nn.CrossEntropyLoss())[0])
    batch = classification()[0]
    found = []
    tracemalloc.start()
    try:
        for _ in range(4):
            for _ in range(300):
                step(*batch)
            gc.collect()
            found.append(tracemalloc.get_traced_memory()[0])
        assert found[-1] - found[1] < 8192, found  # in 600 steps: nothing of each stays
    finally:
        tracemalloc.stop()


def test_only_functions_are_captured() -> None:
    with pytest.raises(TypeError, match="a float is no function"):
        tg.capture(3.0)  # type: ignore[arg-type]


@pytest.mark.on("standin", "cuda")
def test_on_a_gpu_the_function_runs_as_it_is_and_says_so_once() -> None:
    step = tg.capture(lambda x: x * 2)
    with pytest.warns(UserWarning, match="CUDA graphs are not used yet"):
        assert step(tg.ones(2)).tolist() == [2, 2]
    assert step(tg.ones(2)).tolist() == [2, 2]


def test_no_grad_around_a_call_is_noticed() -> None:
    w = tensor([2.0], requires_grad=True)
    step = tg.capture(lambda x: (w * x) * (2 if tg.is_grad_enabled() else 3))
    for _ in range(4):
        assert step(tg.ones(1)).tolist() == [4]
        with tg.no_grad():
            assert step(tg.ones(1)).tolist() == [6]


def test_other_threads_are_not_recorded() -> None:
    found: list[str] = []

    class Elsewhere(threading.Thread):
        def run(self) -> None:
            with tg.no_grad():
                found.append(str((tg.ones(2) + tg.arange(2) * 3).sum().item()))

    def step(x: Tensor) -> Tensor:
        thread = Elsewhere()
        thread.start()
        thread.join()
        return x * 2

    with pytest.raises(RuntimeError, match="it changes found"):
        tg.capture(step)(tg.ones(1))
    assert found == ["5.0"]


def test_a_captured_function_belongs_to_one_thread() -> None:
    found: list[str] = []
    step = tg.capture(lambda x: x * 2)
    for _ in range(3):
        step(tg.ones(1))

    def call() -> None:
        try:
            step(tg.ones(1))
        except RuntimeError as error:
            found.append(str(error))

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert "belongs to the thread that called it first" in found[0]


# ---- gradients, hooks and memory ----------------------------------------------------------------


def test_a_gradient_waits_where_an_earlier_step_does_not_reach() -> None:
    def make() -> Trainer:
        model = nn.Linear(6, 3)
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.5)

        def step(x: Tensor, y: Tensor) -> None:
            w = model.weight
            first = tg.grad(F.mse_loss(model(x), y), w)
            second = tg.grad(model(x).abs().mean(), w)
            optimizer.zero_grad()
            w.grad = first
            optimizer.step()
            w.grad = second
            optimizer.step()

        return step, model, optimizer

    race(make, regression())


def test_a_step_with_the_gradient_of_an_earlier_call_is_refused() -> None:
    w = tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=0.5)

    def step(x: Tensor) -> None:
        optimizer.step()
        optimizer.zero_grad()
        (w * x).sum().backward()

    captured = tg.capture(step)
    captured(tg.ones(1))
    with pytest.raises(RuntimeError, match=r"uses the gradient of an earlier call.* carried out"):
        captured(tg.ones(1))


def _descent(w: Tensor, optimizer: Any) -> Step:
    def step(x: Tensor) -> None:
        optimizer.zero_grad()
        (w * x).sum().backward()
        optimizer.step()

    return step


def test_gradients_from_elsewhere_are_cleared_at_every_replay() -> None:
    found = []
    for captured in (False, True):
        w, other = (tensor([1.0], requires_grad=True) for _ in range(2))
        optimizer = optim.SGD([w, other], lr=0.1)
        step = _descent(w, optimizer)
        run = tg.capture(step) if captured else step
        for _ in range(6):
            other.grad = tensor([3.0])
            run(tg.ones(1))
        found.append([w.detach(), other.detach()])
        assert not captured or run.calls
    same(*found)


def test_a_gradient_that_the_caller_keeps_costs_no_recording() -> None:
    def make() -> Trainer:
        model = nn.Linear(6, 3)
        step, _, optimizer = trainer(model, optim.Adam(model.parameters()), nn.MSELoss())
        return step, model, optimizer

    step, model, _ = make()
    step = tg.capture(step)
    kept = None
    for batch in regression():
        step(*batch)
        kept = model.weight.grad
    assert kept is not None and step.recorded == 2


def test_hooks_that_come_and_go_between_calls_count() -> None:
    found = []
    for captured in (False, True):
        tg.manual_seed(1)
        model = nn.Linear(6, 3)
        step, _, optimizer = trainer(model, optim.SGD(model.parameters(), lr=0.1), nn.MSELoss())
        step, undo = tg.capture(step) if captured else step, None
        for i, batch in enumerate(regression()):
            if i == 4:
                undo = model.weight.register_hook(lambda g: g * 0)
            if i == 8:
                undo()
            step(*batch)
        found.append((model.state_dict(), optimizer.state_dict()))
    same(*found)


def test_parameters_that_join_an_optimizer_are_cleared_too() -> None:
    found = []
    for captured in (False, True):
        w, late = (tensor([1.0], requires_grad=True) for _ in range(2))
        optimizer = optim.SGD([w], lr=0.1)
        step = _descent(w, optimizer)
        run = tg.capture(step) if captured else step
        for i in range(8):
            if i == 4:
                optimizer.add_param_group({"params": [late]})
            late.grad = tensor([3.0])
            run(tg.ones(1))
        found.append([w.detach(), late.detach()])
    same(*found)


def test_a_parameter_frozen_again_does_not_move_by_its_last_gradient() -> None:
    found = []
    for captured in (False, True):
        tg.manual_seed(1)
        model = nn.Linear(6, 3)
        step, *_ = trainer(model, optim.SGD(model.parameters(), lr=0.1), nn.MSELoss())
        step = tg.capture(step) if captured else step
        for i, batch in enumerate(regression()):
            model.weight.requires_grad_(4 <= i < 8)
            step(*batch)
        found.append(model.state_dict())
    same(*found)


def test_memory_that_an_optimizer_moves_is_no_argument() -> None:
    model = nn.Linear(6, 3)
    plain, *_ = trainer(model, optim.SGD(model.parameters(), lr=0.1), nn.MSELoss())
    step = tg.capture(plain)
    x, y = regression()[0]
    weight = tg.zeros(3, 6)
    for _ in range(4):
        step(x, y)
    assert step.calls
    tied = tg.capture(lambda x, w, y: (plain(x, y), (w * 1).sum())[1])
    for _ in range(3):
        tied(x, weight, y)
    assert tied.calls
    with pytest.raises(RuntimeError, match=r"into the memory of an argument.* Pass x.clone\(\)"):
        tied(x, model.weight.detach(), y)


def test_an_older_graph_learns_that_a_replay_has_written() -> None:
    scale = tg.ones(3)
    w = tensor([1.0, 2.0, 3.0], requires_grad=True)

    @tg.capture
    def grow(x: Tensor) -> None:
        scale.__imul__(x)

    for _ in range(3):
        grow(tg.ones(3))
    assert grow.calls
    older = (w * scale).sum()
    grow(tg.full((3,), 2.0))
    with pytest.raises(RuntimeError, match="a captured step"):
        older.backward()


# ---- dtypes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mean", "var", "std"])
def test_halves_are_averaged_as_numpy_averages_them(name: str) -> None:
    step = tg.capture(lambda x: getattr(x, name)(axis=0))
    for _ in range(4):
        x = (tg.rand(20000, 2) * 8).to("float16")
        same(step(x), step.eager(x))
    assert step.calls


def test_integers_are_rounded_to_tens() -> None:
    step = tg.capture(lambda x: tg.round(x, -1))
    for i in range(4):
        x = tensor([14 + i, 26, 128])
        same(step(x), step.eager(x))
    assert step.calls


# ---- calls --------------------------------------------------------------------------------------


def test_words_are_arguments_whatever_object_they_are() -> None:
    step = tg.capture(lambda x, mode: x * (2 if mode == "train" else 3))
    for mode, factor in (("train", 2), ("test", 3)):
        for _ in range(4):
            assert step(tg.ones(1), mode="".join(list(mode))).tolist() == [factor]
            assert step(tg.ones(1), "".join(list(mode))).tolist() == [factor]
    assert step.recorded == 8


def test_to_be_recorded_for_ever_is_worth_a_warning() -> None:
    step = tg.capture(lambda x: x * 2)
    with pytest.warns(UserWarning, match="was recorded 50 times, which is slower"):
        for i in range(60):
            step(tg.ones(i % 12 + 1))


def test_what_is_refused_says_that_it_was_done() -> None:
    w = tensor([1.0], requires_grad=True)
    optimizer, seen = optim.SGD([w], lr=0.5), []

    def step(x: Tensor) -> Tensor:
        optimizer.zero_grad()
        (w * x).sum().backward()
        optimizer.step()
        seen.append(1)
        return w * x

    with pytest.raises(RuntimeError, match=r"it changes seen: .* \(This call was carried out.\)"):
        tg.capture(step)(tg.ones(1))
    with pytest.raises(RuntimeError, match=r"item\(\).* \(What the step did before that is done"):
        tg.capture(lambda x: step(x).item())(tg.ones(1))
    assert w.tolist() == [0.0]


def test_a_method_is_captured_for_one_object() -> None:
    class Trainer:
        @tg.capture
        def step(self, x: Tensor) -> Tensor:
            return x * 2

        def other(self, x: Tensor) -> Tensor:
            return x * 3

        def __init__(self) -> None:
            self.other = tg.capture(self.other)  # type: ignore[method-assign]

    with pytest.raises(TypeError, match=r"self.step = capture\(self.step\) in __init__"):
        Trainer().step(tg.ones(1))
    trainer = Trainer()
    for _ in range(3):
        assert trainer.other(tg.ones(1)).tolist() == [3]


def test_what_a_failed_recording_leaves_says_so() -> None:
    kept: dict[str, Tensor] = {}

    def step(x: Tensor) -> None:
        kept["y"] = x * 2
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        tg.capture(step)(tg.ones(1))
    for use in (repr, lambda y: y + 1, lambda y: y.item()):
        with pytest.raises(RuntimeError, match="a step has made while it was recorded"):
            use(kept["y"])


def test_a_profile_around_recordings_sees_their_optimizer() -> None:
    model = nn.Linear(6, 3)
    step = tg.capture(trainer(model, optim.SGD(model.parameters(), lr=0.1), nn.MSELoss())[0])
    with tg.profile(show=False) as p:
        for batch in regression()[:4]:
            step(*batch)
    assert next(row for row in p.rows if row.name == "SGD.step()").calls == 4
    assert tg.Device("cpu").xp is np


def test_steps_are_recorded_in_several_threads() -> None:
    faults: list[BaseException] = []
    barrier = threading.Barrier(3)

    def work() -> None:
        model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(20)))
        step = tg.capture(trainer(model, optim.SGD(model.parameters(), lr=0.1), nn.MSELoss())[0])
        x = tg.ones(2, 4)
        barrier.wait()
        try:
            for _ in range(4):
                step(x, x)
            assert step.calls
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults and tg.Device("cpu").xp is np
