"""Files that are there whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def put(path: Path, content: bytes, beside: Path) -> None:
    """Write a file beside its place, in the same folder, and then move it there.

    OSError where that fails; then what was there before is untouched, and nothing is left beside.
    """
    try:
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        _keep_name(path.parent)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def _keep_name(folder: Path) -> None:
    """The new name, too, outlives a power cut, where the system can promise that."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
