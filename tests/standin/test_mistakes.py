"""The stand-in refuses what CuPy refuses; on a GPU, CuPy itself is asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.standin import strict_cupy
from tests.standin.mistakes import MISTAKES, Mistake


def matrix(xp: Any) -> Any:
    return xp.asarray(np.arange(6, dtype=np.float32).reshape(2, 3))


@pytest.mark.host
@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_the_stand_in_refuses(mistake: Mistake) -> None:
    with strict_cupy.installed() as xp, pytest.raises(mistake.error, match=mistake.text or None):
        mistake.make(xp, matrix(xp))


@pytest.mark.on("cuda")
@pytest.mark.parametrize("mistake", [m for m in MISTAKES if not m.stricter], ids=str)
def test_cupy_refuses_the_same(mistake: Mistake) -> None:
    import cupy

    with pytest.raises((mistake.error, RuntimeError, ValueError, TypeError, AttributeError)):
        mistake.make(cupy, matrix(cupy))
