# %% [markdown]
"""# 01 · What a loss is

A model can be wrong in many places at once. A **loss** turns all those errors into one number,
and training makes that number small. So the loss is a choice, and it decides what the model will
say.

Here the model is the smallest there is: one constant c that answers for every target.

- mean squared error: MSE(c) = mean of (c − t)²
- mean absolute error: MAE(c) = mean of |c − t|
"""

# %%
import math

import tinygrad_opt as tg
from tinygrad_opt import data, nn

targets = tg.tensor([1.0, 2.0, 9.0], dtype="float64")


def mse(c):
    """The mean of the squared errors of the answer c."""
    return (c - targets).square().mean()


def mae(c):
    """The mean of the absolute errors of the answer c."""
    return (c - targets).abs().mean()


# %% [markdown]
"""## The loss decides the answer

We try every constant from 0 to 10 in steps of a tenth and keep the best one for each loss.
"""

# %%
candidates = [i / 10 for i in range(101)]
best_mse = min(candidates, key=lambda c: mse(c).item())
best_mae = min(candidates, key=lambda c: mae(c).item())

print("targets: 1, 2, 9\n")
print(f"{'constant':>8} {'MSE':>8} {'MAE':>8}")
for c in (1.0, 2.0, 3.0, 4.0, 5.0, 9.0):
    note = "  least MSE: the mean" * (c == best_mse) + "  least MAE: the median" * (c == best_mae)
    print(f"{c:8.4g} {mse(c).item():8.4g} {mae(c).item():8.4g}{note}")

assert best_mse == 4.0, "the mean minimizes the squared error"
assert best_mae == 2.0, "the median minimizes the absolute error"

# %% [markdown]
"""The far target 9 pulls the squared error's answer towards itself; the absolute error only
counts on which side it lies. The slope says the same: at the best constant the pulls cancel.
"""

# %%
c = tg.tensor([best_mse, best_mae], requires_grad=True, dtype="float64")
(mse(c[0]) + mae(c[1])).backward()
slope_mse, slope_mae = c.grad.tolist()
print(f"\nslope of the MSE at {best_mse:g}: {slope_mse:g}")
print(f"slope of the MAE at {best_mae:g}: {slope_mae:g}")

assert abs(slope_mse) < 1e-12
assert slope_mae == 0.0

# %% [markdown]
"""## Twice the error

A squared error punishes one large miss more than many small ones.
"""

# %%
print(f"\n{'error':>8} {'squared':>8} {'absolute':>8}")
for error in (1.0, 2.0, 4.0):
    print(f"{error:8.4g} {error**2:8.4g} {abs(error):8.4g}")

error = tg.tensor([0.5, -1.0, 3.0], dtype="float64")
zero = tg.zeros_like(error)
once, twice = nn.MSELoss()(error, zero).item(), nn.MSELoss()(2 * error, zero).item()
assert twice == 4 * once, "twice the error, four times the MSE"
assert nn.L1Loss()(2 * error, zero).item() == 2 * nn.L1Loss()(error, zero).item()

# %% [markdown]
"""## A loss for classes

For classes the model gives each class a probability p, and the **cross-entropy** is −ln p of the
right one: 0 for certainty in the right class, and without bound for certainty in a wrong one.
Who knows nothing says p = 1/K for each of K classes and pays ln K. An untrained network knows
nothing, so its first loss on ten digits should be near ln 10: a check worth making before every
training.
"""

# %%
digits, _ = data.prepare("digits")
x, y = tg.tensor(digits.x), tg.tensor(digits.y)

print(f"\n{'seed':>8} {'first loss':>10}    ln 10 = {math.log(10):.4f}")
for seed in range(5):
    tg.manual_seed(seed)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    loss = nn.CrossEntropyLoss()(model(x), y).item()
    print(f"{seed:8d} {loss:10.4f}")
    assert abs(loss - math.log(10)) < 0.05, "an untrained network pays ln K"

# %% [markdown]
"""## Try

1. Move the target 9 to 90. Which of the two answers moves, and how far?
2. Which constant minimizes mean |c − t|³? Is it nearer to the mean or to the median? To the
   middle between the smallest and the largest target, as the power grows?
3. Multiply the weights of the last layer by 100. What becomes of the first loss, and why?
"""
