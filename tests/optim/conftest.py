"""The engines of a device, for tests that have an argument `engine`."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_opt import Device
from tinygrad_opt.optim.engine import default_engine

SAME = {"on_device": "standin", "engine": "fast"}  # without kernels the reference is the fast one


@pytest.fixture
def fast_engine(on_device: Device) -> str:
    """What optimizers run on this device when nobody says: blocks, or one kernel."""
    return default_engine(on_device, np.dtype(np.float32))


@pytest.fixture(params=["reference", "fast"])
def engine(request: pytest.FixtureRequest, fast_engine: str) -> str:
    """The reference, then the fast one."""
    return fast_engine if request.param == "fast" else "reference"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What would run the same engine twice runs once."""
    twice = {item for item in items if SAME.items() <= parameters(item).items()}
    config.hook.pytest_deselected(items=list(twice))
    items[:] = [item for item in items if item not in twice]


def parameters(item: pytest.Item) -> dict[str, object]:
    """The parameters of a test by name."""
    return item.callspec.params if hasattr(item, "callspec") else {}
