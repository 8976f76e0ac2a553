"""Writing down what a function of arrays does, by running it once on symbols.

One text, the rule of an optimizer or an operation, then serves engines that never call it again:
as NumPy calls over blocks, as a compiled loop, or as the body of a CUDA kernel.

Order: symbols · the tape they write on · the program · its CUDA · its loop.
"""

from __future__ import annotations

from .program import Program, Step
from .symbols import Array, Names, Number
from .tape import Tape

__all__ = ["Array", "Names", "Number", "Program", "Step", "Tape"]
