"""Averages of weights along the way: often better than the weights at its end.

    average = EMA(model, decay=0.999)
    for x, y in loader:
        …
        optimizer.step()
        average.update_parameters(model)        # after the step

    average(x)                                  # the averaged model is a copy of its own
    with average.in_place_of(model): …          # or stands in for the trained one

All are a ← a + w (p − a), and differ in w. Averages have memory of their own, on the device where
the model was when they were made; `average.module.to(…)` moves them. What they need of a model is
`parameters()`, `buffers()`, `state_dict()` and a deep copy.

Order: functions that average · AveragedModel · EMA · PolyakAverage · helpers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any, Self

import numpy as np

from ..live import live
from ..operation import changed, wrap
from ..tensor import Tensor
from .options import AT_LEAST_0, UNIT, demand
from .places import copied, write

PREFIX = "module."  # of the keys of the model in a checkpoint

Average = Callable[[Any, Any, int], Any]  # (average, current, how many before) -> new average
AverageAll = Callable[[list[Any], list[Any], int], None]  # the same for lists, in place


# ---- functions that average -------------------------------------------------------------------


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """a ← δ a + (1 − δ) p, for one parameter after the other."""
    demand("get_ema_avg_fn", "decay", decay, UNIT)
    return lambda average, current, n: average + (1 - decay) * (current - average)


def get_swa_avg_fn() -> Average:
    """a ← a + (p − a) / (n + 1), for one parameter after the other."""
    return lambda average, current, n: average + (current - average) / (n + 1)


def get_ema_multi_avg_fn(decay: float = 0.999) -> AverageAll:
    """a ← δ a + (1 − δ) p, for lists of parameters."""
    return _for_all(get_ema_avg_fn(decay))


def get_swa_multi_avg_fn() -> AverageAll:
    """a ← a + (p − a) / (n + 1), for lists of parameters."""
    return _for_all(get_swa_avg_fn())


def _for_all(average_fn: Average) -> AverageAll:
    def in_place(averages: list[Any], currents: list[Any], n: int) -> None:
        for average, current in zip(averages, currents):
            average[...] = average_fn(average, current, n)

    return in_place


# ---- averaged models --------------------------------------------------------------------------


class AveragedModel:
    """A copy of a model whose weights are an average of those that the model has had.

        a ← a + (p − a) / (n + 1)       n of them are in the average; the first is copied

    The equal average is stochastic weight averaging (Izmailov et al. 2018, arXiv:1803.05407), with
    one update an epoch, late in training. `avg_fn` or `multi_avg_fn` average otherwise. Buffers are
    copied; with `use_buffers` they are averaged too, unless they are integers, which PyTorch
    averages as well. `update_bn` makes batch statistics anew.
    """

    def __init__(
        self,
        model: Any,
        avg_fn: Average | None = None,
        multi_avg_fn: AverageAll | None = None,
        use_buffers: bool = False,
    ) -> None:
        if avg_fn and multi_avg_fn:
            raise ValueError("AveragedModel: avg_fn and multi_avg_fn are both given. Choose one.")
        self.module = copy.deepcopy(model)
        for p in self.module.parameters():
            p.grad = None
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers
        self.n_averaged = 0

    def weight(self, n: int) -> float:
        """The w of a ← a + w (p − a), where n are in the average."""
        return 1 / (n + 1)

    @live
    def update_parameters(self, model: Any) -> None:
        """Take in the weights that the model has now: after `optimizer.step()`.

        ValueError, and nothing is changed, for a model of another shape.
        """
        pairs = self._pairs(model)
        if self.n_averaged:
            floats = [b for b in self.buffers() if self.use_buffers and b.dtype.kind == "f"]
            averaged = [*self.parameters(), *floats]
            averages = [a.detach() for a in averaged]
            currents = [wrap(a.device.put(pairs.pop(a)._data), a.device) for a in averaged]
            average_all = self.multi_avg_fn or _for_all(self.avg_fn or self._average)
            average_all(averages, currents, self.n_averaged)
            changed(averaged, "update_parameters()")
        _copy(pairs)
        self.n_averaged += 1

    def _average(self, average: Any, current: Any, n: int) -> Any:
        return average + self.weight(n) * (current - average)

    def _pairs(self, model: Any) -> dict[Tensor, Tensor]:
        """To each of our parameters and buffers that of the model."""
        own, others = (list(chain(m.parameters(), m.buffers())) for m in (self.module, model))
        if [a.shape for a in own] != [p.shape for p in others]:
            raise ValueError(
                f"{type(self).__name__}: this model has {_shapes(others)}, and the averaged one "
                f"{_shapes(own)}. Average the model that it was made from."
            )
        return dict(zip(own, others))

    # ---- in the place of the trained model ----------------------------------------------------

    def copy_to(self, model: Any) -> None:
        """Write the averages into a model, which loses its own weights and buffers."""
        _copy({p: a for a, p in self._pairs(model).items()})

    @contextmanager
    def in_place_of(self, model: Any) -> Iterator[None]:
        """The averages stand in the model inside the block; then, error or not, its own again."""
        before = {p: copied(p) for p in self._pairs(model).values()}
        try:
            self.copy_to(model)
            yield
        finally:
            for p, array in before.items():
                write(p, array)
            changed(before, "in_place_of()")

    # ---- as a model ---------------------------------------------------------------------------

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """What the averaged model makes of inputs."""
        return self.module(*inputs, **options)

    def parameters(self) -> Iterator[Tensor]:
        """The averages."""
        return iter(self.module.parameters())

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """The averages with their names."""
        return iter(self.module.named_parameters())

    def buffers(self) -> Iterator[Tensor]:
        """The buffers of the averaged model."""
        return iter(self.module.buffers())

    def modules(self) -> Iterator[Any]:
        """The averaged model and all that it consists of."""
        return iter(self.module.modules())

    def train(self, mode: bool = True) -> Self:
        """Switch dropout and batch statistics on."""
        self.module.train(mode)
        return self

    def eval(self) -> Self:
        """Switch dropout and batch statistics off."""
        return self.train(False)

    def state_dict(self) -> dict[str, Any]:
        """The averages and how many they are of, under PyTorch's keys; as NumPy copies."""
        own = {f"{PREFIX}{key}": array for key, array in self.module.state_dict().items()}
        return {"n_averaged": np.array(self.n_averaged), **own}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Resume; ValueError, and nothing is changed, for what does not fit."""
        if "n_averaged" not in state_dict:
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: n_averaged is missing. Is this the state "
                "of a model that is not averaged? Load it there."
            )
        own = {key.removeprefix(PREFIX): value for key, value in state_dict.items()}
        n = int(own.pop("n_averaged"))
        self.module.load_state_dict(own)
        self.n_averaged = n

    def __repr__(self) -> str:
        inside = repr(self.module).replace("\n", "\n  ")
        return f"{type(self).__name__}(n_averaged={self.n_averaged}\n  {inside}\n)"


SWA = AveragedModel  # the equal average by its name


class EMA(AveragedModel):
    """An exponential moving average: it forgets, so that it follows training.

        a ← δ a + (1 − δ) p                          from a = p
        δ = min(decay, (1 + n) / (10 + n))           warmup
        a ← a + (1 − δ) / (1 − δⁿ⁺¹) (p − a)         debias

    Without either, the first weights keep their share δⁿ for long. `debias` is the average that
    begins at 0, divided by 1 − δⁿ⁺¹ as in Adam. Update it after every step. ValueError for a decay
    outside [0, 1], for both repairs at once, and for `debias` with a decay of 1.
    """

    def __init__(
        self,
        model: Any,
        decay: float = 0.999,
        warmup: bool = False,
        debias: bool = False,
        use_buffers: bool = False,
    ) -> None:
        demand("EMA", "decay", decay, UNIT)
        if warmup and debias:
            raise ValueError("EMA: warmup and debias both repair the beginning. Choose one.")
        if debias and decay == 1:
            raise ValueError("EMA: debias divides by 1 − decay, which is 0. Take a smaller decay.")
        super().__init__(model, use_buffers=use_buffers)
        self.decay, self.warmup, self.debias = decay, warmup, debias

    def weight(self, n: int) -> float:
        """1 − δ, or what the beginning asks for."""
        if self.debias:
            return (1 - self.decay) / (1 - self.decay ** (n + 1))
        if self.warmup:
            return 1 - min(self.decay, (1 + n) / (10 + n))
        return 1 - self.decay


class PolyakAverage(AveragedModel):
    """The equal average of all weights after every step (Polyak & Juditsky 1992).

        a ← a + (p − a) / max(1, n + 1 − start)

    The first `start` weights, which are far from anything good, are left out.
    """

    def __init__(self, model: Any, start: int = 0, use_buffers: bool = False) -> None:
        demand("PolyakAverage", "start", start, AT_LEAST_0)
        super().__init__(model, use_buffers=use_buffers)
        self.start = start

    def weight(self, n: int) -> float:
        """1 over the number of weights since `start`."""
        return 1 / max(1, n + 1 - self.start)


# ---- helpers ----------------------------------------------------------------------------------


def _copy(pairs: Mapping[Tensor, Tensor]) -> None:
    """Write values into tensors: {to: from}."""
    for to, source in pairs.items():
        write(to, to.device.put(source._data))
    changed(pairs, "a copy of averages")


def _shapes(tensors: list[Tensor]) -> str:
    return f"{len(tensors)} arrays of shapes {', '.join(str(t.shape) for t in tensors)}"
