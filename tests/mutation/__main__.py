"""How many small mistakes in the mathematics would the tests notice?

    pip install cosmic-ray coverage
    python -m tests.mutation                    a sample of 300, drawn from all with seed 0
    python -m tests.mutation --number 60 --match optim/adam

The repository is copied; the tests run once and note which lines each of them reaches; then every
drawn mistake is made in the copy, and the tests that reach its line run, the quickest first, until
one fails. What survives is printed. Mistakes that no test can notice stand, with the reason, in
`equivalent.toml`, and are not counted.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import shutil
import sys
import tempfile
import time
import tomllib
from collections import Counter
from itertools import islice
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy is imported

import hypothesis  # noqa: F401  (ready before every fork)
import numpy  # noqa: F401

from tests.mutation.mutants import Mutant, mutants
from tests.mutation.reach import Reach, Recorder, in_a_child, run

ROOT = Path(__file__).parents[2]
PACKAGE = Path("tinygrad_opt")
SUBJECT = ["autograd.py", "operation.py", "ops/*.py", "optim/**/*.py"]
NOT_COPIED = shutil.ignore_patterns(".git", ".venv*", "dist", "__pycache__", ".*_cache")


def known() -> dict[tuple[str, str], str]:
    """Why a mistake, a file and its line with the mistake, makes no difference."""
    groups = tomllib.loads((Path(__file__).parent / "equivalent.toml").read_text())["because"]
    return {
        (path, " ".join(line.split())): group["why"]
        for group in groups
        for path, lines in group["lines"].items()
        for line in lines
    }


def sample(paths: list[Path], number: int, seed: int, match: str) -> list[Mutant]:
    """Of every file its share."""
    draw = random.Random(seed)
    by_file = [[m for m in mutants(path) if match in f"{path}:{m.line}"] for path in paths]
    shuffled = [
        ((n + draw.random()) / len(found), mutant)
        for found in by_file
        for n, mutant in enumerate(draw.sample(found, len(found)))
    ]
    order = sorted(shuffled, key=lambda pair: pair[0])
    return list(islice((mutant for _, mutant in order if mutant.source()), number))


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    z, share = 1.96, hits / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z * (share * (1 - share) / of + z * z / (4 * of * of)) ** 0.5 / (1 + z * z / of)
    return middle - half, min(1.0, middle + half)


def outcome(mutant: Mutant, reach: Reach, budget: float) -> str:
    """Make the mistake, run the tests, take it back."""
    before, after = mutant.path.read_text(), mutant.source()
    Path(importlib.util.cache_from_source(str(mutant.path))).unlink(missing_ok=True)
    batches = reach.of(str(mutant.path), mutant.line, budget)
    mutant.path.write_text(after or before)
    try:
        for tests in batches:
            status = in_a_child(lambda tests=tests: run(tests), 20 + 5 * reach.time(tests))
            if status != 0:
                return "time ran out" if status is None else "killed"
    finally:
        mutant.path.write_text(before)
    return "survived" if batches else "not reached"


def main() -> None:
    """Copy, record, draw, try."""
    options = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    options.formatter_class = argparse.RawDescriptionHelpFormatter
    options.add_argument("--number", type=int, default=300, help="how many mistakes")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--match", default="", help="only where `file:line` contains this")
    options.add_argument("--budget", type=float, default=30, help="seconds of tests for each")
    options.add_argument("--folder", type=Path, help="keep copy and record here, use them again")
    chosen = options.parse_args()
    folder = chosen.folder or Path(tempfile.mkdtemp())
    copy, record = folder / "copy", folder / "reach.json"
    if not copy.exists():
        shutil.copytree(ROOT, copy, ignore=NOT_COPIED)
    os.chdir(copy)
    sys.path.insert(0, str(copy))
    os.environ["PYTHONPATH"] = str(copy)
    paths = sorted(path for pattern in SUBJECT for path in PACKAGE.glob(pattern))
    if not record.exists():
        in_a_child(lambda: Recorder([str(copy / path) for path in paths]).record(record), 3600)
    reach = Reach(record)
    sys.dont_write_bytecode = True
    print(f"{len(reach.tests)} tests, {reach.passed.count(False)} of which do not pass", flush=True)

    counts: Counter[str] = Counter()
    excused = known()
    for mutant in sample(paths, chosen.number, chosen.seed, chosen.match):
        old, new = mutant.change()
        name = str(mutant.path.relative_to(PACKAGE))
        began = time.monotonic()
        said = "equivalent" if (name, new) in excused else outcome(mutant, reach, chosen.budget)
        counts[said] += 1
        print(f"{said:12} {time.monotonic() - began:5.1f} s  {name}:{mutant.line}", flush=True)
        if said in ("survived", "not reached"):
            print(f"    - {old}\n    + {new}", flush=True)
    noticed = counts["killed"] + counts["time ran out"]
    of = counts.total() - counts["equivalent"]
    low, high = wilson(noticed, of)
    print(*(f"{number} {what}" for what, number in counts.most_common()), sep=", ")
    print(f"{noticed} of {of} noticed: {noticed / of:.1%} (95 % between {low:.1%} and {high:.1%})")
    if chosen.folder is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
