# %% [markdown]
"""# 18 · Learn the learning rate

A learning rate is a number like any other, and the loss after a few steps is a function of it. So
it has a derivative: how would the *final* loss change if the rate had been a little larger? Nothing
new is needed for that. The rule of an optimizer is a formula, and a formula of tensors can be
differentiated, through all its steps.
"""

# %%
from itertools import pairwise

import tinygrad_opt as tg
from tinygrad_opt import optim

START, MOMENTUM, STEPS = [1.0, 2.0], 0.5, 5


def loss_of(w):
    """½(x² + 3y²), a bowl that is steeper in y."""
    return 0.5 * (w[0] ** 2 + 3 * w[1] ** 2)


def trained(lr):
    """The loss after five steps of momentum; lr is a number, or a tensor to ask about."""
    w = tg.tensor(START, dtype="float64", requires_grad=True)
    optimizer = optim.SGD([w], lr=lr, momentum=MOMENTUM, differentiable=True)
    for _ in range(STEPS):
        w.grad = tg.grad(loss_of(w), w, create_graph=True)
        optimizer.step()
    return loss_of(w)


# %% [markdown]
"""## The derivative of training

With `differentiable=True` every step is recorded: after it, w is no longer a leaf but a result of
the rate. One `grad` goes back through five updates and the five gradients inside them. Central
differences, which run the training twice more, agree.
"""

# %%
lr = tg.tensor(0.1, dtype="float64", requires_grad=True)
loss = trained(lr)
slope = tg.grad(loss, lr).item()
h = 1e-6
by_differences = (trained(0.1 + h).item() - trained(0.1 - h).item()) / (2 * h)

print(f"loss after {STEPS} steps at η = 0.1: {loss.item():.7f}")
print(f"dL/dη through the rule:       {slope:.6f}")
print(f"dL/dη by two more trainings:  {by_differences:.6f}\n")

assert abs(loss.item() - 0.2004739) < 1e-7
assert abs(slope - 2.670456) < 1e-6
assert abs(slope - by_differences) < 1e-6

# %% [markdown]
"""The slope is positive: near 0.1 a *smaller* rate would have ended lower. That sounds wrong, and
the next table shows why it is not: seen from far, 0.2 is much better, but there is a hill between.
"""

# %%
rates = [0.05, 0.1, 0.15, 0.2, 0.3]
finals = [trained(rate).item() for rate in rates]
print(f"{'η':>6} {'final loss':>12}")
for rate, final in zip(rates, finals, strict=True):
    print(f"{rate:6.2f} {final:12.3f}")
print()

for final, known in zip(finals, [0.354, 0.200, 0.161, 0.009, 0.197], strict=True):
    assert abs(final - known) < 5e-4

# %% [markdown]
"""## Descent on the rate

Now use it: w ← w − η dL/dw inside, η ← η − α dL/dη outside. Each outer step is a whole training,
and its gradient comes from the same autograd. It walks to the lowest rate within reach.
"""

# %%
lr = tg.tensor(0.17, dtype="float64", requires_grad=True)
outer = optim.SGD([lr], lr=0.005)
history = []
for _ in range(60):
    loss = trained(lr)
    outer.zero_grad()
    lr.grad = tg.grad(loss, lr)
    outer.step()
    history.append(loss.item())

print(f"η from 0.17 to {lr.item():.4f}: final loss {history[0]:.4f} → {history[-1]:.6f}")
assert history[-1] < 0.2 * history[0]
assert all(later <= earlier + 1e-9 for earlier, later in pairwise(history))

# %% [markdown]
"""## Try

1. Start the outer descent at 0.05 instead of 0.17. Where does it end, and why there?
2. Ask for dL/dμ, the momentum, in the same way: hand `momentum` over as a tensor.
3. Take `optim.Adam` with `differentiable=True`. Is its final loss as bumpy in η?
"""
