"""The first NaN or infinity: which operation made it, on which line of the program, of what.

`watcher` looks at everything that is computed, `sentence` says what it has found, `remedies` what
to do about it.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from threading import get_ident

import numpy as np

from ..device import Device, default_device
from ..live import active
from ..observer import seen_on
from ..places import Places
from .sentence import AnomalyError
from .watcher import Watcher

__all__ = ["AnomalyError", "detect_anomaly"]


@contextlib.contextmanager
def detect_anomaly() -> Iterator[None]:
    """Raise AnomalyError, a FloatingPointError, where NaN or an infinity is born in this block.

        with tg.detect_anomaly():
            loss = F.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()

    Born means that what went in was finite, and what came out is not: of an operation, forward or
    backward, of the sum of gradients that meet, or of a step of an optimizer, which then has been
    taken. The error names the operation and its input, how many values, the line of the program
    (for a gradient that of the forward call), what the inputs were, and the usual remedy.

    An infinity that is put in on purpose, as −infinity before a softmax, may go where it likes:
    wrong is the NaN that is made of it, a gradient, or a loss. NaN that comes in, with data or a
    parameter, is an error at the first operation whose result it reaches; `where` may fill gaps.

    Seen is what this thread does, on devices that were known before, the trials of a line search
    too. Captured steps run as they are; what is done to arrays without operations, as clipping
    does, is seen by its effect; the last sum of `tg.grad` where it is used. Looking costs a pass
    over every result, and makes a GPU wait for it; outside of the block it costs nothing. NumPy's
    own warnings of such numbers are silent inside. It may stand inside `profile` and `lint`.
    RuntimeError inside a step that is being captured.

    PyTorch's looks at the backward pass and for NaN only, and names the backward function.
    """
    recorder = active()
    if recorder is not None and recorder.thread == get_ident():
        raise RuntimeError(
            "detect_anomaly: a step is being captured, whose replays it would not see. Put it "
            "around the call of the captured function."
        )
    places = Places()
    default_device()  # known from now on, where the environment names it
    with contextlib.ExitStack() as block:
        block.enter_context(np.errstate(all="ignore"))
        block.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", ".*empty slice", RuntimeWarning)
        for device in Device.known():
            if not isinstance(seen_on(device), Watcher):  # a block in a block sees no more
                block.enter_context(Watcher(device, places).watching())
        yield
