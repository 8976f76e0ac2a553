"""What the stand-in knows of CuPy is what the installed CuPy says."""

from __future__ import annotations

import subprocess
import sys

import cupy
import pytest

from tests.standin.array import ndarray
from tests.standin.make_api import API_FILE

pytestmark = [pytest.mark.kernels, pytest.mark.host]


def test_the_names_and_parameters_are_those_of_the_installed_cupy() -> None:
    program = "from tests.standin.make_api import text; print(text(), end='')"  # nothing imported
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == API_FILE.read_text(), "python -m tests.standin.make_api shows the change"


def test_the_stand_ins_array_can_do_nothing_that_cupys_cannot() -> None:
    special = {n for n in vars(ndarray) if n.startswith("__") and n.endswith("__")}
    own = {"__getattr__", "__weakref__"}
    assert {n for n in special - own if not hasattr(cupy.ndarray, n)} == set()
