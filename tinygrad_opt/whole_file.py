"""Files that are there whole or not at all, whatever happens while they are written.

Order: writing · reading.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from pathlib import Path

MOST_LINKS = 40  # one after another: as many as Linux follows

# ---- writing ----------------------------------------------------------------------------------


def write(path: Path, content: bytes) -> None:
    """`put` a file where links lead to; write into a device, a pipe or an open file, /dev/stdout.

    OSError where that fails; then a file that was there before is untouched.
    """
    place = _end_of_links(path)
    if _is_open_file(place):
        with open(int(place.name), "wb", closefd=False) as stream:
            stream.write(content)
    elif _is_file_or_new(place):
        put(place, content)
    else:
        path.write_bytes(content)


def may_write(path: Path) -> bool:
    """Whether there is a place for `write`, and permission, as far as can be seen beforehand."""
    try:
        place = _end_of_links(path)
        if _is_open_file(place):
            return place.exists()
        if _is_file_or_new(place):
            return place.parent.is_dir() and os.access(place.parent, os.W_OK)
        return not place.is_dir() and os.access(path, os.W_OK)
    except OSError:
        return False


def _end_of_links(path: Path) -> Path:
    """Where links lead to; those in /proc stay, for they name what a process has open."""
    _check_name(path)
    for _ in range(MOST_LINKS):
        path = Path(os.path.realpath(path.parent), path.name)
        if not path.is_symlink() or path.parts[1:2] == ("proc",):
            break
        path = path.parent / os.readlink(path)
    return path


def _is_open_file(place: Path) -> bool:
    """Whether it is one of this process by its number, as /dev/stdout is."""
    return place.name.isdecimal() and str(place.parent) == os.path.realpath("/dev/fd")


def _is_file_or_new(place: Path) -> bool:
    return not place.is_symlink() and (place.is_file() or not place.exists())


def put(path: Path, content: bytes) -> None:
    """Write a file beside its place, as ``.NAME.….part``, and then move it there.

    OSError where that fails; then what was there before is untouched, and nothing is left beside.
    """
    _check_name(path)
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


# ---- reading ----------------------------------------------------------------------------------


def check_readable(path: Path) -> None:
    """OSError for what need not have an end, a pipe or a device, and for what cannot be there."""
    _check_name(path)
    kind = path.stat().st_mode
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):  # who opens a folder is told so
        raise OSError("it is no file but a pipe or a device")


def _check_name(path: Path) -> None:
    if "\0" in str(path):
        raise OSError("no name can hold the character NUL")
