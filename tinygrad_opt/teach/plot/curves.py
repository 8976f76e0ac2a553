"""How a training went: the loss of both parts of the data, the gap between them, the accuracy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ...data import Dataset
from ...nn import Module
from ..history import History
from .boundary import can_be_drawn, draw_model
from .style import figure, label, numbered

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOG_FROM = 30.0  # largest loss over the smallest, from which on the axis is logarithmic


def training_figure(
    history: History,
    model: Module | None = None,
    train: Dataset | None = None,
    test: Dataset | None = None,
) -> Figure:
    """The loss by passes over the data, the accuracy where there are classes, and the model.

    The model is drawn where it can be: with the data, of one or two features (see `draw_model`).
    The gap between train and test loss is shaded. ImportError, with what to install, without
    matplotlib; ValueError for a record without a pass.
    """
    if "train_loss" not in history.metrics:
        raise ValueError("training_figure: this record holds no pass over the data.")
    kinds = [kind for kind in ("loss", "accuracy") if f"train_{kind}" in history.metrics]
    drawn = model is not None and train is not None and can_be_drawn(train)
    columns = len(kinds) + drawn
    picture = figure(4.6 * columns, 4.4)
    picture.suptitle(title_of(history, train))
    panels = list(picture.subplots(1, columns, squeeze=False)[0])
    for axes, kind in zip(panels, kinds, strict=False):
        draw_curves(axes, history, kind)
    if drawn and model is not None and train is not None:
        draw_model(panels[-1], model, train, test)
        panels[-1].set_title("the trained network")
    return picture


def draw_curves(axes: Axes, history: History, kind: str) -> None:
    """Train and test values of a metric, "loss" or "accuracy", and the gap between them."""
    curves: dict[str, tuple[Any, Any]] = {}
    for i, (part, when) in enumerate((("train", "during"), ("test", "after"))):
        pairs = history.metrics.get(f"{part}_{kind}", [])
        if not pairs:
            continue
        x, y = curves[part] = tuple(zip(*pairs, strict=True))  # type: ignore[assignment]
        style = numbered(i)
        mark: dict[str, Any] = {
            "marker": style.marker,
            "markevery": max(1, len(x) // 8),
            "markersize": 5,
        }
        axes.plot(
            x, y, **style.line, **mark, label=f"{part}, {when} each pass: {y[-1]:.3g} at the end"
        )
    if len(curves) == 2:
        (x, a), (_, b) = curves.values()
        axes.fill_between(x, a, b, color="0.85", label="gap")
    values = [value for _, y in curves.values() for value in y if math.isfinite(value)]
    if kind == "loss" and values and max(values) > LOG_FROM * min(values) > 0:
        axes.set_yscale("log")
    unit = "loss, mean over examples" if kind == "loss" else "accuracy, share of examples"
    label(axes, "updates done", unit, kind)
    axes.legend(fontsize=8)


def title_of(history: History, data: Dataset | None = None) -> str:
    """Data, optimizer and learning rate, as far as they are known."""
    words = [data.name if data is not None else history.meta.get("task")]
    words.append(history.meta.get("optimizer"))
    if len(history):
        low, high = history.lr.min(), history.lr.max()
        words.append(f"lr {high:.3g}" + (", scheduled" if low < high else ""))
    return ", ".join(word for word in words if word)
