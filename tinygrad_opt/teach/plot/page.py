"""A page to hand out: one file with figures that move, tables and text, which needs no network.

plotly.js stands in the file itself. What grows along a figure is cut out of the whole lines by the
page, so that nothing is stored twice.
"""

from __future__ import annotations

import html
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Template
from typing import Any

from .style import missing

Rows = Sequence[Mapping[str, Any]]


@dataclass
class Moving:
    """A plotly figure that grows, with a button to play and a slider.

    ``traces`` are the numbers of the traces that grow, whose x, y and z are lists; of those in
    ``balls`` the last point alone is shown. ``reached[i][k]`` points of the k-th of them are there
    at moment i, for which ``moments`` has a word; ``unit`` says what is counted.
    """

    figure: Any
    traces: list[int]
    balls: set[int]
    reached: list[list[int]]
    moments: list[str]
    unit: str


def page(title: str, *parts: str | Rows | Moving | Any) -> str:
    """The text of a page: paragraphs (str), tables (rows of dicts), figures, and `Moving`.

    Figures of matplotlib's stand still; those of plotly's take plotly.js along. ImportError, with
    what to install, without it.
    """
    script = _plotly() if any(_takes_plotly(part) for part in parts) else ""
    body = "\n".join(_part(number, part) for number, part in enumerate(parts))
    return _PAGE.substitute(title=html.escape(title), style=_STYLE, plotly=script, body=body)


def _plotly() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise missing("plotly") from None
    text: str = get_plotlyjs()
    return text


def _takes_plotly(part: Any) -> bool:
    return not isinstance(part, (str, Sequence)) and not hasattr(part, "savefig")


def _part(number: int, part: Any) -> str:
    if isinstance(part, str):
        lines = "<br>\n".join(html.escape(part).splitlines())
        return f"<p>{lines}</p>"
    if isinstance(part, Sequence):
        return _table(part)
    if hasattr(part, "savefig"):
        drawn = io.StringIO()
        part.savefig(drawn, format="svg", metadata={"Date": None})
        _, tag, svg = drawn.getvalue().partition("<svg ")
        return f"<figure>{tag}{svg}</figure>"
    if isinstance(part, Moving):
        growth = {
            "traces": part.traces,
            "balls": [trace in part.balls for trace in part.traces],
            "reached": part.reached,
            "moments": part.moments,
        }
        controls = _CONTROLS.substitute(last=len(part.moments) - 1, unit=html.escape(part.unit))
        return _figure(number, part.figure, growth, controls)
    return _figure(number, part, None, "")


def _figure(number: int, figure: Any, growth: Any, controls: str) -> str:
    from plotly.io import to_json

    return _FIGURE.substitute(
        name=f"figure{number}",
        figure=_script_safe(to_json(figure, validate=False)),
        growth=_script_safe(json.dumps(growth)),
        controls=controls,
    )


def _table(rows: Rows) -> str:
    def cells(kind: str, values: Any) -> str:
        return "".join(f"<{kind}>{html.escape(str(value))}</{kind}>" for value in values)

    head = cells('th scope="col"', rows[0]).replace('</th scope="col">', "</th>")
    body = "\n".join(f"<tr>{cells('td', row.values())}</tr>" for row in rows)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _script_safe(text: str) -> str:
    """JSON that cannot end the script in which it stands."""
    return text.replace("<", "\\u003c")


_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 1.5rem auto; max-width: 75rem; padding: 0 1rem;
  color: #111; background: #fff; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: 0.25rem 0.9rem 0.25rem 0; text-align: left; border-bottom: 1px solid #ccc; }
td { font-variant-numeric: tabular-nums; }
figure { margin: 1rem 0; }
figure svg { max-width: 100%; height: auto; }
.controls { display: flex; gap: 1rem; align-items: center; }
.controls button { font: inherit; width: 7rem; padding: 0.3rem; }
.controls input { flex: 1; }
.controls output { min-width: 14rem; font-variant-numeric: tabular-nums; }
"""

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>$style</style>
<script>$plotly</script>
</head>
<body>
<main>
<h1>$title</h1>
$body
</main>
</body>
</html>
""")

_CONTROLS = Template("""<p class="controls"><button type="button">▶ play</button>
<input type="range" min="0" max="$last" value="$last" aria-label="$unit">
<output>$unit: </output></p>""")

_FIGURE = Template("""<figure id="$name">
<div></div>
$controls
</figure>
<script>
(() => {
  const figure = $figure;
  const growth = $growth;
  const here = document.getElementById("$name");
  const plot = here.querySelector("div");
  const options = {responsive: true, displayModeBar: false};  // one of its buttons sends data away
  if (!growth) {
    Plotly.newPlot(plot, figure.data, figure.layout, options);
    return;
  }
  const button = here.querySelector("button");
  const slider = here.querySelector("input");
  const output = here.querySelector("output");
  const unit = output.textContent;
  const whole = growth.traces.map((trace) => ({...figure.data[trace]}));
  const axes = ["x", "y", "z"].filter((axis) => whole[0][axis]);
  const show = (i) => {
    slider.value = i;
    output.textContent = unit + growth.moments[i];
    const part = {};
    for (const axis of axes)
      part[axis] = growth.reached[i].map((n, k) =>
        whole[k][axis].slice(growth.balls[k] ? n - 1 : 0, n));
    return Plotly.restyle(plot, part, growth.traces);
  };
  const last = growth.moments.length - 1;
  let playing = false;
  const turn = (on) => {
    playing = on;
    button.textContent = on ? "❚❚ pause" : "▶ play";
  };
  const play = async (i) => {
    if (!playing) return;
    await show(i);
    if (i < last) setTimeout(() => play(i + 1), 50);
    else turn(false);
  };
  button.onclick = () => {
    turn(!playing);
    play(Number(slider.value) % last);
  };
  slider.oninput = () => {
    turn(false);
    show(Number(slider.value));
  };
  Plotly.newPlot(plot, figure.data, figure.layout, options).then(() => show(last));
})();
</script>""")
