"""A training step neither waits for the GPU nor sends it anything, but for the batch.

What has to know a number on the host is listed here, with how often, and says so in its docstring.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.optim.family import ENTRIES, training
from tests.standin.strict_cupy import Traffic, watch
from tinygrad_opt import Device, nn, optim
from tinygrad_opt.kernels import has_kernels
from tinygrad_opt.optim import (
    EMA,
    SAM,
    SGD,
    Accumulate,
    Lookahead,
    PolyakAverage,
    SkipNonFinite,
    before_step,
    lr_scheduler,
)
from tinygrad_opt.teach import fit

pytestmark = pytest.mark.on("standin", "kernels")

# ---- optimizers -------------------------------------------------------------------------------

WARM_UP = 8  # steps, after which what is prepared for several of them lasts for those below
SEEN = 4  # steps that are watched; the eleventh is one in which Sophia looks at the curvature

ONCE = {"polyakstep", "dadaptsgd", "dadaptadam", "prodigy", "sparseadam"}  # they wait once a step
OFTEN = {"conjugategradient", "newton", "lbfgs"}  # and these in all that they try
SENDS = {"sgld": 1, "sophiah": 3, "sophiag": 1}  # random numbers: one for each group, array, batch

# Options that change at every step: where there are kernels, these are sent them in one array.
CHANGING = ONCE - {"sparseadam"} | OFTEN - {"lbfgs"} | {"sgdschedulefree", "adamwschedulefree"}


def steps_of(name: str) -> list[Traffic]:
    """What the last steps of a short training asked for."""
    _, optimizer, closure = training(name)
    found = []
    for _ in range(WARM_UP + SEEN):
        if optimizer.scope != "closure":
            closure()
        with watch() as traffic:
            optimizer.step(*([closure] if optimizer.scope == "closure" else []))
        found.append(traffic)
    return found[WARM_UP:]


@pytest.mark.parametrize("name", ENTRIES)
def test_a_step_does_not_wait(name: str, on_device: Device) -> None:
    seen = steps_of(name)
    if name not in OFTEN:
        assert {len(traffic.syncs) for traffic in seen} == {int(name in ONCE)}
    most = SENDS.get(name, 0) + (has_kernels(on_device.xp) and name in CHANGING)
    assert max(len(traffic.uploads) for traffic in seen) <= most


def test_those_that_wait_or_send_say_so() -> None:
    for name in {*ONCE, *OFTEN, *SENDS}:
        assert "GPU" in (ENTRIES[name].kind.__doc__ or ""), name


# ---- what goes around them --------------------------------------------------------------------


def quiet(call: Callable[[], Any]) -> None:
    """A second call neither waits nor sends anything."""
    call()
    with watch() as traffic:
        call()
    assert (traffic.syncs, traffic.uploads) == ([], [])


TRANSFORMS: dict[str, Callable[..., Any]] = {
    "clip by norm": partial(optim.clip_grad_norm_, max_norm=0.1),
    "clip by the largest": partial(optim.clip_grad_norm_, max_norm=0.1, norm_type=np.inf),
    "clip each by norm": partial(optim.clip_each_grad_norm_, max_norm=0.1),
    "clip by value": partial(optim.clip_grad_value_, clip_value=0.1),
    "adaptive clip": optim.adaptive_clip_,
    "centralize": optim.centralize_,
    "normalize": optim.normalize_,
    "zero nans": optim.zero_nans_,
    "elastic net": partial(optim.elastic_net_, l1=0.1, l2=0.1),
    "proximal l1": partial(optim.proximal_l1_, weight=0.1, lr=0.1),
    "max norm": partial(optim.max_norm_, max_norm=0.1),
}


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=list(TRANSFORMS))
def test_a_transform_of_gradients_or_weights_does_not_wait(transform: Callable[..., Any]) -> None:
    model, _, closure = training("adam")
    closure()
    quiet(lambda: transform(model.parameters()))


def test_noise_is_sent_and_an_error_if_asked_for_waits() -> None:
    model, _, closure = training("adam")
    closure()
    with watch() as traffic:
        optim.add_noise_(model.parameters())
    assert traffic.syncs == [] and len(traffic.uploads) == 3
    with watch() as traffic:
        optim.clip_grad_norm_(model.parameters(), 1.0, error_if_nonfinite=True)
    assert len(traffic.syncs) == 1 and traffic.uploads == []


@pytest.mark.parametrize("average", [EMA, PolyakAverage, optim.SWA])
def test_an_average_does_not_wait(average: Any) -> None:
    model, _, _ = training("adam")
    averaged = average(model)
    averaged.update_parameters(model)
    quiet(lambda: averaged.update_parameters(model))

    def swap() -> None:
        with averaged.in_place_of(model):
            pass

    quiet(swap)


WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "lookahead": lambda o: Lookahead(o, k=1),
    "accumulate": lambda o: Accumulate(o, k=2),
    "sam": SAM,
    "asam": optim.ASAM,
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=list(WRAPPERS))
def test_a_wrapper_does_not_wait(wrap: Callable[[Any], Any]) -> None:
    _, optimizer, closure = training("momentum")
    wrapped = wrap(optimizer)
    for _ in range(WARM_UP):
        wrapped.step(closure)
    quiet(lambda: wrapped.step(closure))


def test_one_that_looks_for_nan_waits_once() -> None:
    _, optimizer, closure = training("momentum")
    wrapped = SkipNonFinite(optimizer)
    with watch() as traffic:
        wrapped.step(closure)
    assert len(traffic.syncs) == 1
    assert "waits for a GPU once" in " ".join((SkipNonFinite.__doc__ or "").split())


def test_clipping_in_a_hook_and_a_schedule_do_not_wait() -> None:
    _, optimizer, closure = training("adam")
    optimizer.register_step_pre_hook(before_step(optim.clip_grad_norm_, 1.0))
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, 30)
    for _ in range(WARM_UP):
        optimizer.step(closure)
        scheduler.step()
    with watch() as traffic:
        optimizer.step(closure)
        scheduler.step()
    assert traffic.syncs == []


# ---- whole runs -------------------------------------------------------------------------------


@pytest.mark.parametrize("epochs", [1, 3])
def test_fit_waits_a_few_times_an_epoch_however_many_batches_there_are(epochs: int) -> None:
    counts = []
    for batches in (2, 20):
        model = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
        data = [(tg.randn(4, 3), tg.tensor([0, 1, 0, 1])) for _ in range(batches)]
        with watch() as traffic:
            fit(model, data, SGD(model.parameters(), lr=0.1), epochs=epochs, test=data)
        counts.append(len(traffic.syncs))
    assert counts[0] == counts[1] == 4 * epochs + 1, "losses and hits, twice; what is not finite"
