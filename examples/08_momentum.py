# %% [markdown]
"""# 08 · Momentum

Gradient descent has no memory: each step goes down the slope of the place where it stands. With
**momentum** the point is a ball that keeps some of its speed b:

    b ← μ b + g        w ← w − η b

g is the slope and μ, usually 0.9, the share of the speed that is kept. **Nesterov's** momentum
steps by g + μ b instead: it already counts in where the new speed will carry it.
"""

# %%
import math

import numpy as np

import tinygrad_opt as tg
from tinygrad_opt import optim, teach

# %% [markdown]
"""## It overshoots

On w² from 3, with η = 0.1. `teach.trace` walks down and keeps a record of every number.
"""

# %%
RULES = {
    "gradient descent": {"momentum": 0.0, "nesterov": False},
    "momentum": {"momentum": 0.9, "nesterov": False},
    "Nesterov": {"momentum": 0.9, "nesterov": True},
}


def walk(options):
    """Five updates on w², recorded."""
    return teach.trace("bowl", 3.0, lambda w: optim.SGD(w, lr=0.1, **options), steps=5)


paths = {name: walk(options) for name, options in RULES.items()}
print("w after update  " + "".join(f"{t:9d}" for t in range(1, 6)))
for name, history in paths.items():
    w = (history.w + history.update).ravel()
    print(f"{name:16}" + "".join(f"{one:9.4f}" for one in w))
print("speed b" + " " * 9 + "".join(f"{b:9.4f}" for b in paths["momentum"].state["b"].ravel()))

EXPECTED = {
    "gradient descent": (2.4, 1.92, 1.536, 1.2288, 0.98304),
    "momentum": (2.4, 1.38, 0.186, -0.9258, -1.74126),
    "Nesterov": (1.86, 0.6672, -0.325056, -0.974469, -1.247153),
}
for name, history in paths.items():
    w = (history.w + history.update).ravel()
    assert abs(w - EXPECTED[name]).max() < 1e-6, name
ball = paths["momentum"]
assert ball.w[3] > 0 > ball.w[4], "it arrives at 0.186 with speed, and runs past the minimum"

# %% [markdown]
"""At 0.186 the slope is nearly 0 and the speed is not: the ball runs through the minimum and up the
other side. Nesterov's looks ahead and swings less far.

So far plain descent looks better. What is momentum good for?

## Agreement adds up, contradiction cancels

Hand the rule the same slope again and again, and its steps grow to η/(1−μ), ten times η. Let the
slope change its sign each time, and they shrink to η/(1+μ), about half.
"""


# %%
def steps_under(slopes):
    """The lengths of the updates under these slopes, with η = 1."""
    w = tg.tensor(0.0, dtype="float64", requires_grad=True)
    optimizer = optim.SGD([w], lr=1.0, momentum=0.9)
    lengths = []
    for slope in slopes:
        w.grad = tg.tensor(slope, dtype="float64")
        before = w.item()
        optimizer.step()
        lengths.append(abs(w.item() - before))
    return lengths


same = steps_under([1.0] * 100)
opposite = steps_under([1.0, -1.0] * 50)

print(f"\nstep number {'':8}" + "".join(f"{t:9d}" for t in (1, 2, 3, 10, 100)))
for name, lengths in {"the same slope": same, "changing its sign": opposite}.items():
    print(f"{name:20}" + "".join(f"{lengths[t - 1]:9.4f}" for t in (1, 2, 3, 10, 100)))

assert math.isclose(same[-1], 1 / (1 - 0.9), rel_tol=1e-3), "ten times as far"
assert math.isclose(opposite[-1], 1 / (1 + 0.9), rel_tol=1e-3), "half as far"

# %% [markdown]
"""That is just what a narrow valley needs: across it the slopes contradict each other from step to
step, along it they agree.

## Narrow valleys

L(x, y) = ½ (x² + κ y²) is κ times steeper along y than along x. We start at (1, 1) and count the
updates until the loss stays below a millionth of what it was, each rule at the best of 200
learning rates.

An optimizer's rule is a plain function of arrays, so 200 balls can roll at once: w has a column
for each, and so has the learning rate.
"""

# %%
RATES = np.linspace(0.02, 4, 200)  # divided by κ: beyond 4/κ none of the three holds


def updates_needed(kappa, momentum, nesterov, most=2500):
    """The least number of updates of any of the rates, and that rate times κ."""
    curvature = np.array([[1.0], [kappa]])
    w, b = np.ones((2, len(RATES))), None
    needed = np.zeros(len(RATES), int)
    with np.errstate(over="ignore", invalid="ignore"):  # the highest rates throw their balls out
        for t in range(1, most + 1):
            w, b = optim.SGD.rule(
                np, w, curvature * w, b, first=t == 1,
                lr=RATES / kappa, momentum=momentum, dampening=0, nesterov=nesterov,
            )  # fmt: skip
            loss = 0.5 * (curvature * w**2).sum(axis=0)
            needed[~(loss < 1e-6 * 0.5 * (1 + kappa))] = t + 1
    best = needed.argmin()
    return needed[best], RATES[best]


print(f"\n{'updates at the best η, and η·κ':18}")
print(f"{'κ':>6}" + "".join(f"{name:>22}" for name in RULES))
needed = {}
for kappa in (20, 100, 1000):
    row = f"{kappa:6d}"
    for name, options in RULES.items():
        needed[name, kappa], rate = updates_needed(kappa, **options)
        row += f"{needed[name, kappa]:14d} ({rate:5.2f})"
    print(row)

descent, momentum, nesterov = ({k: needed[name, k] for k in (20, 100, 1000)} for name in RULES)
assert 50 < descent[20] < 62 and 220 < descent[100] < 245 and 1700 < descent[1000] < 1800
assert descent[1000] > 10 * momentum[1000], "in the narrow valley momentum wins by far"
assert momentum[20] > descent[20], "in the wide one it does not"
assert all(nesterov[kappa] < descent[kappa] for kappa in (100, 1000))

# %% [markdown]
"""The updates of descent grow with κ, as its η has to stay below 2/κ. Momentum hardly minds: as
long as it swings, every update leaves the share μ of the loss, in *all* directions, steep or not.
That makes ln 10⁶ / ln (1/μ) = 131 updates for μ = 0.9.

The same number is its price. In the wide valley it swings on although it could stop: a shorter
memory is better there.
"""

# %%
memory = math.log(1e6) / -math.log(0.9)
print(f"\nln 10⁶ / ln (1/0.9) = {memory:.0f}\n\n{'':8}momentum, updates\n{'κ':>6}", end="")
MOMENTA = (0.5, 0.7, 0.8, 0.9, 0.95)
print("".join(f"{f'μ = {mu}':>10}" for mu in MOMENTA))
table = {
    kappa: [updates_needed(kappa, mu, False, most=1200)[0] for mu in MOMENTA]
    for kappa in (20, 100, 1000)
}
for kappa, row in table.items():
    print(f"{kappa:6d}" + "".join(f"{count:10d}" for count in row))

best = {kappa: MOMENTA[row.index(min(row))] for kappa, row in table.items()}
assert all(abs(momentum[kappa] / memory - 1) < 0.1 for kappa in (20, 100, 1000)), "whatever κ is"
assert best[20] < best[100] < best[1000], "the narrower the valley, the longer the memory"
assert min(table[20]) < descent[20]

# %% [markdown]
"""## Try

1. Predict the sixth w of momentum on the bowl from the table: b ← 0.9 b + 2w, w ← w − 0.1 b.
2. Take μ = 1. What becomes of the ball in the bowl, and of which law of physics does that remind?
3. The best momentum is near ((√κ − 1)/(√κ + 1))². Put it in for κ = 1000. How many updates?

On the command line:

    tinygrad-opt step bowl --optimizer momentum --lr 0.1 --from 3 --steps 5
    tinygrad-opt race ravine --optimizers sgd,momentum,nesterov
"""
