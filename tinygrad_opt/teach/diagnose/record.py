"""What the record of a run tells by itself.

Thresholds are those at which a 64-32-10 network on the digits went wrong; each has a name.

Order: the first loss · the rate · gradients · the end.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from ..finding import Finding
from .evidence import EARLY, Evidence

FIRST_LOSS = (0.5, 1.5)  # times ln K
RISEN = 1.5  # the end over the start
FEW = 5  # updates
GROWTH = 8.0  # of ‖weight‖ in the first epoch
WINDOWS, WINDOWS_RISEN = 10, 9  # of the losses: how many there are, how many may not rise
LARGE_RATIO, SMALL_RATIO = 5e-2, 5e-4  # ‖update‖ / ‖weight‖ in the first epoch
FLAT = 0.02  # the share by which a loss fell that did not fall
LEARNED = 0.1  # a loss at this share of the first has been learned
APART = 1000.0  # the gradient of one matrix over that of another
TINY = 1e-7  # a gradient that is none
PILED_UP = 5.0  # the norm of the gradient at the end over that at the start
STEADY = 0.05  # the change of that norm from update to update, as a share of it
REBOUND = 1.5  # the loss at the end over the lowest
EPOCHS_RISING = 3  # of the test loss, while the train loss falls
TEST_OVER_TRAIN = 2.0
GAP, LARGE_GAP = 0.06, 0.18  # of the first loss: what matters, and while the test loss is good
GAINING = 0.02  # the share by which a test loss still falls in those epochs, or is near its least
SPREAD = 0.05  # of the mean losses of the last third
NOISE = 0.005  # of the first loss: a spread below does not matter
TREND = 2.2  # spreads from the beginning of that third to its end; a straight line has 3.5


# ---- the first loss ---------------------------------------------------------------------------


def initial_loss(run: Evidence) -> Finding | None:
    """A network that knows nothing gives every class 1 / K, and −ln (1 / K) = ln K."""
    if run.classes is None or not math.isfinite(run.start):
        return None
    if (lowest := float(run.losses.min())) < 0:
        return Finding(
            "warning",
            "initial loss",
            "The loss is below 0, which that of classes cannot be.",
            f"{run.start:.3g} at first, and at least {lowest:.3g}",
            "a look at the sign: cross-entropy is −ln of a probability, and falls to 0.",
        )
    expected = math.log(run.classes)
    low, high = (factor * expected for factor in FIRST_LOSS)
    if low <= run.start <= high:
        return None
    above = run.start > high
    return Finding(
        "warning" if above else "info",
        "initial loss",
        f"The first loss is {'above' if above else 'below'} that of a guess.",
        f"{run.start:.3g}; a network that knows nothing has ln {run.classes} = {expected:.3g}",
        "a smaller last layer, scaled inputs, and a look at the labels; the loss takes raw scores."
        if above
        else "nothing, where the network had learned before.",
    )


# ---- the rate ---------------------------------------------------------------------------------


def not_finite(run: Evidence) -> Finding | None:
    """NaN or infinite losses or weights, and where they show first."""
    if run.finite:
        return None
    bad = np.flatnonzero(~np.isfinite(run.history.loss))
    where = [f"the loss at update {run.history.step[bad[0]]}" if len(bad) else "the weights"]
    names = [
        (int(np.argmax(~np.isfinite(n["weight"] + n["grad"]))), name)
        for name, n in run.history.norms.items()
        if not np.isfinite(n["weight"] + n["grad"]).all()
    ]
    if names:
        at, name = min(names)
        where.append(f"{name} or its gradient at update {run.history.step[at]}")
    if run.look is not None and not np.isfinite(run.look.x).all():
        where.append("the data themselves")
    elif run.look is not None and run.look.broken:
        where.append(f"in a forward pass first after {run.look.broken}")
    return Finding(
        "error",
        "not finite",
        "Numbers became NaN or infinite.",
        "; ".join(where),
        "a tenth of the learning rate; look for a log, division, root or exp of what can be 0 or "
        "large, and for gaps in the data.",
    )


def too_high(run: Evidence) -> Finding | None:
    """The loss ends above its start or rises all the time, weights blow up, steps are huge."""
    if len(run.losses) < 2:
        return None
    means = [float(np.mean(part)) for part in np.array_split(run.losses, WINDOWS + 1) if len(part)]
    rises = sum(after > before for before, after in pairwise(means))
    growth = run.growth
    ratio, learned = run.ratio, run.end < LEARNED * run.start
    if run.end - run.start > (RISEN - 1) * abs(run.start):
        evidence = f"the loss went from {run.start:.3g} to {run.end:.3g}"
    elif len(means) > WINDOWS and rises >= WINDOWS_RISEN and run.end > run.start:
        evidence = f"the loss rose in {rises} of the {WINDOWS} last windows"
    elif growth is not None and growth > GROWTH:
        evidence = f"a weight matrix grew to {growth:.3g} times its size in {EARLY} updates"
    elif ratio is not None and ratio > LARGE_RATIO:
        evidence = f"an update changes a weight matrix by {ratio:.1%} at first"
    else:
        return None
    return Finding(
        "warning" if learned else "error",
        "learning rate too high",
        "The learning rate is too high.",
        evidence,
        "a third of it, gradients that are clipped, or a warmup.",
    )


def too_low(run: Evidence) -> Finding | None:
    """The loss hardly falls, and updates are small against the weights."""
    if run.pace is None or not 0 < run.pace < SMALL_RATIO or not abs(run.fell) < FLAT:
        return None
    return Finding(
        "warning",
        "learning rate too low",
        "The learning rate is too low.",
        f"the loss fell by {run.fell:.1%}, and an update changes a weight matrix by "
        f"{run.ratio:.1g} of it"
        if run.ratio is not None
        else f"the loss fell by {run.fell:.1%}, and an update changes w by {run.pace:.1g} of it",
        "ten times the learning rate.",
    )


def too_short(run: Evidence) -> Finding | None:
    """So few updates that the rules have little to go by."""
    if not 0 < len(run.losses) < FEW or not run.finite:
        return None
    return Finding(
        "info",
        "too short",
        "There is too little of a run to judge.",
        f"{len(run.losses)} {'update' if len(run.losses) == 1 else 'updates'}",
        "more updates: some epochs.",
    )


def ratio(run: Evidence) -> Finding | None:
    """For reading: how large updates are against the weights."""
    if run.ratio is None:
        return None
    return Finding(
        "info",
        "update ratio",
        "How large updates are against the weights.",
        f"{run.ratio:.2g} in the first {EARLY} updates",
        "nothing: good runs begin at about 0.02 and end near 0.001.",
    )


def stalled(run: Evidence) -> Finding | None:
    """The loss is flat although gradients are there and steps have a good size."""
    flat = abs(run.fell) < FLAT and run.end > LEARNED * run.start and run.finite
    if not flat or run.ratio is None or not SMALL_RATIO <= run.ratio <= LARGE_RATIO:
        return None
    largest = max(run.gradients.values())
    if largest < TINY:
        return None
    return Finding(
        "warning",
        "stalled early",
        "The loss is flat, although the steps have a good size.",
        f"it fell by {run.fell:.1%}; the largest gradient of a weight matrix is {largest:.2g}",
        "another start (a saddle or a plateau), standardized inputs or Adam (the rate may be too "
        "high for one direction), and a look at the labels.",
    )


# ---- gradients --------------------------------------------------------------------------------


def forgot_zero_grad(run: Evidence) -> Finding | None:
    """The gradient piles up, smoothly, and the loss comes back after it had fallen."""
    g = run.whole_gradient
    part = max(1, len(g) // 20)
    if len(g) < 2 * EARLY or not np.isfinite(g).all():
        return None
    begin, end = float(np.mean(g[:part])), float(np.mean(g[-part:]))
    with np.errstate(all="ignore"):
        changes = float(np.median(np.abs(np.diff(g)) / g[1:]))
    lowest = float(run.smoothed.min())
    rebounds = lowest < run.start and run.end - lowest > (REBOUND - 1) * abs(lowest)
    if not (rebounds and end > PILED_UP * begin and changes < STEADY):
        return None
    return Finding(
        "error",
        "forgot zero_grad",
        "Gradients pile up, as if zero_grad() were missing.",
        f"the gradient's norm grew from {begin:.2g} to {end:.2g}, and the loss came back from "
        f"{lowest:.3g} to {run.end:.3g}",
        "optimizer.zero_grad() before every loss.backward().",
    )


def uneven_gradients(run: Evidence) -> Finding | None:
    """Gradients vanish or explode on their way back through the layers."""
    finite = {name: g for name, g in run.gradients.items() if math.isfinite(g)}
    known = {name: g for name, g in finite.items() if g} or finite  # 0: frozen, or all are dead
    if not known or not run.losses.size:
        return None
    least, most = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
    if known[most] < TINY:
        evidence = f"the largest gradient of a weight matrix is {known[most]:.1e}, in {most}"
    elif len(known) > 1 and known[most] > APART * known[least]:
        evidence = f"gradients are {known[least]:.1e} in {least} and {known[most]:.1e} in {most}"
    else:
        return None
    return Finding(
        "error",
        "vanishing or exploding",
        "Signals vanish or explode on their way through the layers.",
        evidence,
        "initialization that suits the activation (He for relu), normalization, relu in place of "
        "sigmoid.",
    )


# ---- the end ----------------------------------------------------------------------------------


def overfitting(run: Evidence) -> Finding | None:
    """What is learned holds for the training examples alone."""
    train, test = run.metric("train_loss"), run.metric("test_loss")
    if len(test) < EPOCHS_RISING + 1 or not run.finite:
        return None
    gap = (test[-1] - train[-1]) / abs(run.start)
    last = slice(-EPOCHS_RISING - 1, None)
    least = test[-1] <= (1 + GAINING) * test.min()
    gaining = least or test[-1] < (1 - GAINING) * test[last][0]
    rising = (np.diff(test[last]) > 0).all() and train[-1] < train[last][0]
    apart = gap > (LARGE_GAP if gaining else GAP)
    if not apart or not (rising or test[-1] > TEST_OVER_TRAIN * train[-1]):
        return None
    return Finding(
        "warning",
        "overfitting",
        "The network learns its training examples by heart.",
        f"loss {train[-1]:.3g} in training, {test[-1]:.3g} on others, where the least was "
        f"{test.min():.3g}",
        "more data, dropout, weight decay, a smaller network, or an earlier end.",
    )


def noise_floor(run: Evidence) -> Finding | None:
    """The loss of the last third goes up and down, and nowhere."""
    means = run.metric("train_loss")
    last = means[-(len(means) // 3) :]
    if len(last) < 4 or not run.finite or _decayed(run):
        return None
    spread, level = float(np.std(last)), float(np.mean(last))
    slope = float(np.polyfit(np.arange(len(last)), last, 1)[0]) * (len(last) - 1)
    if abs(slope) > TREND * spread or spread < SPREAD * level or spread < NOISE * run.start:
        return None
    return Finding(
        "info",
        "noise floor",
        "The loss has stopped to fall and goes up and down.",
        f"{level:.3g} ± {spread:.1g} in the last {len(last)} epochs, without a trend",
        "a schedule that lets the learning rate fall, as cosine does, or larger batches.",
    )


# ---- helpers ----------------------------------------------------------------------------------


def _decayed(run: Evidence) -> bool:
    """Whether the rate fell by the last third."""
    rates = run.history.lr
    return len(rates) > 0 and rates[-1] < 0.5 * rates.max()
