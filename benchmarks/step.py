"""A whole training step on the CPU, ours and other libraries' by turns: python -m benchmarks.step

A step is zero_grad, forward, loss, backward, optimizer, on one batch, through public interfaces.
Every library has a process of its own. All start from the same weights and must show the same
losses for twelve steps before anything is timed; then come short bursts by turns. Ratios of medians
count. The learning rate is tiny while timing: a loss that converges would time denormal numbers.
"""

from __future__ import annotations

import sys

from . import program
from .report import Target
from .turns import Case
from .worker import Peer
from .workloads import NETWORKS, Network, Training, described

OURS, TORCH = "benchmarks.peers.ours", "benchmarks.peers.pytorch"
NUMBA, FAST = {"engine": "numba"}, ("numba",)
PEERS = {
    "ours": Peer("tinygrad_opt", OURS),
    "captured": Peer("tinygrad_opt, captured", OURS, {"captured": True}),
    "fast": Peer("tinygrad_opt [fast]", OURS, NUMBA, FAST),
    "fast-captured": Peer("tinygrad_opt [fast], captured", OURS, NUMBA | {"captured": True}, FAST),
    "torch": Peer("PyTorch", TORCH, {}, ("torch",)),
    "torch-fused": Peer("PyTorch fused", TORCH, {"fused": True}, ("torch",)),
    "torch-compile": Peer("PyTorch compile", TORCH, {"compiled": True}, ("torch",), asked=True),
    "jax": Peer("JAX + optax", "benchmarks.peers.jax_optax", {}, ("jax", "optax")),
    "autograd": Peer("HIPS autograd", "benchmarks.peers.hips_autograd", {}, ("autograd",)),
    "mygrad": Peer("MyGrad", "benchmarks.peers.mygrad_tensors", {}, ("mygrad",)),
    "tinygrad": Peer("tinygrad", "benchmarks.peers.tinygrad_jit", {}, ("tinygrad",)),
}
LEFT_OUT = {  # what takes minutes, or has nothing to gain
    "tiny1": {"fast", "fast-captured"},
    "tiny100": {"fast", "fast-captured"},
    "large": {"captured", "fast-captured", "tinygrad"},
}


def case(name: str, network: Network) -> Case:
    """The training step of a network."""
    about = f"{described(network)}, {network.loss}, {network.optimizer}"
    peers = tuple(peer for peer in PEERS if peer not in LEFT_OUT.get(name, ()))
    rate, burst = (2e-4, 0.7) if name == "large" else (1e-2, 0.25)  # at higher rates chaos grows
    return Case(name, about, Training(network, rate), Training(network, 1e-7), peers, burst)


TARGETS = (
    Target("tiny1", "ours", "torch", 0.14),
    Target("tiny1", "captured", "torch", 0.08),
    Target("tiny100", "ours", "torch", 0.17),
    Target("tiny100", "captured", "torch", 0.11),
    Target("small", "ours", "torch", 0.16),
    Target("small", "captured", "torch", 0.11),
    Target("medium", "ours", "torch", 0.85),
    Target("medium", "fast", "torch", 0.70),
    Target("medium", "fast", "torch-fused", 0.95),
    Target("large", "ours", "torch", 1.10),
    Target("large", "fast", "torch", 1.00),
    Target("tiny1", "ours", "jax", 1.2),
    Target("tiny1", "captured", "jax", 0.7),
    Target("tiny100", "ours", "jax", 0.9),
    Target("tiny100", "captured", "jax", 0.6),
    Target("small", "ours", "jax", 1.0),
    Target("small", "captured", "jax", 0.7),
    Target("medium", "fast", "jax", 1.0),
    Target("large", "ours", "jax", 1.10),
)
BENCHMARK = program.Benchmark(
    name="step",
    doc=__doc__,
    cases=tuple(case(name, network) for name, network in NETWORKS.items()),
    peers=PEERS,
    references=("torch", "jax"),
    targets=TARGETS,
    word="networks",
)


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    return program.main(BENCHMARK, argv)


if __name__ == "__main__":
    sys.exit(main())
