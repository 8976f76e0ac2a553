"""A race as a small moving picture.

What does not move is drawn once, and every frame begins with a copy of it.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from ..history import Array
from ..race import Race
from .race import Drawing
from .race_scene import scene_of
from .style import missing

FRAMES = 40
COLOURS = 128
PAUSE, LAST = 100, 3000  # milliseconds for a frame, and for the end


def race_gif(race: Race) -> bytes:
    """At most 40 frames, 800 pixels wide, that begin again and again; ImportError without [viz]."""
    try:
        from PIL import Image
    except ImportError:
        raise missing("Pillow") from None
    images = [Image.fromarray(frame) for frame in _frames(race)]
    rare_ones_too = Image.Quantize.MAXCOVERAGE
    palette = images[-1].quantize(COLOURS, rare_ones_too, kmeans=1, dither=Image.Dither.NONE)
    small = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    file = io.BytesIO()
    small[0].save(
        file,
        format="GIF",
        save_all=True,
        append_images=small[1:],
        duration=[PAUSE] * (len(small) - 1) + [LAST],
        loop=0,
    )
    return file.getvalue()


def _frames(race: Race) -> list[Array]:
    """The pictures, each (height, width, 3) of uint8."""
    scene = scene_of(race)
    drawing = Drawing(scene, width=8, row_height=2.7)
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(drawing.figure)
    canvas.draw()  # everything finds its place
    drawing.figure.set_layout_engine("none")
    for artist in (drawing.title, *(a for _, _, *artists in drawing.moving for a in artists)):
        artist.set_animated(True)
    canvas.draw()
    still = canvas.copy_from_bbox(drawing.figure.bbox)
    legends = [canvas.copy_from_bbox(legend.get_window_extent()) for legend in drawing.legends]
    found = []
    for moment in scene.moments(FRAMES):
        canvas.restore_region(still)
        for panel, line, trail, ball in drawing.moving:
            reached = line.until(moment)
            at = panel.ball(line, reached)
            trail.set_data(line.x[:reached], line.y[:reached])
            ball.set_data(line.x[at : at + 1], line.y[at : at + 1])
            trail.axes.draw_artist(trail)
            ball.axes.draw_artist(ball)
        for legend in legends:
            canvas.restore_region(legend)
        drawing.title.set_text(f"{scene.title}: {moment:,} of {scene.end:,} gradients")
        drawing.figure.draw_artist(drawing.title)
        found.append(np.array(canvas.buffer_rgba())[..., :3].copy())
    return found
