"""A landscape as one page that can be turned and enlarged, and needs no network."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..history import Array
from ..landscape import Landscape
from .landscape import drawable, name_of_loss, path_height, short
from .page import page
from .style import COLOURS, missing

SCALE = "Cividis"


def landscape_html(found: Landscape, title: str = "", three_d: bool = False) -> str:
    """The page; ImportError with what to install where there is no plotly."""
    go = plotly()
    if found.is_line:
        drawn = _line(go, found)
    elif three_d:
        drawn = _relief(go, found)
    else:
        drawn = _contours(go, found)
    drawn.update_layout(template="plotly_white", height=640, margin={"t": 30})
    return page(title, found.sentence, drawn)


def plotly() -> Any:
    """Its figures; ImportError with what to install."""
    try:
        import plotly.graph_objects as go
    except ImportError:
        raise missing("plotly") from None
    return go


def _scaled(found: Landscape, height: Array) -> Array:
    """What the colours and the relief show: the height or its logarithm."""
    inside = drawable(found, height)
    return np.log10(inside) if found.spans_decades else inside


def _bar(found: Landscape, values: Array) -> dict[str, Any]:
    """A colour bar whose numbers are losses, whatever the scale."""
    ticks = np.linspace(float(values.min()), float(values.max()), 7)
    texts = [short(float(10**tick if found.spans_decades else tick)) for tick in ticks]
    return {"title": name_of_loss(found), "tickvals": ticks.tolist(), "ticktext": texts}


def _line(go: Any, found: Landscape) -> Any:
    drawn = go.Figure()
    curve = {"mode": "lines", "line": {"color": COLOURS[0]}, "name": "loss"}
    drawn.add_scatter(x=found.axes[0], y=found.loss, **curve)
    if found.path is not None:
        style = {"mode": "lines+markers", "line": {"color": COLOURS[1], "dash": "dot"}}
        drawn.add_scatter(x=found.path[:, 0], y=found.path_loss, name="path", **style)
    logarithmic = found.spans_decades and float(np.nanmin(found.loss)) > 0
    drawn.update_xaxes(title=found.plane.names[0])
    drawn.update_yaxes(title="loss", type="log" if logarithmic else "linear")
    return drawn


def _contours(go: Any, found: Landscape) -> Any:
    values = _scaled(found, found.height)
    x, y = found.axes
    drawn = go.Figure()
    drawn.add_contour(
        x=x,
        y=y,
        z=values,
        customdata=found.loss,
        colorscale=SCALE,
        contours={"coloring": "heatmap", "showlabels": not found.spans_decades},
        ncontours=14,
        colorbar=_bar(found, values),
        hovertemplate="%{x:.3g}, %{y:.3g}: loss %{customdata:.4g}<extra></extra>",
    )
    if found.path is not None:
        style = {"mode": "lines+markers", "line": {"color": COLOURS[1]}}
        marker = {"size": _sizes(found.path), "symbol": _symbols(found.path), "color": "white"}
        marker["line"] = {"color": COLOURS[1], "width": 1}
        place = dict(zip("xy", found.path.T))
        told = {"hovertemplate": "path: loss %{customdata:.4g}<extra></extra>", "name": "path"}
        drawn.add_scatter(**place, **style, **told, marker=marker, customdata=found.path_loss)
    drawn.update_xaxes(title=found.plane.names[0], range=[x[0], x[-1]])
    drawn.update_yaxes(title=found.plane.names[1], range=[y[0], y[-1]])
    return drawn


def _relief(go: Any, found: Landscape) -> Any:
    values = _scaled(found, found.height)
    x, y = found.axes
    drawn = go.Figure()
    drawn.add_surface(
        x=x, y=y, z=values, colorscale=SCALE, colorbar=_bar(found, values), name="loss"
    )
    if found.path is not None:
        inside = np.array([[a[0], a[-1]] for a in found.axes])
        shown = ((found.path >= inside[:, 0]) & (found.path <= inside[:, 1])).all(axis=1)
        place = dict(zip("xy", found.path[shown].T))
        line = {"color": COLOURS[1], "width": 6}
        heights = _scaled(found, path_height(found))[shown]
        drawn.add_scatter3d(**place, z=heights, mode="lines", line=line, name="path")
    name = name_of_loss(found)
    axes = {f"{a}axis": {"title": text} for a, text in zip("xy", found.plane.names)}
    axes["zaxis"] = {"title": f"log₁₀ ({name})" if found.spans_decades else name}
    drawn.update_layout(scene=axes)
    return drawn


def _sizes(path: Array) -> list[int]:
    return [10, *[4] * (len(path) - 2), 14][: len(path)]


def _symbols(path: Array) -> list[str]:
    return ["square", *["circle"] * (len(path) - 2), "star"][: len(path)]
