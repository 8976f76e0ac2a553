# %% [markdown]
"""# 11 · Local minima, saddles, plateaus

Gradient descent knows only the slope under its feet, and stops where there is none. That need
not be the lowest place: here are three kinds of places where it stops, or seems to.
"""

# %%
import math

import numpy as np

from tinygrad_opt import teach

# %% [markdown]
"""## Two minima, one better

    L(x) = x⁴ − 2x² + 0.3x

has a good minimum on the left and a less good one on the right, with a hump between them.
"""

# %%
well = teach.get_surface("double_well")
GOOD, WORSE = -1.035579, 0.960150

print(f"{'x':>5} {'loss':>6}")
xs = np.linspace(-1.6, 1.6, 17)
for x, loss in zip(xs, well.on_grid(xs), strict=True):
    print(f"{x:5.1f} {loss:6.2f}  {'█' * round(10 * (loss + 1.4))}")

# %% [markdown]
"""We start in three places, without and with momentum.
"""


# %%
def descend(start, optimizer):
    """400 updates from x = start, recorded."""
    return teach.trace(well, start, optimizer, steps=400, lr=0.01)


ends = {}
print(f"\nη = 0.01\n{'from':>5} {'gradient descent':>18} {'momentum 0.9':>18}")
for start in (2.0, 1.5, -2.0):
    row = f"{start:5.1f}"
    for optimizer in ("sgd", "momentum"):
        ends[start, optimizer] = end = descend(start, optimizer).final_w.item()
        row += f"{end:11.6f} {'good' if end < 0 else 'worse':7}"
    print(row.rstrip())

for start, optimizer, minimum in [
    (2.0, "sgd", WORSE), (2.0, "momentum", GOOD),
    (1.5, "sgd", WORSE), (1.5, "momentum", WORSE),
    (-2.0, "sgd", GOOD), (-2.0, "momentum", WORSE),
]:  # fmt: skip
    assert abs(ends[start, optimizer] - minimum) < 1e-6

# %% [markdown]
"""Descent ends in the basin where it begins. Momentum may carry the ball over the hump: from 2 it
does, from 1.5 it has too little speed, and from −2 it carries it *out of* the better basin. It is
no method to find the best minimum; it only is not bound to the nearest.

## A saddle

L(x, y) = x² − y² is flat at (0, 0), which is lowest along x and highest along y. Here x shrinks by
the factor 0.8 at each update and y grows by 1.2. So a tiny y grows, slowly at first: |y| > 1 takes
ln(1/y) / ln 1.2 updates.
"""

# %%
print(
    f"\nsaddle x² − y² from (1, y), η = 0.1\n{'y':>6} {'updates until |y| > 1':>22} {'formula':>8}"
)
for y in (0.0, 1e-6, 1e-3):
    path = abs(teach.trace("saddle", [1.0, y], "sgd", steps=100, lr=0.1).w[:, 1])
    if y == 0:
        print(f"{y:6g} {'never':>22}")
        assert not path.any(), "exactly on the ridge it stays there for ever"
        continue
    updates, formula = int((path > 1).argmax()), math.log(1 / y) / math.log(1.2)
    print(f"{y:6g} {updates:22d} {formula:8.1f}")
    assert updates == math.ceil(formula) == {1e-6: 76, 1e-3: 38}[y]

# %% [markdown]
"""A saddle holds up, but does not hold: the least noise, such as that of mini-batches, pushes off
the ridge. The flat places of large networks are thought to be mostly saddles, for a minimum has to
go up in *every* one of thousands of directions.

## A plateau

L = 1 − 1/(1 + x² + y²) is a hole in a plain. Far out there is a slope, but a tiny one: 0.015 at
(−4, 3). Methods whose steps do not depend on the size of the slope walk across.
"""

# %%
needed = {}
print("\nplateau from (−4, 3), η = 0.1")
for optimizer in ("sgd", "momentum", "adam"):
    history = teach.trace("plateau", None, optimizer, steps=1000, lr=0.1)
    distance = np.hypot(*history.w.T)
    needed[optimizer] = int((distance < 1).argmax())
    print(f"{optimizer:9} {needed[optimizer]:4d} updates to the hole")
    assert history.final_loss < 1e-6, "all arrive"

print(f"slope at the start: {np.hypot(*history.grad[0]):.4f}")
assert needed["sgd"] > 5 * needed["momentum"] > 10 * needed["adam"]

# %% [markdown]
"""A loss curve that is flat does not say which of the three it is. Look at the slopes: small ones
mean plateau or saddle, and patience, momentum or Adam help.

## Try

1. From which start on does momentum 0.9 get from the right over the hump? Halve the interval.
2. Start Adam on the saddle at (1, 10⁻⁶). Why is it out so much sooner than SGD?
3. Take `rastrigin`, a bowl full of dents. Which optimizer ends lowest from its own start?

On the command line:

    tinygrad-opt step double_well --optimizer momentum --lr 0.01 --from -2 --steps 50
"""
