"""Which tests a run has, and on which devices: by `-m`, narrowed by `--device` and `--one-in`."""

from __future__ import annotations

import re
import zlib

import pytest

DEVICES = {"gpu": ["cuda"], "kernels": ["kernels"], "oracle": ["cpu"]}
DEVICES |= {mark: ["cpu"] for mark in ("fast", "viz", "browser", "notebook")}
ASKED_FOR = {*DEVICES, "slow"}  # what `pytest` alone has not


def named(config: pytest.Config) -> list[str]:
    """The marks that `-m` asks for."""
    return re.findall(r"(?<!not )\b(?!not\b)\w+", config.getoption("markexpr"))


def left_out(item: pytest.Item) -> bool:
    """Whether this test has a mark that has to be asked for by name, and is not."""
    marks = {mark.name for mark in item.iter_markers()}
    return bool(marks & ASKED_FOR - {*named(item.config)})


def drawn(item: pytest.Item, one_in: int) -> bool:
    """Whether this one is among the cases of its test that a smaller run looks at: by its name."""
    cases = isinstance(item, pytest.Function) and set(item.callspec.params) - {"on_device"}
    return not cases or zlib.crc32(item.nodeid.encode()) % one_in == 0


def selected(config: pytest.Config) -> list[str]:
    """The devices of this run."""
    devices = [DEVICES[mark] for mark in named(config) if mark in DEVICES] or [["cpu", "standin"]]
    only = config.getoption("device")
    return [device for device in devices[0] if only in (None, device)]


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
