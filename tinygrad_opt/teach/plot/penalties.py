"""Regularisation as a figure: what each network has learned, and the gap between its losses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...data import Dataset
from ..penalties import Penalties
from .boundary import can_be_drawn, draw_model
from .curves import draw_curves
from .style import figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def penalties_figure(
    found: Penalties, train: Dataset, test: Dataset | None = None, title: str = ""
) -> Figure:
    """A column for each penalty, on the same scales, of its first seed: the model, then the losses.

    Models are drawn where the data fits a picture (see `draw_model`). ImportError, with what to
    install, without matplotlib.
    """
    drawn = can_be_drawn(train)
    picture = figure(3.7 * len(found.runs), 4.2 * (1 + drawn))
    picture.suptitle(title)
    grid = picture.subplots(1 + drawn, len(found.runs), sharex="row", sharey="row", squeeze=False)
    for place, (name, runs) in enumerate(found.runs.items()):
        run = runs[0]
        curves = grid[-1][place]
        draw_curves(curves, run.history, "loss")
        curves.set_title(f"{name}: gap {run.gap:.3g}, evaluated")
        column = [curves]
        if drawn:
            model = grid[0][place]
            draw_model(model, run.model, train, test)
            accuracy = run.test.get("accuracy")
            model.set_title(name if accuracy is None else f"{name}: test accuracy {accuracy:.3g}")
            column.append(model)
            if place:
                model.get_legend().remove()
        for axes in column if place else []:
            axes.set_ylabel("")
    return picture
