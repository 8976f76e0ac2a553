# %% [markdown]
"""# 02 · The update rule

All of training is this one line, repeated:

    w ← w − η · dL/dw

The gradient dL/dw says in which direction the loss L grows, and how steeply. We go the other
way; η, the **learning rate**, says how far. Here L(w) = w² with its minimum at 0, we start at w
= 3, and η = 0.1.
"""

# %%
from itertools import pairwise

import tinygrad_opt as tg
from tinygrad_opt import optim

START, LEARNING_RATE, STEPS = 3.0, 0.1, 5


def loss_of(w):
    """A bowl with its lowest point at 0."""
    return w * w


# %% [markdown]
"""## Step by step

`backward()` puts dL/dw into `w.grad`. The update is our own doing, not part of what we want to
differentiate, hence `no_grad`. Then the gradient is forgotten, ready for the next one.
"""

# %%
w = tg.tensor(START, dtype="float64", requires_grad=True)
path = []
losses = []

print(f"L(w) = w²   η = {LEARNING_RATE}\n")
print(f"{'step':>4} {'w':>8} {'loss':>8} {'dL/dw':>8} {'η·dL/dw':>8} {'new w':>8}")
for step in range(1, STEPS + 1):
    loss = loss_of(w)
    loss.backward()
    old, slope = w.item(), w.grad.item()
    with tg.no_grad():
        w -= LEARNING_RATE * w.grad
    w.grad = None
    losses.append(loss.item())
    path.append(w.item())
    change = LEARNING_RATE * slope
    print(f"{step:4d} {old:8.4g} {loss.item():8.4g} {slope:8.4g} {change:8.4g} {w.item():8.4g}")
losses.append(loss_of(w).item())

for found, expected in zip(path, (2.4, 1.92, 1.536, 1.2288, 0.98304), strict=True):
    assert abs(found - expected) < 1e-12
assert all(after < before for before, after in pairwise(losses))

# %% [markdown]
"""The steps get shorter by themselves: the slope is 2w, and it fades on the way down. The
learning rate did not change.

## On paper

    w ← w − 0.1 · 2w = 0.8 · w,   so   w after t steps = 3 · 0.8ᵗ

Each step keeps 80 % of the distance; the minimum is approached and never quite reached.
"""

# %%
print(f"\n{'t':>4} {'w':>10} {'3 · 0.8ᵗ':>10}")
for t, found in enumerate(path, start=1):
    on_paper = START * 0.8**t
    print(f"{t:4d} {found:10.4g} {on_paper:10.4g}")
    assert abs(found - on_paper) < 1e-12

# %% [markdown]
"""## The same with an optimizer

`optim.SGD` is this very rule; the name is the usual one for it (*stochastic gradient descent*).
"""

# %%
w = tg.tensor(START, dtype="float64", requires_grad=True)
optimizer = optim.SGD([w], lr=LEARNING_RATE)
for expected in path:
    optimizer.zero_grad()
    loss_of(w).backward()
    optimizer.step()
    assert abs(w.item() - expected) < 1e-12
print(f"\nw after {STEPS} steps: {path[-1]:.6g} by hand, {w.item():.6g} by optim.SGD")

# %% [markdown]
"""## Try

1. Start at −3. Which numbers of the table change, and which only change their sign?
2. How many steps until |w| < 0.001? Work it out from 3 · 0.8ᵗ first, then count.
3. Take L(w) = w⁴ instead. Why do the steps become so small near 0?

On the command line:

    tinygrad-opt step bowl --optimizer sgd --lr 0.1 --from 3 --steps 5
"""
