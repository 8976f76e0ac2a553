"""How all pictures look: an optimizer has one colour, line and marker, wherever it is drawn.

The colours are those of Okabe and Ito, which people with colour-blindness tell apart; lines and
markers differ too, so that pictures can be read in black and white.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

from ...optim import OPTIMIZERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
DASHES = ["solid", "dashed", "dashdot", "dotted", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 3))]
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]

# Those that are often seen together come first, so that no two of them are alike.
FIRST = ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adadelta", "adam"]
_ORDER = [*FIRST, *(name for name in OPTIMIZERS if name not in FIRST)]


class Style(NamedTuple):
    """A colour, a line and a marker."""

    colour: str
    dashes: Any
    marker: str

    @property
    def line(self) -> dict[str, Any]:
        """As arguments of `Axes.plot`."""
        return {"color": self.colour, "linestyle": self.dashes}


def style_of(name: str) -> Style:
    """The style of an optimizer by its registered name, or of anything else by its number."""
    if name in _ORDER:
        return numbered(_ORDER.index(name))
    return numbered(sum(map(ord, name)))


def numbered(i: int) -> Style:
    """The style with this number; the first seven differ in all three, the first 49 in two."""
    turn, place = divmod(i, len(COLOURS))
    return Style(
        COLOURS[place], DASHES[(place + turn) % len(DASHES)], MARKERS[(place + 2 * turn) % 7]
    )


def figure(width: float = 7.0, height: float = 4.0) -> Figure:
    """An empty figure, without a window; ImportError with what to install."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise missing("matplotlib") from None
    return Figure(figsize=(width, height), layout="constrained")


def missing(package: str, extra: str = "viz") -> ImportError:
    """The sentence for a package that is not installed."""
    return ImportError(f'This needs {package}: pip install "tinygrad-opt[{extra}]"')


def label(axes: Axes, x: str, y: str, title: str = "") -> None:
    """Name both axes, with units where there are any."""
    axes.set(xlabel=x, ylabel=y, title=title)
    axes.grid(alpha=0.25, linewidth=0.6)


def distinct(names: list[str]) -> dict[str, Style]:
    """Styles for names that are drawn together: their own, and others where two are too alike."""
    found: dict[str, Style] = {}
    for name in names:
        wanted = style_of(name)
        free = (numbered(i) for i in itertools.count())
        while any(wanted[:2] == one[:2] for one in found.values()):
            wanted = next(free)
        found[name] = wanted
    return found
