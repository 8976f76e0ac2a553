# %% [markdown]
"""# 03 · The learning rate: too low, right, too high

On L(w) = w² the slope is 2w, so one step multiplies w by a constant:

    w ← w − η · 2w = (1 − 2η) · w

The learning rate η alone decides whether |1 − 2η| is below 1 (we arrive) or above (we are thrown
out). Everything in this lesson follows from that factor.
"""

# %%
from itertools import pairwise

import tinygrad_opt as tg


def descend(loss_of, start, learning_rate, steps):
    """The points w₀, w₁, … of gradient descent, as lists of numbers."""
    w = tg.tensor(start, dtype="float64", requires_grad=True)
    path = [w.tolist()]
    for _ in range(steps):
        loss_of(w).backward()
        with tg.no_grad():
            w -= learning_rate * w.grad
        w.grad = None
        path.append(w.tolist())
    return path


def bowl(w):
    """w², minimum 0 at 0."""
    return w * w


# %% [markdown]
"""## Five learning rates, one bowl

From w = 3 each time.
"""

# %%
STORIES = {
    0.01: "too low: it creeps",
    0.5: "just right: there in one step",
    0.9: "high: swings from side to side, and still arrives",
    1.0: "the limit: jumps between 3 and −3 for ever",
    1.1: "too high: every step leads further away",
}

paths = {rate: descend(bowl, 3.0, rate, steps=20) for rate in STORIES}

print(f"{'η':>5} {'1 − 2η':>7} {'w₁':>8} {'w₂':>8} {'w₅':>8} {'w₂₀':>9}")
for rate, story in STORIES.items():
    w = paths[rate]
    row = f"{rate:5g} {1 - 2 * rate:7.3g} {w[1]:8.4g} {w[2]:8.4g} {w[5]:8.4g} {w[20]:9.4g}"
    print(f"{row}   {story}")

for rate, path in paths.items():
    for t, w in enumerate(path):
        expected = 3 * (1 - 2 * rate) ** t
        assert abs(w - expected) <= 1e-12 * max(1, abs(expected)), "each step multiplies by 1 − 2η"

assert round(paths[0.01][20], 4) == 2.0028
assert paths[0.5][1] == 0.0
for before, after in pairwise(paths[0.9]):
    assert after * before < 0 and abs(after) < abs(before), "0.9 changes sign and shrinks"
assert [abs(w) for w in paths[1.0]] == [3.0] * 21
assert round(abs(paths[1.1][5]), 2) == 7.46

# %% [markdown]
"""## Where the limit comes from

The factor is 1 − η · L″, and the bowl's curvature L″ is 2. It stays between −1 and 1 exactly
when

    η < 2 / curvature

In more than one direction the **steepest** one sets the limit. The ravine

    L(x, y) = 0.1 x² + 2 y²

has curvature 0.2 along x and 4 across it, along y. So η must stay below 2/4 = 0.5, although x
alone would bear up to 10.
"""


# %%
def ravine(w):
    """0.1 x² + 2 y²: flat along x, steep along y; minimum 0 at (0, 0)."""
    return 0.1 * w[0] ** 2 + 2 * w[1] ** 2


print("\nravine from (−2.7, 1), 40 steps")
print(f"{'η':>5} {'factor x':>9} {'factor y':>9} {'x':>9} {'y':>9}")
ends = {}
for rate in (0.1, 0.25, 0.49, 0.5, 0.51):
    x, y = ends[rate] = descend(ravine, [-2.7, 1.0], rate, steps=40)[-1]
    print(f"{rate:5g} {1 - 0.2 * rate:9.4g} {1 - 4 * rate:9.4g} {x:9.4g} {y:9.4g}")

assert abs(ends[0.49][1]) < 1 and abs(ends[0.51][1]) > 1, "y shrinks below 0.5 and grows above"
assert abs(abs(ends[0.5][1]) - 1) < 1e-9, "at 0.5 it does neither"
assert abs(ends[0.51][0]) < abs(ends[0.49][0]), "and x, all the while, would like more"

# %% [markdown]
"""This is the everyday trouble of training: one learning rate for directions of very different
curvature. Low enough for y is slow for x. Momentum and the adaptive methods are answers to it.

## Try

1. Which η makes the bowl's w shrink by exactly half each step? There are two; how do they
   differ?
2. Replace 2 y² by 20 y². Where is the limit now? Find it by trying, then by the formula.
3. Let η fall from 0.9 to 0.1 over 20 steps on the bowl. Is that better than 0.9, or 0.1, alone?

On the command line:

    tinygrad-opt step bowl --optimizer sgd --lr 0.9 --from 3 --steps 20
    tinygrad-opt lr digits --optimizer sgd
"""
