"""Kill trainings at random moments, again and again: python -m tests.faults.killer FOLDER TIMES

Each child goes on from the newest checkpoint and saves after every update, until it is killed or
done. What was said to be saved must be there after its death, and nothing beyond the one that was
on its way; a run that got to its end must be, to the bit, the run that nobody killed.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_opt as tg

from .run import newest, same, train

EXPECTED = train()


class Told(tg.Checkpoints):
    """It says through a pipe which update is safe."""

    def __init__(self, folder: Path, pipe: int) -> None:
        super().__init__(folder, every=1, keep=2)
        self.pipe = pipe

    def save(self, updates: int, **parts: Any) -> Path:
        path = super().save(updates, **parts)
        os.write(self.pipe, updates.to_bytes(4, "big"))
        return path


def start(folder: Path) -> tuple[int, int]:
    """A child that trains, and the pipe through which it speaks; exit code 3 for a wrong run."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    try:
        os._exit(0 if same(train(Told(folder, writing)), EXPECTED) else 3)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    os._exit(4)


def end(child: int, pipe: int, kill_after: float | None) -> tuple[int, int]:
    """How it ended, 0 or −SIGKILL, and the last update that it said was safe."""
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with os.fdopen(pipe, "rb") as file:
        return code, int.from_bytes(file.read()[-4:], "big")


def main(folder: Path, times: int) -> None:
    """So many deaths, then an end."""
    chance = np.random.default_rng()
    kills = runs = in_a_save = before = 0
    while kills < times or before:
        place = folder / str(runs)
        moment = chance.uniform(0, 0.06) if kills < times else None
        code, told = end(*start(place), moment)
        there = newest(place)
        assert max(before, told) <= there <= max(before, told) + 1, (before, told, there)
        if code == 0:
            runs, before = runs + 1, 0
            continue
        assert code == -signal.SIGKILL, code
        kills, before = kills + 1, there
        in_a_save += any(place.glob(".step-*.part"))
    print(f"{kills} kills, {in_a_save} of them in the middle of a save, {runs} runs")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
