"""A folder of checkpoints: one every so often, the newest kept, the newest whole one taken."""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .container import CheckpointError, NewerVersion
from .tree import apart, together

ABOUT = "about"  # the part that says which run it is
NAME = re.compile(r"step-(\d{8}|[1-9]\d{8,})\.(npz|safetensors)")


class Checkpoints:
    """The checkpoints of one run: ``folder/step-00000450.npz`` and so on, by updates.

    One is due after every ``every`` updates or, with None, where the one who trains thinks best,
    which for `fit` is after every pass; the newest ``keep`` stay. ``about`` is plain data that says
    what the run is: a checkpoint that says something else is not taken, unless nothing is said
    here. ``kind`` is "npz" or "safetensors". ValueError for counts below 1 and other kinds, OSError
    for a folder that cannot be.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        every: int | None = None,
        keep: int = 3,
        about: Mapping[str, Any] | None = None,
        kind: str = "npz",
    ) -> None:
        counts = [keep] if every is None else [every, keep]
        if not all(isinstance(count, int) and count >= 1 for count in counts):
            raise ValueError(
                f"Checkpoints: every {every!r} and keep {keep!r}; both count from 1, or every is "
                "None."
            )
        if kind not in ("npz", "safetensors"):
            raise ValueError(f"Checkpoints: kind is {kind!r}; there are 'npz' and 'safetensors'.")
        self.folder, self.every, self.keep, self.kind = Path(folder), every, keep, kind
        self.about = dict(about or {})
        self._damaged: set[Path] = set()  # passed over by `load`
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(
                f"Checkpoints: {self.folder} is no folder and cannot be made one: "
                f"{error.strerror}. Name another."
            ) from None

    def due(self, updates: int) -> bool:
        """Whether it is time for one, after so many updates."""
        return self.every is not None and updates % self.every == 0

    def save(self, updates: int, /, **parts: Any) -> Path:
        """Write the checkpoint after so many updates, then let the oldest go.

        ValueError where a later one is there that this run did not pass over: another run's.
        """
        from . import save

        path = self.folder / f"step-{updates:08d}.{self.kind}"
        there = [one for one in self.paths() if one not in self._damaged]
        if there and _updates(there[-1]) > updates:
            raise ValueError(
                f"Checkpoints: {there[-1]} is later than the {updates} updates of this run. Load "
                "it first to go on from there, or name another folder."
            )
        if ABOUT in parts:
            raise ValueError(f"Checkpoints: {ABOUT} is said once, by Checkpoints(folder, about=…).")
        save(path, **parts, **{ABOUT: self.about})
        kept = [*there, path] if path not in there else there
        for old in [*kept[: -self.keep], *self._damaged, *self.folder.glob(".step-*.part")]:
            with contextlib.suppress(OSError):
                old.unlink()  # the hidden ones were left behind by a process that was killed
        self._damaged.clear()
        return path

    def paths(self) -> list[Path]:
        """The checkpoints that are there, the newest last."""
        found = {
            _updates(path): path for path in self.folder.iterdir() if NAME.fullmatch(path.name)
        }
        return [found[number] for number in sorted(found)]

    def load(self, **parts: Any) -> dict[str, Any] | None:
        """Take in the newest checkpoint that is whole, and return what else is in it.

        None where there is none at all. One that is damaged or cannot be read is passed over with a
        warning, and CheckpointError is raised where all are; for one of a newer version, too.
        ValueError, and nothing is changed, for one of another run.
        """
        from . import contents, take_in

        for path in reversed(self.paths()):
            try:
                tree, arrays = contents(path)
                if tree is None:
                    raise CheckpointError(f"load: {path} holds weights alone.")
                self._compare(path, tree.get(ABOUT))
                found = take_in(path, tree, arrays, parts)
            except NewerVersion:
                raise
            except (CheckpointError, OSError) as error:
                passed = str(error).removesuffix(" Take an older one.")
                warnings.warn(f"{passed} The one before is looked at.", stacklevel=2)
                self._damaged.add(path)
                continue
            found.pop(ABOUT, None)
            return found
        if self.paths():
            raise CheckpointError(
                f"Checkpoints: no file in {self.folder} is whole. Begin anew in another folder."
            )
        return None

    def _compare(self, path: Path, about: Any) -> None:
        there = about if isinstance(about, dict) else {}
        self.about = self.about or there  # who says nothing takes any, and says what it said
        here = together(apart(self.about, ABOUT, {}), {})
        if here == there:
            return
        differ = [
            f"{key} was {there.get(key)!r} and is {here.get(key)!r}"
            for key in dict.fromkeys([*here, *there])
            if here.get(key) != there.get(key)
        ]
        raise ValueError(
            f"{path} is of another run: {'; '.join(differ)}. Give what was given then, or another "
            "folder."
        )


def _updates(path: Path) -> int:
    """After how many updates it was written, by its name."""
    return int(path.stem.removeprefix("step-"))
