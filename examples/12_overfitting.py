# %% [markdown]
"""# 12 · Overfitting: L1, L2, dropout

A network that is large for its data learns the examples by heart. Its training loss falls to
nearly 0, and what it says about examples that it has not seen gets no better: it **overfits**. The
remedies make the network less free:

- **L2**  adds ½ λ Σ w² to the loss: large weights cost.
- **L1**  adds λ Σ |w|: every weight costs, and most can be done without.
- **Dropout**  sets a share p of the hidden units to 0 at every step, other ones each time: no unit
  can rely on another.

9,610 weights learn from 200 digits and are tested on 1,597 others.
"""

# %%
import sys

import numpy as np

import tinygrad_opt as tg
from tinygrad_opt import data, nn, optim, teach

SEEDS = range(2 if "--quick" in sys.argv else 5)
PARTS = [data.prepare("digits", test=1597 / 1797, seed=seed) for seed in SEEDS]
EPOCHS = 100


def new_model(dropout=0.0):
    """64-128-10, with dropout between the two layers."""
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Dropout(dropout), nn.Linear(128, 10))


def penalty(weights, l1, l2):
    """λ₁ Σ |w| + ½ λ₂ Σ w²."""
    return sum(l1 * w.abs().sum() + 0.5 * l2 * w.square().sum() for w in weights)


# %% [markdown]
"""`teach.fit(…, l1=…, l2=…)` would do what follows. Written out, it is the usual loop with one more
term in the loss. (`capture` records a step once and then replays it, which is quicker.)
"""


# %%
def train(seed, l1=0.0, l2=0.0, dropout=0.0):
    """Loss in training and test, test accuracy, ‖W₁‖, and the share of W₁ that is nearly 0."""
    tg.manual_seed(seed)
    model = new_model(dropout)
    first, last = model[0].weight, model[3].weight
    cross_entropy = nn.CrossEntropyLoss()
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

    @tg.capture
    def step(x, y):
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        if l1 or l2:
            loss = loss + penalty([first, last], l1, l2)
        loss.backward()
        optimizer.step()

    learn, test = PARTS[seed]
    batches = data.DataLoader(learn, batch_size=50, seed=seed)
    for _ in range(EPOCHS):
        for x, y in batches:
            step(x, y)

    learnt, tested = (teach.evaluate(model, data.DataLoader(part, None)) for part in (learn, test))
    small = (first.abs() < 0.01).float().mean().item()
    return learnt["loss"], tested["loss"], tested["accuracy"], first.norm().item(), small


REMEDIES = {
    "none": {},
    "L2, λ = 0.001": {"l2": 1e-3},
    "L2, λ = 0.01": {"l2": 1e-2},
    "L2, λ = 0.1": {"l2": 0.1},
    "L1, λ = 0.001": {"l1": 1e-3},
    "dropout, p = 0.5": {"dropout": 0.5},
}

print(f"mean of {len(SEEDS)} seeds{'loss':>11}{'accuracy':>23}{'first layer':>19}")
print(f"{'':16}{'train':>7}{'test':>8}{'gap':>8}{'test':>10}{'‖W₁‖':>9}{'|w| < 0.01':>13}")
runs = {}
for name, options in REMEDIES.items():
    runs[name] = np.array([train(seed, **options) for seed in SEEDS])
    learnt, tested, accuracy, norm, small = runs[name].mean(axis=0)
    losses = f"{learnt:7.3f}{tested:8.3f}{tested - learnt:8.3f}"
    print(f"{name:16}{losses}{accuracy:10.3f}{norm:9.1f}{100 * small:11.2g} %")

train_loss, test_loss, accuracy, norm, small = range(5)
mean = {name: found.mean(axis=0) for name, found in runs.items()}
none = mean["none"]
assert none[test_loss] > 10 * none[train_loss], "without a remedy it learns by heart"
assert mean["dropout, p = 0.5"][test_loss] < none[test_loss]
assert mean["L2, λ = 0.001"][test_loss] < none[test_loss]
assert 0.4 < mean["L2, λ = 0.01"][norm] / none[norm] < 0.65, "L2 makes weights smaller …"
assert mean["L1, λ = 0.001"][small] > 10 * none[small], "… and L1 makes most of them nearly 0"
assert mean["L2, λ = 0.1"][train_loss] > 1, "too much of it, and it cannot even learn: underfitting"

# %% [markdown]
"""A training loss near 0 is no success and a larger one no failure: the test decides. The remedies
close the gap from above; from some λ on they only spoil both sides. One or two points of accuracy
are within what another seed would change, so look at losses, and at several seeds.

## Dropout has two modes

In training the units that stay are multiplied by 1/(1 − p), so that the mean is kept. In the test
nothing is dropped: `model.eval()` turns dropout into the identity. Forget it, and every answer is
different.
"""

# %%
tg.manual_seed(0)
layer = nn.Dropout(0.5)
ones = tg.ones(100_000)
dropped = layer(ones)
print(f"\ntraining:  {dropped[:8].tolist()} …   mean {dropped.mean().item():.4f}")
layer.eval()
print(f"eval():    {layer(ones)[:8].tolist()} …   mean {layer(ones).mean().item():.4f}")

assert set(dropped.tolist()) == {0.0, 2.0}
assert abs(dropped.mean().item() - 1) < 0.01
assert (layer(ones) == ones).all()

# %% [markdown]
"""## Try

1. Learn from 1,000 digits instead of 200. What happens to the gap, without any remedy?
2. Which λ of L2 gives the lowest test loss? Would it be fair to report that loss?
3. Move the dropout in front of the first layer: pixels are dropped. Is 0.5 still a good p?

On the command line:

    tinygrad-opt train spiral --noise 0.3 --hidden 64,64 --epochs 100 --penalties
"""
