"""A training that meets its end at a place that is known: python -m tests.faults.victim FOLDER HOW

HOW is the number of a file operation in FOLDER before which the process is killed, or "write", for
a death in the middle of a write, or "quota", for a disk that is full then.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from itertools import count
from typing import Any

import tinygrad_opt as tg

from .run import train

FILE_OPERATIONS = ("open", "os.rename", "os.remove")
QUOTA = 19_000  # bytes of a file: some checkpoints, which grow, are smaller


def die_before(operation: int, folder: str) -> None:
    """SIGKILL, before the file operation of this number in the folder."""
    number = count()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        here = event in FILE_OPERATIONS and str(arguments[0]).startswith(folder)
        if here and next(number) == operation:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def main(folder: str, how: str) -> None:
    """Train until then."""
    if how.isdecimal():
        die_before(int(how), folder)
    else:
        if how == "write":
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (QUOTA, -1))
    train(tg.Checkpoints(folder, every=1, keep=2))


if __name__ == "__main__":
    main(*sys.argv[1:])
