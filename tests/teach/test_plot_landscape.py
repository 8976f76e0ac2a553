"""Pictures and pages of landscapes: not blank, with names, scales and the path."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.teach.pictures import pixels
from tinygrad_opt import nn, optim
from tinygrad_opt.data import DataLoader, prepare
from tinygrad_opt.teach import Landscape, fit, landscape, trace
from tinygrad_opt.teach.plot.landscape import landscape_figure
from tinygrad_opt.teach.plot.landscape_page import landscape_html

pytestmark = [pytest.mark.viz, pytest.mark.on("cpu")]


def rosenbrock(grid: int = 30) -> Landscape:
    return landscape("rosenbrock", history=trace("rosenbrock", None, "adam", 60, lr=0.1), grid=grid)


def moons(directions: str) -> Landscape:
    train, _ = prepare("moons")
    model = nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 2))
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    tg.manual_seed(0)
    history = fit(model, DataLoader(train), optimizer, epochs=3, snapshots=True)
    return landscape(model, train, directions=directions, history=history, grid=9)


def test_contours_carry_their_values_and_the_colours_a_name() -> None:
    drawn = landscape_figure(rosenbrock(), "Rosenbrock, Adam, lr 0.1")
    axes, bar = drawn.axes
    assert axes.get_title() == "Rosenbrock, Adam, lr 0.1"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", "y")
    assert bar.get_ylabel() == "loss" and bar.get_yscale() == "log"
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["path", "start", "end"]
    assert len(axes.texts) > 3 and all(re.match(r"[\d.]+$", t.get_text()) for t in axes.texts)
    assert pixels(drawn).std() > 20


@pytest.mark.parametrize("directions", ["pca", "random"])
def test_planes_of_networks_name_their_directions(directions: str) -> None:
    drawn = landscape_figure(moons(directions))
    assert "direction 1" in drawn.axes[0].get_xlabel()
    assert "direction 2" in drawn.axes[0].get_ylabel()
    assert pixels(drawn).std() > 20


def test_a_line_shows_the_curve_and_the_path() -> None:
    found = moons("line")
    (axes,) = landscape_figure(found).axes
    assert axes.get_xlabel().startswith("part of the way") and axes.get_ylabel() == "loss"
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), found.loss)
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), found.path_loss)


def test_relief_says_that_it_shows_the_logarithm() -> None:
    drawn = landscape_figure(rosenbrock(), three_d=True)
    assert drawn.axes[0].get_zlabel() == "log₁₀ (loss)"  # type: ignore[attr-defined]
    assert pixels(drawn).std() > 10


def test_flat_and_lost_landscapes_can_be_drawn() -> None:
    flat = rosenbrock(5)
    flat.loss = np.full((5, 5), 3.0)
    assert pixels(landscape_figure(flat)).std() > 10
    lost = rosenbrock(5)
    lost.loss[0, 0], lost.loss[1, 1] = np.nan, np.inf
    assert pixels(landscape_figure(lost)).std() > 10
    assert "NaN" not in landscape_html(lost)[-20_000:]


@pytest.mark.browser
@pytest.mark.parametrize("three_d", [False, True])
def test_the_page_opens_without_a_network(tmp_path: Path, three_d: bool) -> None:
    from playwright.sync_api import sync_playwright

    path = tmp_path / "page.html"
    path.write_text(landscape_html(rosenbrock(), "Rosenbrock", three_d), encoding="utf-8")
    assert path.stat().st_size < 6e6
    asked: list[str] = []
    faults: list[str] = []
    with sync_playwright() as play:
        found = shutil.which("chromium") or shutil.which("chromium-browser")
        options = ["--no-sandbox", "--use-gl=swiftshader"]
        browser = play.chromium.launch(executable_path=found, args=options)
        window = browser.new_page()
        window.on("request", lambda request: asked.append(request.url))
        window.on("pageerror", lambda error: faults.append(str(error)))
        window.goto(path.as_uri())
        window.wait_for_selector(".main-svg")
        assert "loss" in window.inner_text("body")
        browser.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert faults == []
