# %% [markdown]
"""# 06 · The training loop

Every network, small or huge, is trained by the same five lines:

1. **initialise**: weights drawn at random
2. **forward**: from the inputs to the predictions
3. **loss**: one number that says how wrong they are
4. **backward**: the slope of the loss along every weight
5. **update**: w ← w − η · dL/dw, and back to 2

Here they are, on 1,437 handwritten digits of 8×8 pixels.
"""

# %%
from itertools import pairwise

import tinygrad_opt as tg
from tinygrad_opt import data, nn, optim

EPOCHS = 5
train_set, _ = data.prepare("digits")
cross_entropy = nn.CrossEntropyLoss()


def initialise():
    """A 64-32-10 network, the same one each time, and the optimizer that will change it."""
    tg.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    return model, optim.SGD(model.parameters(), lr=0.1)


# %% [markdown]
"""One pass over all examples is an **epoch**. Each update looks at a batch of 32 of them.

`backward()` *adds* to the gradients that are already there, so the loop begins with
`zero_grad()`. The switch `forget` leaves that line out; what happens then comes further down.
"""


# %%
def train(forget=False):
    """Train for some epochs; returns the batch losses and the first layer's gradient norms."""
    model, optimizer = initialise()  # 1
    batches = data.DataLoader(train_set, batch_size=32, shuffle=True, seed=0)
    losses, norms = [], []
    for _ in range(EPOCHS):
        for x, y in batches:
            if not forget:
                optimizer.zero_grad()
            prediction = model(x)  # 2
            loss = cross_entropy(prediction, y)  # 3
            loss.backward()  # 4
            optimizer.step()  # 5
            losses.append(loss.item())
            norms.append(model[0].weight.grad.norm().item())
    return losses, norms


losses, norms = train()

updates = len(losses) // EPOCHS
epochs = [slice(i * updates, (i + 1) * updates) for i in range(EPOCHS)]
mean_losses = [sum(losses[epoch]) / updates for epoch in epochs]

print(f"{updates} updates an epoch\n\n{'epoch':>5} {'mean loss':>10} {'largest gradient':>17}")
for number, (mean, epoch) in enumerate(zip(mean_losses, epochs, strict=True), start=1):
    print(f"{number:5d} {mean:10.4g} {max(norms[epoch]):17.4g}")

assert all(after < before for before, after in pairwise(mean_losses)), "every epoch lowers the loss"
assert max(norms) < 1.3

# %% [markdown]
"""## Gradients add up

At fixed weights, k backward passes without `zero_grad()` give exactly k times the gradient. That
is meant: one weight that is used in two places gets the sum of both slopes, and a large batch
may be worked off in small parts. But it has to be reset before the next update.
"""

# %%
model, optimizer = initialise()
x, y = tg.tensor(train_set.x[:32]), tg.tensor(train_set.y[:32])
weight = model[0].weight


def backward():
    """One forward and one backward pass; gives the gradient that now stands in the weight."""
    cross_entropy(model(x), y).backward()
    return weight.grad.clone()


once = backward()
print(f"\n{'passes':>6} {'gradient norm':>14}\n{1:6d} {once.norm().item():14.4g}")
for passes in (2, 3, 4):
    total = backward()
    print(f"{passes:6d} {total.norm().item():14.4g}")
    assert (total == passes * once).all(), "k passes, k times the gradient"

optimizer.zero_grad()
assert (backward() == once).all(), "zero_grad() makes a fresh start"

# %% [markdown]
"""## Forgetting zero_grad

The classic mistake. Each update now uses the sum of *all* gradients so far, most of them from
weights long gone. At first that even seems to help, as momentum does. But nothing is ever
forgotten: the sum grows, the steps grow with it, and the loss, nearly 0 for a moment, climbs
back.
"""

# %%
bad_losses, bad_norms = train(forget=True)
lowest = bad_losses.index(min(bad_losses))

print(f"\n{'':>8} {'with zero_grad':^18}  {'without':^18}".rstrip())
print(f"{'update':>8} {'loss':>8} {'gradient':>9}  {'loss':>8} {'gradient':>9}")
for i in sorted({0, lowest, *(epoch.stop - 1 for epoch in epochs)}):
    good = f"{losses[i]:8.4g} {norms[i]:9.4g}"
    bad = f"{bad_losses[i]:8.4g} {bad_norms[i]:9.4g}"
    print(f"{i + 1:8d} {good}  {bad}")

last_epoch = sum(bad_losses[epochs[-1]]) / updates
print(f"\nmean loss of the last epoch: {mean_losses[-1]:.4g} with, {last_epoch:.4g} without")

assert bad_losses[lowest] < 0.15, "for a moment it seems to help"
assert last_epoch > 10 * bad_losses[lowest], "and then it climbs"
assert bad_norms[-1] > 20 * bad_norms[0], "the gradients pile up"

# %% [markdown]
"""## Try

1. Move `zero_grad()` from the beginning of the loop to its end. Does anything change? And
   between `backward()` and `step()`?
2. Work each batch off as two halves: two losses, two backward passes, one step. By what must
   each loss be divided so that the gradient is that of the whole batch?
3. Leave `step()` out. Which numbers of the first table still change, and which do not?

On the command line:

    tinygrad-opt train digits --hidden 32 --optimizer sgd --lr 0.1 --epochs 5
"""
