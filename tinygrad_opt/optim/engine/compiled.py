"""One compiled loop a step: a rule's program by Numba, in one pass over the flat buffers.

The text of each loop is a file in the cache folder, beside which Numba keeps its machine code: only
the first process that meets a rule waits for the compiler. The arithmetic is that of the program,
call by call; nothing is contracted or reordered. Where Numba is missing or fails, and for halves,
the blocks of NumPy calls do the work.

Order: the compiler · the engine.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import logging
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...threads import Calls
from ...tracing import Program
from ...tracing.loop import loop
from .blocks import Blocks

# Numbers from which a loop is worth its loading. Numba and the first loop take half a second or
# more, and 0.3 s on top where it has to be compiled; here each step of Adam is 0.15 ms faster.
PAYS = 2**17

DATE = 10**9  # of every text: for Numba one of another date has changed, and these never do

log = logging.getLogger("tinygrad_opt")

# ---- the compiler -----------------------------------------------------------------------------


def installed() -> bool:
    """Whether there is Numba; it is not imported for the answer, which would take half a second."""
    return importlib.util.find_spec("numba") is not None


@functools.cache
def compiled(text: str, arguments: int) -> Callable[..., None] | None:
    """The function `loop` of a text; None, and a line in the log, where Numba cannot give it."""
    try:
        try:
            return machine_code(text, arguments, stored(text))
        except Exception:  # a folder that cannot be written, machine code that is damaged
            return machine_code(text, arguments, None)
    except Exception as error:
        reason = str(error).partition("\n")[0]
        log_once(f'engine "numba": {reason}. NumPy does the work, with engine "blocks".')
        return None


@functools.cache
def log_once(line: str) -> None:
    """One warning, however often the same thing fails."""
    log.warning(line)


def machine_code(text: str, arguments: int, file: Path | None) -> Callable[..., None]:
    """Numba's translation of a text, kept beside its file."""
    import numba

    if getattr(numba.config, "DISABLE_JIT", False):  # Python would run the loop itself
        raise RuntimeError("NUMBA_DISABLE_JIT is set")
    scope: dict[str, Any] = {"__name__": __name__}  # machine code asks for a module to live in
    exec(compile(text, file or "<loop>", "exec"), scope)
    kind = getattr(numba, scope["T"].__name__)[::1]
    function: Callable[..., None] = numba.njit(
        [(kind,) * arguments], error_model="numpy", nogil=True, cache=file is not None
    )(scope["loop"])
    return function


def cache_folder() -> Path:
    """Where loops and their machine code are kept: `loops` in XDG_CACHE_HOME/tinygrad_opt."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tinygrad_opt" / "loops"


def stored(text: str) -> Path:
    """The file of a text, written at once, so that processes may share it."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"loop_{hashlib.sha256(text.encode()).hexdigest()[:16]}.py"
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        with tempfile.NamedTemporaryFile(
            "w", dir=folder, delete=False, encoding="utf-8", suffix=".part"
        ) as part:
            part.write(text)
        os.utime(part.name, (DATE, DATE))
        os.replace(part.name, file)
    return file


# ---- the engine -------------------------------------------------------------------------------


class Compiled(Blocks):
    """Run the program as one loop, on threads where the buffers are long."""

    def calls_on(self, part: dict[str, Any], program: Program, room: Any) -> Calls:
        """One call of the loop."""
        p = part["p"]
        used = {x for step in program.steps for x in step.operands} | program.outputs.keys()
        letters = [letter for letter in part if letter in used]
        if letters and isinstance(p, np.ndarray) and p.itemsize > 2:
            run = compiled(loop(program, letters, p.dtype.name), 1 + len(letters))
            if run:
                return [partial(run, room, *(part[letter] for letter in letters))]
        return super().calls_on(part, program, room)
