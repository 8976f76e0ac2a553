"""Pictures of races: what is drawn, how large, and how fast."""

from __future__ import annotations

import io
import json
import re
import time
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_opt.teach import Race, race
from tinygrad_opt.teach.plot.page import Moving, page
from tinygrad_opt.teach.plot.race import race_figure
from tinygrad_opt.teach.plot.race_gif import race_gif
from tinygrad_opt.teach.plot.race_page import race_html
from tinygrad_opt.teach.plot.race_scene import scene_of

pytestmark = [pytest.mark.viz, pytest.mark.on("cpu")]

TASKS: dict[str, dict[str, Any]] = {
    "rosenbrock": {},
    "double_well": {},
    "iris": {"seeds": 2, "evaluations": 24},
    "sine": {"seeds": 2, "evaluations": 24},
    "saddle": {"evaluations": 20},
}


@pytest.fixture(scope="module", params=TASKS)
def raced(request: pytest.FixtureRequest) -> Race:
    options = {"tune": 3, "evaluations": 40} | TASKS[request.param]
    return race(request.param, ["sgd", "momentum", "adam"], **options)


@pytest.fixture(scope="module")
def on_rosenbrock() -> Race:
    return race("rosenbrock", ["sgd", "momentum", "adam"], tune=3)


def test_the_title_says_how_many_are_missing() -> None:
    titles: list[str] = []

    def look(done: int, so_far: Race) -> None:
        titles.append(scene_of(so_far).title)

    race("bowl", ["sgd", "adam"], tune=1, evaluations=3, on_racer=look)
    assert titles == ["Race on bowl (1 of 2 optimizers)", "Race on bowl"]


def test_both_columns_are_drawn_on_the_same_scales_with_named_axes(raced: Race) -> None:
    figure = race_figure(raced)
    axes = figure.axes
    assert len(axes) == 2 * len(scene_of(raced).rows)
    for left, right in zip(axes[::2], axes[1::2], strict=True):
        assert left.get_ylim() == right.get_ylim() and left.get_xlim() == right.get_xlim()
        assert left.get_xlabel() and left.get_ylabel()
    assert axes[0].get_title() == "one rate for all: lr 0.1"
    assert axes[1].get_title().startswith("its own rate each: the best of")
    labels = [text.get_text() for ax in axes if ax.legend_ for text in ax.legend_.get_texts()]
    assert any(label.startswith("adam, lr ") for label in labels)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    from PIL import Image

    pixels = np.asarray(Image.open(picture).convert("L"))
    assert len(np.unique(pixels)) > 20 and pixels.std() > 10


def test_curves_of_networks_are_the_median_with_a_band() -> None:
    found = race("iris", ["sgd"], tune=1, seeds=3, evaluations=12)
    line = scene_of(found).rows[0][0].lines[0]
    losses = [[v for _, v in h.metrics["test_loss"]] for h in found.racers["sgd"].common]
    np.testing.assert_array_equal(line.y, np.median(losses, axis=0))
    assert line.least is not None and line.most is not None
    np.testing.assert_array_equal(line.least, np.min(losses, axis=0))
    np.testing.assert_array_equal(line.most, np.max(losses, axis=0))
    assert line.x.tolist() == [3, 6, 9, 12]


def test_a_way_that_diverges_keeps_its_ball_in_the_picture(on_rosenbrock: Race) -> None:
    panel = scene_of(on_rosenbrock).rows[0][0]
    sgd = panel.lines[0]
    assert sgd.fell and np.abs(sgd.x[-1]) > 100
    assert panel.ball(sgd, len(sgd.x)) == 0
    adam = panel.lines[2]
    assert not adam.fell and panel.ball(adam, 7) == 6


def test_a_function_that_takes_one_point_at_a_time_is_drawn_too() -> None:
    def bent(w: Any) -> Any:
        return ((w - 1) ** 2).sum() + w.prod()

    panel = scene_of(race(bent, ["sgd"], start=[2.0, 3.0], tune=1, evaluations=4)).rows[0][0]
    assert panel.ground is not None
    x, y, height = panel.ground
    assert height[3, 5] == pytest.approx((x[5] - 1) ** 2 + (y[3] - 1) ** 2 + x[5] * y[3])
    assert (panel.x_range, panel.y_range) == ((-2.0, 6.0), (-2.0, 8.0))


@pytest.mark.parametrize("names", [["sophiag"], ["sgd"]])
def test_a_race_that_nobody_ends_is_drawn(names: list[str]) -> None:
    found = race("rosenbrock", names, lr=10.0, tune=2, grid=(20.0, 40.0))
    assert len(race_figure(found).axes) == 4
    assert found.verdict.splitlines()[0] in race_html(found)
    assert race_gif(found).startswith(b"GIF89a")


def test_moments_reach_from_the_start_to_the_end(on_rosenbrock: Race) -> None:
    scene = scene_of(on_rosenbrock)
    line = scene.rows[1][0].lines[2]
    assert scene.moments(5) == [0, 50, 100, 150, 200]
    assert [line.until(moment) for moment in scene.moments(5)] == [1, 51, 101, 151, 201]


def test_a_moving_picture_is_small_quick_and_moves(on_rosenbrock: Race) -> None:
    from PIL import Image

    began = time.perf_counter()
    data = race_gif(on_rosenbrock)
    assert time.perf_counter() - began < 20  # 2 s on an idle machine
    assert len(data) <= 500_000
    picture = Image.open(io.BytesIO(data))
    assert getattr(picture, "n_frames", 1) == 40 and picture.size[0] == 800
    frames = []
    for number in (0, 20, 39):
        picture.seek(number)
        frames.append(np.asarray(picture.convert("L")).astype(int))
    assert [np.abs(a - b).max() > 100 for a, b in pairwise(frames)] == [True, True]


def test_the_picture_that_greets_readers_is_small_and_wide_enough() -> None:
    from PIL import Image

    path = Path(__file__).parents[2] / "docs" / "race.gif"
    assert path.stat().st_size <= 500_000
    with Image.open(path) as picture:
        assert getattr(picture, "n_frames", 1) <= 40 and picture.size[0] == 800


# ---- the page ---------------------------------------------------------------------------------


class Outline(HTMLParser):
    """Tags, attributes and texts outside scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] not in ("script", "style") and data.strip():
            self.texts.append(data.strip())


def test_the_page_holds_everything_and_loads_nothing(raced: Race) -> None:
    began = time.perf_counter()
    text = race_html(raced)
    assert time.perf_counter() - began < 2  # 0.2 s on an idle machine
    assert len(text.encode()) <= 6_000_000
    outline = Outline(text)
    assert ("html", {"lang": "en"}) in outline.tags
    assert f"Race on {raced.task.name}" in outline.texts
    assert not [tag for tag, attrs in outline.tags if attrs.get("src") or attrs.get("href")]
    for row in raced.table():
        assert set(row.values()) <= set(outline.texts)
    assert set(raced.verdict.splitlines()) <= set(outline.texts)
    growth = json.loads(re.findall(r"const growth = (.*);", text)[0])
    assert len(growth["reached"]) == len(growth["moments"]) <= 61
    assert all(len(counts) == len(growth["traces"]) for counts in growth["reached"])


def test_text_on_a_page_cannot_break_it() -> None:
    nasty = "</script><script>alert(1)</script>"
    line = {"type": "scatter", "x": [0, 1], "y": [0, 1], "name": nasty}
    moving = Moving({"data": [line], "layout": {}}, [0], set(), [[1], [2]], ["0", nasty], nasty)
    text = page(nasty, nasty, [{nasty: nasty}], moving)
    tags = [tag for tag, _ in Outline(text).tags]
    assert tags.count("script") == 2 and "<script>alert" not in text


def test_a_figure_of_plotlys_own_that_does_not_move_is_welcome() -> None:
    import plotly.graph_objects as go

    text = page("Still", go.Figure(go.Surface(z=np.eye(3))), "words")
    assert "const growth = null;" in text and '<input type="range"' not in text
