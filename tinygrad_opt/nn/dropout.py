"""Dropout: noise that keeps units from relying on each other."""

from __future__ import annotations

from ..tensor import Tensor
from . import functional as F
from .checks import check_share
from .module import Module


class Dropout(Module):
    """Zeros with probability p, and what stays times 1/(1 − p); in evaluation x itself.

    Srivastava et al. 2014. A seed gives the same masks on every device, bit for bit.
    """

    _shown = ("p",)

    def __init__(self, p: float = 0.5) -> None:
        self.p = check_share("Dropout", p)

    def forward(self, x: Tensor) -> Tensor:
        """x with gaps."""
        return F.dropout(x, self.p, self.training)
