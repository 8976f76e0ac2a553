"""Files that are there whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path


def write(path: Path, content: bytes) -> None:
    """`put` a file, but go into a device, into a pipe or along a link as they are."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        path.write_bytes(content)
    else:
        put(path, content)


def put(path: Path, content: bytes) -> None:
    """Write a file beside its place, as ``.NAME.….part``, and then move it there.

    OSError where that fails; then what was there before is untouched, and nothing is left beside.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(OSError):  # there is none yet, or it is another's
            beside.chmod(path.stat().st_mode)
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
