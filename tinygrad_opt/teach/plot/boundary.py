"""What a network has learned, where that fits in a picture: classes in the plane, or a curve.

Order: one model · several on the same scale · classes · a curve.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...creation import tensor
from ...data import Dataset
from ...nn import Module
from ...operation import no_grad
from .style import MARKERS, figure, label, numbered

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = 220  # of the grid, along each axis
ROOM = 0.08  # around the data, as a share of its width

Array = np.ndarray[Any, Any]


def can_be_drawn(data: Dataset) -> bool:
    """Whether it is classes of points in a plane, or numbers over a line."""
    return data.n_features == (2 if data.class_names else 1)


def draw_model(axes: Axes, model: Module, train: Dataset, test: Dataset | None = None) -> None:
    """The regions of the classes, or the curve, with examples: filled to train on, hollow to test.

    The scale is that of all examples, whatever the model. ValueError for other than two features
    with classes, and one without.
    """
    if not can_be_drawn(train):
        raise ValueError(
            f"draw_model: {train.name} has {train.n_features} features; a picture takes two, with "
            "classes, or one, without."
        )
    parts = [train] if test is None else [train, test]
    (_draw_classes if train.class_names else _draw_curve)(axes, model, parts)


def boundaries(
    models: Mapping[str, Module], train: Dataset, test: Dataset | None = None, title: str = ""
) -> Figure:
    """Several models on the same data, side by side, on the same scale; the keys are their titles.

    ImportError, with what to install, without matplotlib; ValueError as `draw_model`, and for no
    model.
    """
    if not models:
        raise ValueError("boundaries: give at least one model, as in {'Adam': model}.")
    picture = figure(3.6 * len(models), 4.2)
    picture.suptitle(title)
    grid = picture.subplots(1, len(models), sharex=True, sharey=True, squeeze=False)[0]
    for place, (axes, (name, model)) in enumerate(zip(grid, models.items(), strict=True)):
        draw_model(axes, model, train, test)
        axes.set_title(name)
        if place:
            axes.set_ylabel("")
            axes.get_legend().remove()
    return picture


# ---- classes ----------------------------------------------------------------------------------


def _draw_classes(axes: Axes, model: Module, parts: list[Dataset]) -> None:
    low, high = _limits(np.concatenate([part.x for part in parts]))
    columns, rows = (np.linspace(a, b, POINTS) for a, b in zip(low, high, strict=True))
    grid = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    scores = _outputs(model, grid)
    winner = scores.argmax(axis=1).reshape(POINTS, POINTS)
    n = parts[0].n_classes
    colours = [numbered(i).colour for i in range(n)]
    levels = np.arange(n + 1) - 0.5
    axes.contourf(columns, rows, winner, levels=levels, colors=colours, alpha=0.22)
    for k in set(winner.flat):
        if (winner != k).any():  # there is a boundary
            axes.contour(columns, rows, winner == k, levels=[0.5], colors="black", linewidths=0.9)
    for hollow, part in enumerate(parts):
        for k in range(n):
            points = part.x[part.y == k]
            face = "white" if hollow else colours[k]
            axes.scatter(
                points[:, 0],
                points[:, 1],
                s=16,
                marker=MARKERS[k % len(MARKERS)],
                facecolors=face,
                edgecolors=colours[k] if hollow else "black",
                linewidths=0.9 if hollow else 0.4,
                label=f"class {part.class_names[k]}, {'test' if hollow else 'train'}",
            )
    label(axes, *(_name(parts[0], i) for i in range(2)))
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    axes.grid(False)
    axes.legend(fontsize=7, loc="upper right", framealpha=0.85)


# ---- a curve ----------------------------------------------------------------------------------


def _draw_curve(axes: Axes, model: Module, parts: list[Dataset]) -> None:
    low, high = _limits(np.concatenate([part.x for part in parts]))
    x = np.linspace(low, high, POINTS)
    for hollow, part in enumerate(parts):
        style = numbered(hollow)
        axes.plot(
            part.x[:, 0],
            part.y.reshape(-1),
            style.marker,
            color=style.colour,
            markersize=4,
            fillstyle="none" if hollow else "full",
            label="test" if hollow else "train",
        )
    axes.plot(x[:, 0], _outputs(model, x)[:, 0], color="black", label="the network")
    label(axes, _name(parts[0], 0), "target, as trained on")
    axes.legend(fontsize=8)


def _outputs(model: Module, x: Array) -> Array:
    """What the model makes of host rows, in evaluation; every module is put back into its mode."""
    parameter = next(model.parameters())
    modes = [(module, module.training) for module in model.modules()]
    try:
        with no_grad():
            y = model.eval()(tensor(x, dtype=parameter.dtype, device=parameter.device))
    finally:
        for module, training in modes:
            module.training = training
    values: Array = y.device.to_host(y.data)
    return values.reshape(len(x), -1)


def _limits(x: Array) -> tuple[Array, Array]:
    low, high = x.min(axis=0), x.max(axis=0)
    room = ROOM * (high - low)
    return low - room, high + room


def _name(data: Dataset, i: int) -> str:
    name = data.feature_names[i] if data.feature_names else f"x{'₁₂'[i]}"
    return f"{name}, as trained on"
