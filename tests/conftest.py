"""Every test starts from the same random numbers."""

from __future__ import annotations

import pytest

from tinygrad_opt.device import manual_seed


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The generator behind initialization, dropout and `randn`."""
    manual_seed(0)
