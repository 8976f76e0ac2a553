"""A whole training step of small networks, ours and PyTorch's by turns: python -m benchmarks.step

A step is zero_grad, forward, loss, backward, optimizer, on one batch, through the public interface.
Both start from the same weights and must show the same losses for twelve steps before anything is
timed. Short bursts by turns, so that noise of the machine meets both; ratios of medians count, and
quartiles say how far to trust them. The learning rate is tiny while timing: a loss that converges
would time denormal numbers.
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

import tinygrad_opt as tg

BURST, PAUSE = 0.25, 0.04  # seconds
Network = tuple[tuple[int, ...], int, str, str]  # sizes, batch, loss, optimizer
NETWORKS: dict[str, Network] = {
    "tiny, batch 1": ((2, 16, 16, 1), 1, "MSELoss", "SGD"),
    "tiny, batch 100": ((2, 16, 16, 1), 100, "MSELoss", "SGD"),
    "small": ((64, 32, 10), 32, "CrossEntropyLoss", "Adam"),
    "medium": ((784, 256, 128, 10), 128, "CrossEntropyLoss", "Adam"),
}

Step = Callable[[], Any]


def network(nn: Any, sizes: tuple[int, ...]) -> Any:
    """Linear layers of these sizes with a ReLU between them, of either framework."""
    layers = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def stepper(
    framework: Any,
    device: Any,
    described: Network,
    weights: dict[str, Any],
    lr: float,
    **options: Any,
) -> Step:
    """The training step of a network, of either framework; it gives the loss."""
    sizes, batch, loss_name, optimizer_name = described
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, sizes[0])).astype(np.float32)
    y = rng.integers(0, sizes[-1], batch)
    if loss_name == "MSELoss":
        y = rng.standard_normal((batch, sizes[-1])).astype(np.float32)
    x, y = (framework.tensor(data, device=device) for data in (x, y))
    model = network(framework.nn, sizes).to(device)
    model.load_state_dict({key: framework.tensor(value) for key, value in weights.items()})
    criterion = getattr(framework.nn, loss_name)()
    optimizer = getattr(framework.optim, optimizer_name)(model.parameters(), lr=lr, **options)

    def step() -> Any:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def weights_of(sizes: tuple[int, ...]) -> dict[str, Any]:
    """Weights to start from, the same at each call."""
    tg.manual_seed(0)
    state: dict[str, Any] = network(tg.nn, sizes).state_dict()
    return state


def compare(name: str, peers: dict[str, Any], rounds: int) -> dict[str, list[float]]:
    """Microseconds a step of every peer, burst by burst; RuntimeError where losses differ."""
    described = NETWORKS[name]
    weights = weights_of(described[0])
    losses = {
        peer: first_losses(stepper(module, "cpu", described, weights, 1e-2), 12)
        for peer, module in peers.items()
    }
    for peer, found in losses.items():
        if not np.allclose(found, losses["tinygrad_opt"], rtol=5e-4):
            raise RuntimeError(f"{name}: {peer} computes other losses: {found}.")
    steps = {
        peer: stepper(module, "cpu", described, weights, 1e-7) for peer, module in peers.items()
    }
    return by_turns(steps, rounds)


def first_losses(step: Step, count: int) -> list[float]:
    """The losses of the first steps."""
    return [step().item() for _ in range(count)]


def by_turns(steps: dict[str, Step], rounds: int) -> dict[str, list[float]]:
    """Microseconds a call of every function, in bursts by turns."""
    times: dict[str, list[float]] = {peer: [] for peer in steps}
    order = list(steps)
    for turn in range(-1, rounds):
        for peer in order:
            step, calls, began = steps[peer], 0, time.perf_counter()
            while (seconds := time.perf_counter() - began) < BURST:
                for _ in range(10):
                    step()
                calls += 10
            if turn >= 0:  # the first turn warms up
                times[peer].append(seconds / calls * 1e6)
            time.sleep(PAUSE)
        order.append(order.pop(0))
    return times


def multiply() -> Step:
    """Forward and backward of one multiplication of three numbers: the price of an operation."""
    a, b = tg.tensor([1.0, 2.0, 3.0], requires_grad=True), tg.tensor([4.0, 5.0, 6.0])
    b.requires_grad_()
    g = tg.ones(3)

    def step() -> None:
        (a * b).backward(g)
        a.grad = b.grad = None

    return step


def main(argv: list[str] | None = None) -> int:
    """Print the table, or with --json one document."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.step", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="bursts of every peer (9)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    arguments = parser.parse_args(argv)
    peers: dict[str, Any] = {"tinygrad_opt": tg}
    try:
        peers["PyTorch"] = importlib.import_module("torch")
    except ModuleNotFoundError:
        print("PyTorch is not installed: ours alone is timed.", file=sys.stderr)
    versions = {peer: str(module.__version__) for peer, module in peers.items()}
    report: dict[str, Any] = {
        "machine": {"system": platform.platform(), "python": platform.python_version()},
        "versions": versions | {"numpy": np.__version__},
        "multiply_us": statistics.median(by_turns({"": multiply()}, arguments.rounds)[""]),
        "steps": {},
    }
    if not arguments.json:
        print(f"{', '.join(f'{peer} {version}' for peer, version in versions.items())}")
        print(f"multiply, forward and backward: {report['multiply_us']:.1f} µs")
        print(f"\n{'µs a step':16} " + " ".join(f"{peer:>24}" for peer in peers) + "   ratio")
    for name in NETWORKS:
        times = compare(name, peers, arguments.rounds)
        quartiles = {peer: statistics.quantiles(found, n=4) for peer, found in times.items()}
        report["steps"][name] = quartiles
        if not arguments.json:
            cells = [f"{q2:9.1f} ({q1:.1f} … {q3:.1f})" for q1, q2, q3 in quartiles.values()]
            ratio = "" if len(peers) < 2 else f"{ratio_of(quartiles):.3f}"
            print(f"{name:16} " + " ".join(f"{cell:>24}" for cell in cells) + f"   {ratio}")
    if arguments.json:
        print(json.dumps(report, indent=2))
    return 0


def ratio_of(quartiles: dict[str, list[float]]) -> float:
    """Our median over the peer's."""
    ours, theirs = (q2 for _, q2, _ in quartiles.values())
    return ours / theirs


if __name__ == "__main__":
    sys.exit(main())
