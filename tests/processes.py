"""Train here, with threads at work, then in a child: python -m tests.processes METHOD

METHOD is fork, spawn or forkserver. The child trains what it is sent and what it makes itself, both
as its parent does, to the bit. One that is killed does no harm.
"""

from __future__ import annotations

import multiprocessing
import sys
from typing import Any

import numpy as np

import tinygrad_opt as tg
from tinygrad_opt import nn, optim
from tinygrad_opt.teach import fit

DRAWN = np.random.default_rng(0)
X, Y = DRAWN.standard_normal((32, 64)).astype(np.float32), DRAWN.integers(0, 3, 32)
WIDE = 20_000  # hidden units: enough parameters for the threads of a step


def parts() -> tuple[Any, Any, Any, Any]:
    """A model, its optimizer, schedule and data, after one seed."""
    tg.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, WIDE), nn.ReLU(), nn.Dropout(0.1), nn.Linear(WIDE, 3))
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    scheduler = optim.lr_scheduler.StepLR(optimizer, 2)
    return model, optimizer, scheduler, tg.data.DataLoader((X, Y), batch_size=16)


def train(model: Any, optimizer: Any, scheduler: Any, data: Any) -> tuple[list[float], bytes]:
    """The losses, and the weights in bytes."""
    tg.manual_seed(1)
    history = fit(model, data, optimizer, epochs=2, scheduler=scheduler)
    weights = b"".join(p.detach().numpy().tobytes() for p in model.parameters())
    return history.loss.tolist(), weights


def work(pipe: Any, sent: Any) -> None:
    """What a child does: the training that it is sent, and one of its own."""
    pipe.send((train(*sent), train(*parts())))


def main(method: str) -> None:
    """Compare, twice: a child is killed in between."""
    expected = train(*parts())
    context: Any = multiprocessing.get_context(method)
    for kill in (False, True, False):
        here, there = context.Pipe()
        child = context.Process(target=work, args=(there, parts()))
        child.start()
        if kill:
            child.kill()
            child.join()
            continue
        assert here.poll(60), "the child gave no answer"
        assert here.recv() == (expected, expected)
        child.join()
        assert child.exitcode == 0
    assert train(*parts()) == expected
    print("equal")


if __name__ == "__main__":
    main(sys.argv[1])
