"""On which devices the tests of a run are: it follows from `-m`."""

from __future__ import annotations

import re

import pytest

DEVICES = {"gpu": ["cuda"], "kernels": ["kernels"], "oracle": ["cpu"]}
DEVICES |= {mark: ["cpu"] for mark in ("fast", "viz", "browser", "notebook")}


def selected(config: pytest.Config) -> list[str]:
    """The devices of this run."""
    wanted = re.findall(r"(?<!not )\b\w+", config.getoption("markexpr"))
    named = [DEVICES[mark] for mark in wanted if mark in DEVICES]
    return named[0] if named else ["cpu", "standin"]


def devices_of(item: pytest.Function | pytest.FunctionDefinition, config: pytest.Config) -> list:
    """Those on which this test runs, for `parametrize`."""
    devices = selected(config)
    if item.get_closest_marker("oracle") and devices != ["cpu"]:
        return []
    if item.get_closest_marker("host"):
        at_home = "cpu" in devices or any(item.get_closest_marker(d) for d in devices)
        return ["cpu"] if at_home else []
    only = item.get_closest_marker("on")
    if only:
        devices = [device for device in devices if device in only.args]
    marks = {"cuda": pytest.mark.gpu, "kernels": pytest.mark.kernels}
    return [pytest.param(d, marks=marks[d]) if d in marks else d for d in devices]
