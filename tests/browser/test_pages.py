"""Pages in a real browser: opened from a file they ask for nothing, and they play."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_opt.teach import landscape, race, trace
from tinygrad_opt.teach.plot.landscape_page import landscape_html
from tinygrad_opt.teach.plot.page import page
from tinygrad_opt.teach.plot.race_page import race_html

pytestmark = [pytest.mark.browser, pytest.mark.on("cpu")]

QUIET = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync
--disable-background-networking --disable-component-update"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.fail("There is no Chromium: apt-get install chromium.")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=QUIET.split())
        yield running
        running.close()


class Opened:
    """A page, with all that it asked for and complained about."""

    def __init__(self, browser: Any, path: Path) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page = browser.new_page(viewport={"width": 1200, "height": 1400})
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector(".main-svg")

    def picture(self) -> np.ndarray[Any, Any]:
        """The screen in shades of grey."""
        from PIL import Image

        return np.asarray(Image.open(io.BytesIO(self.page.screenshot())).convert("L")).astype(int)

    def moment(self) -> str:
        return str(self.page.locator("output").text_content())


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("rosenbrock", {}),
        ("double_well", {"evaluations": 60}),
        ("moons", {"seeds": 2, "evaluations": 40}),
    ],
)
def test_a_race_plays_without_a_network(
    browser: Any, tmp_path: Path, task: str, options: dict[str, Any]
) -> None:
    found = race(task, ["sgd", "momentum", "adam"], tune=3, **options)
    path = tmp_path / "race.html"
    path.write_text(race_html(found), encoding="utf-8")
    assert path.stat().st_size <= 6_000_000
    opened = Opened(browser, path)
    page = opened.page
    assert page.title() == f"Race on {task}"
    end = f"gradients computed: {found.task.evaluations}"
    page.wait_for_function("end => document.querySelector('output').textContent === end", arg=end)
    whole = opened.picture()
    assert whole.std() > 10 and len(np.unique(whole)) > 20
    assert page.locator("tbody tr").count() == 3 and found.verdict.splitlines()[0] in (
        page.locator("main").text_content()
    )

    page.get_by_role("button").click()  # from the end it plays from the beginning
    page.wait_for_function("end => document.querySelector('output').textContent !== end", arg=end)
    page.wait_for_function("document.querySelector('input').valueAsNumber > 3")
    page.get_by_role("button").click()  # pause
    page.wait_for_timeout(300)
    paused = opened.moment()
    assert paused != end
    page.wait_for_timeout(300)
    assert opened.moment() == paused
    assert np.abs(opened.picture() - whole).max() > 100

    slider = page.get_by_role("slider", name="gradients computed")
    slider.focus()
    slider.press("Home")
    assert opened.moment() == "gradients computed: 0"
    slider.press("End")
    page.wait_for_timeout(500)
    assert opened.moment() == end
    assert np.abs(opened.picture() - whole)[:1000].mean() < 1
    assert opened.requests == [path.as_uri()] and opened.complaints == []


def test_maps_stay_under_the_ways(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "race.html"
    path.write_text(race_html(race("rosenbrock", ["adam"], tune=1)), encoding="utf-8")
    opened = Opened(browser, path)
    opened.page.get_by_role("slider").focus()
    for key in ("Home", "ArrowRight", "ArrowRight"):
        opened.page.get_by_role("slider").press(key)
    opened.page.wait_for_timeout(300)
    assert opened.page.locator(".contourfill path").count() > 10


@pytest.mark.parametrize("three_d", [False, True])
def test_a_landscape_opens_without_a_network(browser: Any, tmp_path: Path, three_d: bool) -> None:
    history = trace("rosenbrock", None, "adam", 40, lr=0.1)
    found = landscape("rosenbrock", history=history, directions="axes", grid=15)
    path = tmp_path / "landscape.html"
    path.write_text(landscape_html(found, "Rosenbrock", three_d), encoding="utf-8")
    assert path.stat().st_size <= 6_000_000
    opened = Opened(browser, path)
    assert opened.page.title() == "Rosenbrock"
    assert opened.picture().std() > 10
    assert opened.requests == [path.as_uri()]


def test_a_figure_that_does_not_move_stands_on_a_page(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "still.html"
    line = {"data": [{"type": "scatter", "x": [0, 1], "y": [0, 1]}], "layout": {}}
    path.write_text(page("Still & <b>quiet</b>", line, "words"), encoding="utf-8")
    opened = Opened(browser, path)
    assert opened.page.title() == "Still & <b>quiet</b>"
    assert opened.page.locator(".modebar-btn").count() == 0  # one of them sends the figure away
    assert opened.requests == [path.as_uri()] and opened.complaints == []
