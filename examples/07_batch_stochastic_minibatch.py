# %% [markdown]
"""# 07 · Batch, stochastic, mini-batch

The loss is a mean over examples, and so is its gradient. How many examples should we look at
before each update?

- **batch**: all of them. The exact gradient, but one update a pass.
- **stochastic**: one. A rough guess, but as many updates as there are examples.
- **mini-batch**: a few. In between, and what everybody uses.

We predict how diabetes progresses in 442 patients from ten measurements each, by a linear model.
All columns are standardized: mean 0, variance 1.
"""

# %%
import numpy as np

import tinygrad_opt as tg
from tinygrad_opt import data, nn, optim

diabetes = data.load("diabetes")


def standardized(values):
    """Each column with mean 0 and variance 1."""
    columns = tg.tensor(values.reshape(len(values), -1), dtype="float64")
    return (columns - columns.mean(axis=0)) / columns.std(axis=0)


x, y = standardized(diabetes.x), standardized(diabetes.y)
N = len(x)
mse = nn.MSELoss()


def new_model():
    """Ten weights and a bias, all 0: this loss has one valley, so any start will do."""
    model = nn.Linear(10, 1, dtype="float64")
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    return model


# %% [markdown]
"""## Mini-batches are right on average

Split the examples into 26 batches of 17. Each batch has its own gradient, and their mean is the
gradient of the whole: nothing is lost, it only comes in parts.
"""

# %%
model = new_model()


def gradient(inputs, targets):
    """dL/dw of the ten weights, from these examples alone."""
    model.zero_grad()
    mse(model(inputs), targets).backward()
    return model.weight.grad.numpy().ravel()


full = gradient(x, y)
batches = np.array([gradient(x[i : i + 17], y[i : i + 17]) for i in range(0, N, 17)])
mean = batches.mean(axis=0)

print("slopes along the first three weights")
shown = {"batch 1": batches[0], "batch 2": batches[1], "mean of 26 batches": mean, "all": full}
for name, slopes in shown.items():
    print(f"{name:20}" + "".join(f"{slope:9.4f}" for slope in slopes[:3]))
print(f"largest difference of the last two: {abs(mean - full).max():.0e}")

assert abs(mean - full).max() < 2e-15, "equal mini-batches average to the full gradient"

# %% [markdown]
"""## The noise shrinks like 1/B

How far do the gradients of random batches of B examples scatter around the full one? Four times
the batch has a quarter of the variance, and half of the typical error: more examples help, but
less and less.
"""

# %%
each = np.array([gradient(x[i : i + 1], y[i : i + 1]) for i in range(N)])


def variance(batch_size, draws=20_000):
    """The mean squared distance of a batch's gradient from the full one."""
    members = tg.randint(N, shape=(draws, batch_size)).numpy()
    found = each[members].mean(axis=1)  # the gradient of a batch is the mean of its examples'
    return ((found - full) ** 2).sum(axis=1).mean()


tg.manual_seed(0)
variances = {size: variance(size) for size in (1, 8, 16, 32)}
ratios = {(a, b): variances[a] / variances[b] for a, b in ((8, 32), (1, 16))}

print(f"\n{'B':>4} {'variance':>9} {'B · variance':>13}")
for size, found in variances.items():
    print(f"{size:4d} {found:9.4g} {size * found:13.4g}")
for (a, b), ratio in ratios.items():
    print(f"variance at B = {a} is {ratio:.4g} times that at B = {b}")
    assert abs(ratio / (b / a) - 1) < 0.05, "variance ∝ 1/B"

# %% [markdown]
"""## The same three passes over the data

The *excess* is the loss on all examples, minus the least that any linear model can have. For the
price of one exact step, the smaller batches take many rough ones.
"""

# %%
columns = np.c_[x.numpy(), np.ones(N)]
best = np.linalg.lstsq(columns, y.numpy(), rcond=None)[0]
least = ((columns @ best - y.numpy()) ** 2).mean()


def train(batch_size, learning_rate, passes, seed=0, watch_from=0):
    """Train with a constant η; gives the excess after each update, from pass `watch_from` on."""
    model = new_model()
    optimizer = optim.SGD(model.parameters(), lr=learning_rate)
    batches = data.DataLoader((x, y), batch_size=batch_size, seed=seed, drop_last=True)
    excess = []
    for number in range(passes):
        for inputs, targets in batches:
            optimizer.zero_grad()
            mse(model(inputs), targets).backward()
            optimizer.step()
            if number >= watch_from:
                with tg.no_grad():
                    excess.append(mse(model(x), y).item() - least)
    return excess


print(f"\nη = 0.01, three passes; least possible loss {least:.4g}")
print(f"{'':12} {'B':>4} {'updates':>8} {'excess':>8}")
ends = {}
for name, size in {"batch": N, "mini-batch": 8, "stochastic": 1}.items():
    excess = train(size, 0.01, passes=3)
    ends[name] = excess[-1]
    print(f"{name:12} {size:4d} {len(excess):8,d} {excess[-1]:8.4f}")

assert ends["mini-batch"] < ends["batch"] / 10

# %% [markdown]
"""## The noise floor

The small batches pay later. With a constant learning rate they do not settle: each update is a
little wrong, and the weights keep dancing around the minimum. The height of that dance is
proportional to η: half the learning rate, half the floor. The full batch has no such noise and
with as many updates comes closer, but it looks at 55 times as many examples for each.
"""

# %%
PASSES = 60
UPDATES = PASSES * (N // 8)
floors = {
    rate: [np.mean(train(8, rate, PASSES, seed, watch_from=48)) for seed in range(3)]
    for rate in (0.02, 0.01)
}
exact = train(N, 0.02, UPDATES, watch_from=UPDATES - 1)[-1]

print(f"\nexcess after {UPDATES:,} updates")
for rate, found in floors.items():
    shown = "".join(f"{one:8.4f}" for one in found)
    print(f"mini-batch of 8, η = {rate}{shown}   mean of the last fifth, three orders")
print(f"batch,           η = 0.02{exact:8.4f}   it still creeps down")

assert all(0.0070 < one < 0.0095 for one in floors[0.02])
assert all(0.0033 < one < 0.0045 for one in floors[0.01])
assert 1.8 < np.mean(floors[0.02]) / np.mean(floors[0.01]) < 2.2, "the floor is proportional to η"
assert round(exact, 4) == 0.0004

# %% [markdown]
"""So training often begins with a large learning rate and ends with a small one: first quick,
then exact.

## Try

1. Predict the floor for η = 0.04 before you run it.
2. Halve η from pass 40 on (`optimizer.param_groups[0]["lr"] /= 2`). Where does the excess end?
3. Which B comes closest to the minimum in three passes, if each B may have its own best η?

On the command line:

    tinygrad-opt train diabetes --hidden '' --optimizer sgd --lr 0.01 --batch 8
"""
