"""A race as a page that plays: maps and curves that grow, the table, and the verdict."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..race import Race
from .page import Moving, page
from .race_scene import Line, Panel, Scene, scene_of
from .style import Style, distinct

MOMENTS = 61
SYMBOLS = {
    "o": "circle",
    "s": "square",
    "^": "triangle-up",
    "D": "diamond",
    "v": "triangle-down",
    "P": "cross",
    "X": "x",
}
DASHES = {"solid": "solid", "dashed": "dash", "dashdot": "dashdot", "dotted": "dot"}


def race_html(race: Race) -> str:
    """One self-contained page: no network, a button to play, a slider, table and verdict."""
    scene = scene_of(race)
    words = (
        f"Everyone computes {scene.end:,} gradients. To the left all have one learning rate, to "
        "the right each has the one of those tried that suits it best."
    )
    if scene.rows[0][0].is_map:
        words += " A hollow ball ends the way of those that diverged."
    return page(scene.title, words, _figure(scene), race.legend, race.table(), race.verdict)


def _figure(scene: Scene) -> Moving:
    styles = distinct(scene.names)
    data: list[dict[str, Any]] = []
    layout: dict[str, Any] = {
        "height": 420 * len(scene.rows) + 60,
        "margin": {"l": 60, "r": 20, "t": 40, "b": 50},
        "plot_bgcolor": "#fff",
        "legend": {"orientation": "h", "y": 1.06, "yanchor": "bottom"},
        "annotations": [],
    }
    growing: list[tuple[int, Panel, Line, bool]] = []
    named: set[str] = set()
    for r, row in enumerate(scene.rows):
        for c, panel in enumerate(row):
            axis = _axes(layout, panel, 2 * r + c, r, c, len(scene.rows))
            data += [_ground(panel) | axis] if panel.is_map else []
            data += [_goals(panel) | axis] if panel.goals else []
            for line in panel.lines:
                style = styles[line.name]
                if line.least is not None:
                    data.append(_band(line, style) | axis)
                shown = {"legendgroup": line.name, "showlegend": line.name not in named}
                named.add(line.name)
                growing.append((len(data), panel, line, False))
                data.append(_trail(line, style) | axis | shown)
                growing.append((len(data), panel, line, True))
                data.append(_ball(line, style) | axis)
    moments = scene.moments(MOMENTS)
    return Moving(
        {"data": data, "layout": layout},
        [number for number, *_ in growing],
        {number for number, *_, ball in growing if ball},
        [
            [
                panel.ball(line, line.until(moment)) + 1 if ball else line.until(moment)
                for _, panel, line, ball in growing
            ]
            for moment in moments
        ],
        [str(moment) for moment in moments],
        "gradients computed",
    )


def _axes(
    layout: dict[str, Any], panel: Panel, number: int, row: int, column: int, rows: int
) -> dict[str, str]:
    """Put the axes of a panel into the layout, and say which they are."""
    suffix = "" if number == 0 else str(number + 1)
    high = 1 / rows
    left, bottom = 0.53 * column, 1 - (row + 1) * high + (0.08 if row < rows - 1 else 0)
    frame = {"showline": True, "mirror": True, "linecolor": "#888", "gridcolor": "#eee"}
    y_range = np.log10(panel.y_range).tolist() if panel.log else list(panel.y_range)
    layout[f"xaxis{suffix}"] = frame | {
        "domain": [left, left + 0.47],
        "anchor": f"y{suffix}",
        "range": list(panel.x_range),
        "title": {"text": panel.x_label},
        "zeroline": False,
    }
    layout[f"yaxis{suffix}"] = frame | {
        "domain": [bottom, 1 - row * high],
        "anchor": f"x{suffix}",
        "range": y_range,
        "type": "log" if panel.log else "linear",
        "title": {"text": panel.y_label},
        "zeroline": False,
        **({"exponentformat": "power", "dtick": 1} if panel.log else {}),
    }
    if panel.title:
        layout["annotations"].append(
            {
                "text": f"<b>{panel.title}</b>",
                "showarrow": False,
                "xref": "paper",
                "yref": "paper",
                "x": left + 0.235,
                "y": 1,
                "xanchor": "center",
                "yanchor": "bottom",
            }
        )
    return {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}


def _ground(panel: Panel) -> dict[str, Any]:
    """The map, or the profile of a surface of one number."""
    quiet = {"hoverinfo": "skip", "showlegend": False}
    if panel.slope is not None:
        x, y = (_short(values) for values in panel.slope)
        return quiet | {"type": "scatter", "mode": "lines", "x": x, "y": y, "line": _grey(3)}
    assert panel.ground is not None
    x, y, height = (_short(values) for values in panel.ground)
    return quiet | {
        "type": "contour",
        "x": x,
        "y": y,
        "z": height,
        "ncontours": 18,
        "showscale": False,
        "colorscale": [[0, "#ffffff"], [1, "#b5b5b5"]],
        "line": {"color": "#ffffff", "width": 0.6},
    }


def _grey(width: float) -> dict[str, Any]:
    return {"color": "#999", "width": width}


def _goals(panel: Panel) -> dict[str, Any]:
    star = {"symbol": "star", "size": 15, "color": "gold", "line": {"color": "#000", "width": 1}}
    x, y = zip(*panel.goals, strict=True)
    quiet = {"type": "scatter", "mode": "markers", "showlegend": False, "name": "minimum"}
    return quiet | {"x": list(x), "y": list(y), "marker": star}


def _band(line: Line, style: Style) -> dict[str, Any]:
    """From the least to the largest over the seeds, as a closed outline."""
    assert line.least is not None and line.most is not None
    return {
        "type": "scatter",
        "mode": "none",
        "x": _short(np.concatenate([line.x, line.x[::-1]])),
        "y": _short(np.concatenate([line.least, line.most[::-1]])),
        "fill": "toself",
        "fillcolor": f"{style.colour}26",
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _trail(line: Line, style: Style) -> dict[str, Any]:
    dash = style.dashes
    dash = DASHES[dash] if isinstance(dash, str) else ",".join(f"{n}px" for n in dash[1])
    return {
        "type": "scatter",
        "mode": "lines",
        "name": line.name,
        "x": _short(line.x),
        "y": _short(line.y),
        "line": {"color": style.colour, "dash": dash, "width": 2},
        "hovertemplate": f"{line.label}<br>%{{x:.4g}}, %{{y:.4g}}<extra></extra>",
    }


def _ball(line: Line, style: Style) -> dict[str, Any]:
    symbol = "circle-open" if line.fell else SYMBOLS[style.marker]
    edge = style.colour if line.fell else "#fff"
    return {
        "type": "scatter",
        "mode": "markers",
        "x": _short(line.x),
        "y": _short(line.y),
        "marker": {
            "symbol": symbol,
            "size": 12,
            "color": style.colour,
            "line": {"color": edge, "width": 1.5},
        },
        "showlegend": False,
        "hoverinfo": "skip",
    }


def _short(values: Any) -> Any:
    """Numbers in five digits, which is more than one sees; JSON's null for what is not finite."""
    if np.ndim(values) > 1:
        return [_short(row) for row in values]
    return [float(f"{v:.5g}") if np.isfinite(v) else None for v in values]
