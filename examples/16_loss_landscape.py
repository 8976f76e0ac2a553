# %% [markdown]
"""# 16 · The loss landscape of a real network

A network with 2,410 weights is a point in a space of 2,410 dimensions, and its loss is a height
over that space. Nobody can see it. But we can walk along lines and cut out planes, and look at
the height there.
"""

# %%
import numpy as np

import tinygrad_opt as tg
from tinygrad_opt import data, nn, optim, teach

train_set, _ = data.prepare("digits")

RULES = {
    "SGD": lambda weights: optim.SGD(weights, lr=0.1),
    "Adam": lambda weights: optim.Adam(weights, lr=0.003),
}


def train(rule):
    """64-32-10 after ten passes over the digits, with all weights at the end of each pass."""
    tg.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    batches = data.DataLoader(train_set, batch_size=32)
    history = teach.fit(model, batches, rule(model.parameters()), epochs=10, snapshots=True)
    return model, history


trained = {name: train(rule) for name, rule in RULES.items()}
weights = sum(p.size for p in trained["SGD"][0].parameters())
assert weights == 2410

# %% [markdown]
"""## The straight line from start to end

Training went its way in hundreds of small steps. What lies on the straight line from the first
weights (0) to the last (1)?
"""

# %%
print("loss on the line from start to end")
for number, (name, (model, history)) in enumerate(trained.items()):
    line = teach.landscape(model, train_set, directions="line", history=history, grid=7)
    if number == 0:
        print(f"{'':6}" + "".join(f"{at:8.2f}" for at in line.axes[0]))
    print(f"{name:6}" + "".join(f"{loss:8.3f}" for loss in line.loss))
    assert (np.diff(line.loss) < 0).all() and line.hill == 0, "downhill all the way: no hill"

# %% [markdown]
"""No hill, no bump: straight downhill, even a little beyond the end. Minima are not hidden behind
walls here. (Then why not walk the line? Because only those who have arrived know it.)

## Any other direction

From the end we go in random directions, each as long as the weights themselves, unit by unit
(*filter normalisation*), and to both sides.
"""

# %%
print(f"\n{'':6}{'at the end':>12}{'in 20 random directions, both ways':>38}")
for name, (model, _) in trained.items():
    ends = []
    for seed in range(10):
        plane = teach.landscape(model, train_set, directions="random", grid=3, seed=seed)
        ends += [plane.loss[1, 0], plane.loss[1, 2], plane.loss[0, 1], plane.loss[2, 1]]
    here = plane.loss[1, 1]
    print(f"{name:6}{here:12.3f}{min(ends):18.3f} to {max(ends):.3f}")
    assert min(ends) > 3 * here, "up in every one of them"

# %% [markdown]
"""## Where the path lies

Through the weights after each pass we lay the plane that holds most of the path: its *principal
directions*. Of 2,410 dimensions, two are nearly enough. Here is the map for Adam, s is the start
and e the end; the darker, the higher.
"""

# %%
print(f"\n{'':6}share of the path in the plane")
for name, (model, history) in trained.items():
    map_size = 15 if name == "Adam" else 2
    plane = teach.landscape(model, train_set, directions="pca", history=history, grid=map_size)
    print(f"{name:6}{100 * plane.share:8.1f} %")
    assert plane.share > 0.95
print(f"\n{plane.to_text()}")

# %% [markdown]
"""A map shows two dimensions of 2,410; do not read mountains into it. What can be trusted are
numbers such as those above.

## Try

1. Train for one pass only, and for thirty. How far beyond the end does the line still fall?
2. How long is the path compared with the line? (`history.snapshots` has the weights.)
3. Draw the line between the *ends* of SGD and Adam, by hand: is there a hill between them?

On the command line:

    tinygrad-opt landscape digits --hidden 32 --epochs 10 --directions line
"""
