"""Single operations on the CPU beside bare NumPy and other libraries: python -m benchmarks.ops

The price of a value, and of a value with its gradients, on arrays of 16 × 16, where calls count,
and of 512 × 512, where arithmetic does. Bare NumPy is the floor: the same text without a graph.
"""

from __future__ import annotations

import sys

from . import program
from .operations import OPERATIONS, Operating
from .step import OURS, TORCH
from .turns import Case
from .worker import Peer

PEERS = {
    "numpy": Peer("bare NumPy", "benchmarks.peers.bare_numpy"),
    "ours": Peer("tinygrad_opt", OURS),
    "torch": Peer("PyTorch", TORCH, {}, ("torch",)),
    "autograd": Peer("HIPS autograd", "benchmarks.peers.hips_autograd", {}, ("autograd",)),
}


def case(name: str, size: int, backward: bool) -> Case:
    """One operation on arrays of a size."""
    task = Operating(name, size, backward)
    pass_name = "both" if backward else "forward"
    about = "value and gradients" if backward else "value"
    return Case(f"{name}-{size}-{pass_name}", about, task, task, tuple(PEERS), burst=0.05)


BENCHMARK = program.Benchmark(
    name="ops",
    doc=__doc__,
    cases=tuple(
        case(name, size, backward)
        for size in (16, 512)
        for backward in (False, True)
        for name in OPERATIONS
    ),
    peers=PEERS,
    references=("numpy",),
    word="operations",
    rounds=5,
    many=True,
)


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    return program.main(BENCHMARK, argv)


if __name__ == "__main__":
    sys.exit(main())
