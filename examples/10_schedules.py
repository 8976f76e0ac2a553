# %% [markdown]
"""# 10 · Schedules

With a constant learning rate and mini-batches, training stops short of the minimum: it dances
around it, at a height that grows with η. A small η dances low, but travels slowly. So begin
large and end small. A **schedule** says how: a function of the step t that multiplies η.
"""

# %%
import sys

import numpy as np

import tinygrad_opt as tg
from tinygrad_opt import data, nn, optim
from tinygrad_opt.optim import constant, cosine, linear, lr_scheduler, step, warmup, wsd

SEEDS = range(1 if "--quick" in sys.argv else 3)

# %% [markdown]
"""## A schedule is a function

Schedules are joined by `>>`: the second begins where the first has ended. The pictures show
1,000 steps.
"""

# %%
SCHEDULES = [
    constant(),
    step(300, 0.5),
    cosine(1000),
    warmup(100) >> cosine(900),
    wsd(100, 700, 200),
]

for schedule in SCHEDULES:
    print(f"{schedule!s:26} {schedule.sparkline(40, steps=1000)}")

schedule = warmup(100) >> cosine(900)
print(f"\n{schedule} at step t")
for t, where in {
    0: "start",
    99: "last of the warmup",
    100: "join",
    550: "middle",
    1000: "end",
}.items():
    print(f"{t:6d} {schedule(t):8.4f}   {where}")

assert abs(schedule(0) - 1 / 101) < 1e-12, "the first step already moves a little"
assert schedule(100) == 1.0
assert abs(schedule(550) - 0.5) < 1e-12
assert schedule(1000) == schedule(5000) == 0.0, "past the end it stays where it is"

# %% [markdown]
"""*Warmup* is for the first steps, when gradients are large and averages such as Adam's know
nothing yet. *Cosine* is slow at both ends: long enough high to travel, long enough low to settle.

## The noise floor, and below it

A linear model of the progress of diabetes in 442 patients, from ten measurements, in batches of
8. The *excess* is the loss on all of them, minus the least that any linear model can have.
"""

# %%
diabetes = data.load("diabetes")


def standardized(values):
    """Each column with mean 0 and variance 1."""
    columns = tg.tensor(values.reshape(len(values), -1), dtype="float64")
    return (columns - columns.mean(axis=0)) / columns.std(axis=0)


x, y = standardized(diabetes.x), standardized(diabetes.y)
columns = np.c_[x.numpy(), np.ones(len(x))]
best = np.linalg.lstsq(columns, y.numpy(), rcond=None)[0]
least = ((columns @ best - y.numpy()) ** 2).mean()
mse = nn.MSELoss()

PASSES, BATCH = 60, 8
UPDATES = PASSES * (len(x) // BATCH)


def train(learning_rate, schedule, seed):
    """The excess after each update of the last fifth."""
    model = nn.Linear(10, 1, dtype="float64")
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    optimizer = optim.SGD(model.parameters(), lr=learning_rate)
    scheduler = lr_scheduler.ScheduleLR(optimizer, schedule)
    excess = []
    batches = data.DataLoader((x, y), BATCH, seed=seed, drop_last=True)
    for number in range(PASSES):
        for inputs, targets in batches:
            optimizer.zero_grad()
            mse(model(inputs), targets).backward()
            optimizer.step()
            scheduler.step()  # after the optimizer's step
            if number >= 0.8 * PASSES:
                with tg.no_grad():
                    excess.append(mse(model(x), y).item() - least)
    return excess


RUNS = {
    "constant": (0.04, constant()),
    "constant, a tenth": (0.004, constant()),
    "cosine": (0.04, cosine(UPDATES)),
    "warmup >> cosine": (0.04, warmup(100) >> cosine(UPDATES - 100)),
}

print(f"\n{UPDATES:,} updates; the least possible loss is {least:.4f}")
print(f"{'':18}{'η':^16} {'excess':^23}".rstrip())
print(f"{'':18}{'first':>8}{'last':>8} {'last fifth':>12} {'end':>8}")
floor, end = {}, {}
for name, (rate, schedule) in RUNS.items():
    runs = np.array([train(rate, schedule, seed) for seed in SEEDS])
    floor[name], end[name] = runs.mean(), runs[:, -1].mean()
    rates = f"{rate:8.3g}{rate * schedule(UPDATES - 1):8.1g}"
    print(f"{name:18}{rates} {floor[name]:12.4f} {end[name]:8.4f}")

assert 0.015 < floor["constant"] < 0.025, "it hovers"
assert end["cosine"] < 0.0006 and end["warmup >> cosine"] < 0.0006
assert floor["constant"] > 30 * end["cosine"]
assert floor["constant, a tenth"] > 4 * end["cosine"], "small from the start is no way out"

# %% [markdown]
"""The same first η and the same number of updates: only the schedule makes the last ones small.

## Any number can be scheduled

Here the momentum: on the ravine 0.1 x² + 2 y² a ball with a long memory travels well and swings
long. Let it forget more and more, from 0.9 to 0.45, and it travels first and settles then.
"""


# %%
def roll(momentum, schedule, updates=60):
    """The loss at the end, and the momentum that each update used."""
    w = tg.tensor([-2.7, 1.0], dtype="float64", requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1, momentum=momentum)
    scheduler = lr_scheduler.HyperparameterScheduler(optimizer, "momentum", schedule)
    used = []
    for _ in range(updates):
        optimizer.zero_grad()
        (0.1 * w[0] ** 2 + 2 * w[1] ** 2).backward()
        used.append(optimizer.param_groups[0]["momentum"])
        optimizer.step()
        scheduler.step()
    with tg.no_grad():
        return (0.1 * w[0] ** 2 + 2 * w[1] ** 2).item(), used


BALLS = {
    "0.9": (0.9, constant()),
    "0.45": (0.45, constant()),
    "0.9 → 0.45": (0.9, linear(60, 1.0, 0.5)),
}
print(f"\n{'momentum':12}{'at update 0':>12}{'30':>8}{'59':>8}{'loss at the end':>18}")
losses = {}
for name, (momentum, schedule) in BALLS.items():
    losses[name], used = roll(momentum, schedule)
    print(f"{name:12}{used[0]:12.4g}{used[30]:8.4g}{used[59]:8.4g}{losses[name]:18.2g}")

assert used[0] == 0.9 and abs(used[30] - 0.675) < 1e-12
assert losses["0.9 → 0.45"] < 0.1 * min(losses["0.9"], losses["0.45"])

# %% [markdown]
"""## Try

1. Which constant η ends as low as the cosine does? How many passes does it need?
2. Stop the cosine halfway, at pass 30. Why is a schedule a promise about when training ends?
3. Let the momentum rise from 0.45 to 0.9 instead. Were you right?

On the command line:

    tinygrad-opt schedule "warmup(100) >> cosine(900)"
"""
