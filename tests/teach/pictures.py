"""What tests of pictures share."""

from __future__ import annotations

from typing import Any

import numpy as np


def pixels(figure: Any) -> np.ndarray[Any, Any]:
    """A figure of matplotlib's as (height, width, 4) bytes; a blank one has no deviation."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())
