"""The picture of a graph in a real browser: it is drawn, and the text fits into its boxes."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_opt.teach import to_svg
from tinygrad_opt.teach.examples import EXAMPLES

pytestmark = [pytest.mark.browser, pytest.mark.on("cpu")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.fail("There is no Chromium: apt-get install chromium.")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


INSIDE = """() => [...document.querySelectorAll("g > g")].every(box => {
    const frame = box.querySelector("rect").getBoundingClientRect();
    return [...box.querySelectorAll("text")].every(text => {
        const place = text.getBoundingClientRect();
        return place.left >= frame.left && place.right <= frame.right
            && place.top >= frame.top && place.bottom <= frame.bottom;
    });
})"""


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_picture_is_drawn_and_every_text_lies_in_its_box(
    browser: Any, tmp_path: Path, name: str
) -> None:
    from PIL import Image

    path = tmp_path / "graph.svg"
    to_svg(EXAMPLES[name].build()[0], order=True).save(path)
    page = browser.new_page(viewport={"width": 1000, "height": 1000})
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    assert requests == [path.as_uri()]
    assert page.locator("g > g").count() >= 4
    assert page.evaluate(INSIDE)
    screen = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("L"))
    assert (screen < 80).mean() > 0.001  # black lines and letters, whatever the colours
    page.close()
