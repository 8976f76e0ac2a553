"""The memory that training takes, beside PyTorch's: python -m benchmarks.memory

A fresh process for each library trains a small network, so that its code and its pools are there.
Then it makes the large one and trains it for a few steps. Growth is the most memory that was
resident at any moment of that, over what was before. It needs Linux, which counts that.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from .workloads import NETWORKS, described, stepper

PEERS = ("tinygrad_opt", "torch")
COUNTED = Path("/proc/self/clear_refs").exists()
TARGET = 1.3  # of PyTorch's growth
STEPS = 3  # memory is at its height in the second: then there are gradients to be replaced
MIB = 2**20


def growth(library: str, name: str = "large") -> int:
    """Bytes that one of the networks takes, measured in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(growth_here, library, name).result()


def growth_here(library: str, name: str) -> int:
    """The same in this process."""
    framework = importlib.import_module(library)
    train(framework, "medium")
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what is resident now
    before = resident("VmRSS")
    train(framework, name)
    return resident("VmHWM") - before


def train(framework: object, name: str) -> None:
    """Make a network and train it."""
    step = stepper(framework, "cpu", NETWORKS[name], 1e-4)
    for _ in range(STEPS):
        step().item()


def resident(what: str) -> int:
    """Bytes of this process in memory: VmRSS now, VmHWM at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))


def main(argv: list[str] | None = None) -> int:
    """Measure and print; with --check 1 where the target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--check", action="store_true", help="the target, with pass or miss")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    words = parser.parse_args(argv)
    if not COUNTED:
        parser.error("Only Linux counts the most memory that a process held.")
    for library in PEERS:
        if importlib.util.find_spec(library) is None:
            parser.error(f"{library} is not installed.")
    ours, theirs = (growth(library) for library in PEERS)
    ratio = ours / theirs
    passed = ratio <= TARGET
    if words.json:
        print(json.dumps({**dict(zip(PEERS, (ours, theirs))), "ratio": ratio, "target": TARGET}))
    else:
        print(f"memory for training {described(NETWORKS['large'])}, with Adam, in MiB")
        print(f"tinygrad_opt {ours / MIB:.0f}, PyTorch {theirs / MIB:.0f}, ratio {ratio:.2f}")
        if words.check:
            print(f"{'pass' if passed else 'miss'}: at most {TARGET}")
    return int(words.check and not passed)


if __name__ == "__main__":
    sys.exit(main())
