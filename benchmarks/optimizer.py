"""Optimizers alone on the CPU, ours and others' by turns: python -m benchmarks.optimizer

Adam, and SGD with momentum, over 100,000 parameters in 50 tensors, a million in 10, 25 millions in
20, with gradients where a backward pass puts them. `bandwidth` is a compiled loop that moves the
same memory and computes nothing: no rule can be quicker, once the caches are too small for it.
"""

from __future__ import annotations

import sys

from . import program
from .report import Target
from .step import FAST, NUMBA, OURS, TORCH
from .turns import Case
from .worker import Peer
from .workloads import RULES, Update

SIZES = {"100k": (100_000, 50), "1M": (1_000_000, 10), "25M": (25_000_000, 20)}
PEERS = {
    "ours": Peer("tinygrad_opt", OURS),
    "fast": Peer("tinygrad_opt [fast]", OURS, NUMBA, FAST),
    "torch": Peer("PyTorch", TORCH, {"foreach": False}, ("torch",)),
    "torch-foreach": Peer("PyTorch foreach", TORCH, {"foreach": True}, ("torch",)),
    "torch-fused": Peer("PyTorch fused", TORCH, {"fused": True}, ("torch",)),
    "jax": Peer("optax", "benchmarks.peers.jax_optax", {}, ("jax", "optax")),
    "bandwidth": Peer("memory alone", "benchmarks.peers.bandwidth", {}, ("numba",)),
}


def case(rule: str, size: str) -> Case:
    """The step of a rule."""
    parameters, tensors = SIZES[size]
    return Case(
        f"{rule}-{size}",
        f"{parameters:,} parameters in {tensors} tensors",
        Update(rule, parameters, tensors, 1e-2),
        Update(rule, parameters, tensors, 1e-7),
        tuple(PEERS),
        burst=0.5 if size == "25M" else 0.25,
        facts={"parameters": parameters, "bytes": RULES[rule].bytes},
    )


TARGETS = (
    *(
        target
        for rule in ("Adam", "momentum")
        for target in (
            Target(f"{rule}-100k", "ours", "torch-fused", 0.40),
            Target(f"{rule}-1M", "ours", "torch-fused", 2.2),
            Target(f"{rule}-1M", "fast", "torch-fused", 0.95),
            Target(f"{rule}-25M", "fast", "torch-fused", 0.9),
        )
    ),
    Target("Adam-25M", "bandwidth", "fast", at_least=0.80),
)
BENCHMARK = program.Benchmark(
    name="optimizer",
    doc=__doc__,
    cases=tuple(case(rule, size) for size in SIZES for rule in ("Adam", "momentum")),
    peers=PEERS,
    references=("torch-fused", "bandwidth"),
    targets=TARGETS,
    word="sizes",
    rounds=7,
    odd=frozenset({"bandwidth"}),
)


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    return program.main(BENCHMARK, argv)


if __name__ == "__main__":
    sys.exit(main())
