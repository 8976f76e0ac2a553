# %% [markdown]
"""# 17 · Second order: Newton and L-BFGS

A slope says in which direction to go, not how far. The **curvature** does: where the slope changes
quickly, the bottom is near. Newton's method puts a parabola with the right slope g and the right
curvature H on the spot, and jumps to its lowest point:

    w ← w − H⁻¹ g

H is the **Hessian**, the table of all second derivatives. There is no learning rate.
"""

# %%
import numpy as np

import tinygrad_opt as tg
from tinygrad_opt import optim, teach


def newton(loss_of, start, steps):
    """The points of Newton's method, and the losses there."""
    path = [np.array(start)]
    for _ in range(steps):
        w = tg.tensor(path[-1])
        _, g = tg.value_and_grad(loss_of)(w)
        H = tg.hessian(loss_of, w)
        path.append(path[-1] - np.linalg.solve(H.numpy(), g.numpy()))
    return path, [loss_of(tg.tensor(w)).item() for w in path]


# %% [markdown]
"""## One step

The ravine 0.1 x² + 2 y² *is* a parabola, so the first jump lands in the minimum. That y is twenty
times steeper than x, which sets the limit of gradient descent, does not matter: H knows.
"""

# %%
ravine = teach.get_surface("ravine")
path, losses = newton(ravine, ravine.start, steps=1)
print("ravine, Newton\n  H =", tg.hessian(ravine, tg.tensor(path[0])).tolist())
for t, ((x, y), loss) in enumerate(zip(path, losses, strict=True)):
    print(f"{t:5d}  ({x:7.4f}, {y:7.4f})   loss {loss:.3g}")

assert losses[1] < 1e-30, "one step"

# %% [markdown]
"""## Five steps

Rosenbrock's valley (1 − x)² + 100 (y − x²)² is bent, so one jump is not enough. Watch the loss.
"""

# %%
rosenbrock = teach.get_surface("rosenbrock")
path, losses = newton(rosenbrock, rosenbrock.start, steps=5)
print("\nRosenbrock, Newton")
for t, ((x, y), loss) in enumerate(zip(path, losses, strict=True)):
    print(f"{t:5d}  ({x:7.4f}, {y:7.4f})   loss {loss:.3g}")

assert losses[5] < 1e-10
assert max(losses) > 1400, "although it jumped up the wall on the way"

# %% [markdown]
"""It is there in five steps, but the second one threw it from 4.7 to 1,412: the parabola fits where
the step begins and not where it leads. `optim.Newton` therefore tries a step first, and halves it
until the loss goes down: more steps, and none of them up.

## Without the Hessian

L-BFGS remembers how the slope changed over its last few steps, and learns the curvature from that.
We count how often each method asks for loss and slope until the loss is below 10⁻⁶.
"""


# %%
def evaluations(make, target=1e-6):
    """The losses that the optimizer has seen, up to the first one below the target."""
    w = tg.tensor(rosenbrock.start, dtype="float64", requires_grad=True)
    optimizer = make([w])
    seen = []

    def closure():
        optimizer.zero_grad()
        loss = rosenbrock(w)
        loss.backward()
        seen.append(loss.item())
        return loss

    while min(seen, default=1.0) > target:
        optimizer.step(closure)
    return next(i for i, loss in enumerate(seen, start=1) if loss <= target)


def descent(rates, target=1e-6):
    """Gradient descent at all these rates at once: the steps of the first that is there, and η."""
    w = np.tile(np.array([rosenbrock.start]).T, len(rates))  # (2, rates)
    steps = 0
    with np.errstate(over="ignore", invalid="ignore"):  # the highest rates throw their point out
        while True:
            point = tg.tensor(w, requires_grad=True)
            loss = rosenbrock(point)
            there = loss.detach().numpy() < target
            if there.any():
                return steps, rates[there.argmax()]
            loss.sum().backward()
            w = w - rates * point.grad.numpy()
            steps += 1


lbfgs = evaluations(lambda w: optim.LBFGS(w, line_search_fn="strong_wolfe"))
careful = evaluations(lambda w: optim.Newton(w))
steps, rate = descent(np.geomspace(1e-5, 1e-2, 31))

print("\nevaluations until the loss on Rosenbrock is below 10⁻⁶")
print(f"{lbfgs:6,d}  L-BFGS")
print(f"{careful:6,d}  Newton that tries its steps, each with second derivatives besides")
print(f"{steps:6,d}  gradient descent, at the best of 31 rates (η = {rate:.2g})")

assert 35 <= lbfgs <= 50
assert careful < 60
assert 7000 < steps < 8000, "and that after 30 trainings to find the rate"

# %% [markdown]
"""## Why not always?
"""

# %%
print(
    f"\n{'weights':>12} {'slope':>10} {'Hessian':>12} {'L-BFGS, 10 steps':>17}   (bytes, float32)"
)
for n in (2, 2_410, 1_000_000):
    print(f"{n:12,d} {4 * n:10.1e} {4 * n * n:12.1e} {4 * 2 * 10 * n:17.1e}")

assert 4 * 1_000_000**2 == 4e12, "four terabytes for a small network"

# %% [markdown]
"""The Hessian has a row *and* a column for every weight. And both methods believe what they
measure: the noise of mini-batches spoils curvature sooner than slopes. They are for small and
exact problems; one rate for each weight, as in Adam, is what large networks can afford.

## Try

1. Start Newton at the hump of `double_well`, x = 0.05. Where does it go, and why *there*?
2. Multiply Rosenbrock by 1000. Which of the methods notice?
3. Call `optim.LBFGS` without `line_search_fn`. What does the highest loss on its way tell you?

On the command line:

    tinygrad-opt race rosenbrock --optimizers sgd,newton,lbfgs
"""
