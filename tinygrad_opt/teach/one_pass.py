"""One pass over the data: what was found in its batches, and the means over its examples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from ..device import Device
from ..nn import functional as F
from ..ops import stack
from ..tensor import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]
Pair = tuple[Tensor, Tensor]


class Pass:
    """The losses, sizes and, where there are classes, hits of the batches so far.

    Values are fetched when they are asked for, so that a GPU need not be waited for at every batch.
    """

    def __init__(self) -> None:
        self.losses: list[Any] = []
        self.sizes: list[int] = []
        self.hits: list[Any] = []

    def __len__(self) -> int:
        return len(self.sizes)

    def over(
        self,
        model: Any,
        data: Iterable[Pair],
        loss: Loss | None,
        then: Callable[[Pair, Callable[[], Pair]], bool | None] = lambda *_: None,
    ) -> bool:
        """Go over batches; ``then`` gets loss and prediction of each, and a way to compute them
        again. It may end the pass by True, which is returned.
        """
        with Device("cpu").errstate(all="ignore"):  # the status says it better than a warning
            for x, y in data:
                criterion = loss or default_loss(y)
                batch_loss, prediction = _loss_of(model, criterion, x, y)
                self.losses.append(batch_loss.detach())
                self.sizes.append(len(x))
                if (axis := _class_axis(prediction, y)) is not None:
                    hits = prediction.detach().argmax(axis=axis) == y
                    self.hits.append(hits.float().mean())
                if then((batch_loss, prediction), partial(_loss_of, model, criterion, x, y)):
                    return True
        return False

    def values(self) -> list[float]:
        """The losses of all batches."""
        self.losses = fetched(self.losses)
        return self.losses

    def means(self) -> dict[str, float]:
        """The mean loss and the accuracy over all examples; ValueError where there were none."""
        if not self.sizes:
            raise ValueError("there are no batches in the data; give at least one pair (x, y).")
        found = {"loss": _mean(self.values(), self.sizes)}
        if len(self.hits) == len(self.sizes):
            self.hits = fetched(self.hits)
            found["accuracy"] = _mean(self.hits, self.sizes)
        return found

    def state_dict(self) -> dict[str, Any]:
        """What was found so far, as plain data."""
        self.hits = fetched(self.hits)
        return {"losses": self.values(), "sizes": list(self.sizes), "hits": self.hits}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        for name in ("losses", "sizes", "hits"):
            setattr(self, name, list(state[name]))


def _class_axis(prediction: Any, y: Tensor) -> int | None:
    """Along which axis a prediction has a score for each class; None where it has not, or two."""
    shape = getattr(prediction, "shape", ())
    if y.dtype.kind not in "iu" or not y.ndim or len(shape) != y.ndim + 1:
        return None
    axes = {axis for axis in (1, y.ndim) if shape[:axis] + shape[axis + 1 :] == y.shape}
    return axes.pop() if len(axes) == 1 and shape[max(axes)] > 1 else None


def _loss_of(model: Any, criterion: Loss, x: Tensor, y: Tensor) -> Pair:
    prediction = model(x)
    return criterion(prediction, y), prediction


def fetched(numbers: list[Any]) -> list[float]:
    """The values of tensors of one number, and of numbers: one wait for a GPU."""
    waiting = [number.reshape(()) for number in numbers if isinstance(number, Tensor)]
    values = iter(stack(waiting).tolist() if waiting else ())
    return [next(values) if isinstance(number, Tensor) else number for number in numbers]


def _mean(values: list[float], sizes: list[int]) -> float:
    """The mean over examples, where the last batch may be smaller."""
    return sum(value * n for value, n in zip(values, sizes, strict=True)) / sum(sizes)


def default_loss(y: Tensor) -> Loss:
    """Cross-entropy where targets are class numbers, else the mean squared error."""
    return F.cross_entropy if y.dtype.kind in "iu" else F.mse_loss
