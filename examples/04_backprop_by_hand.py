# %% [markdown]
"""# 04 · Backpropagation by hand

`backward()` does nothing that you cannot do on paper. We take one neuron,

    z = w₁ x₁ + w₂ x₂ + b      a = tanh z      L = (a − t)²

and get the slopes of L three times: by the chain rule on paper, by autograd, and by wiggling
each weight a little. All three agree; only one of them can train a network.
"""

# %%
import math

import tinygrad_opt as tg
from tinygrad_opt import nn

x1, x2, t = 1.5, -0.5, 1.0  # the input and what the neuron should say
WEIGHTS = {"w₁": 0.4, "w₂": 0.8, "b": -0.1}

# %% [markdown]
"""## On paper

Forward, left to right; then backward, right to left. Each line of the way back multiplies what
arrives by one local slope. That is the chain rule.

    dL/da = 2 (a − t)
    dL/dz = dL/da · (1 − a²)          because tanh′ = 1 − tanh²
    dL/dw₁ = dL/dz · x₁      dL/dw₂ = dL/dz · x₂      dL/db = dL/dz · 1
"""

# %%
w1, w2, b = WEIGHTS.values()
z = w1 * x1 + w2 * x2 + b
a = math.tanh(z)
loss = (a - t) ** 2

dL_da = 2 * (a - t)
dL_dz = dL_da * (1 - a**2)
paper = [dL_dz * x1, dL_dz * x2, dL_dz]

print(f"forward    z = {z:.4g}    a = {a:.4g}    L = {loss:.4g}")
print(f"backward   dL/da = {dL_da:.4g}    dL/dz = {dL_dz:.4g}")


# %% [markdown]
"""## By autograd

The same formula on tensors. Each operation notes where its inputs came from, and `backward()`
walks the notes from L back to the weights: the lines above, written by the machine.
"""


# %%
def neuron_loss(w1, w2, b):
    """The loss of one neuron on its one example."""
    return ((w1 * x1 + w2 * x2 + b).tanh() - t).square()


tensors = [tg.tensor(w, dtype="float64", requires_grad=True) for w in WEIGHTS.values()]
neuron_loss(*tensors).backward()
autograd = [w.grad.item() for w in tensors]

# %% [markdown]
"""## By differences

Move one weight by h to either side and see what the loss does: (L(w + h) − L(w − h)) / 2h.
"""


# %%
def difference(f, point, i, h=1e-5):
    """The slope of f along coordinate i, from two values of f."""
    up, down = list(point), list(point)
    up[i] += h
    down[i] -= h
    value = lambda where: f(*(tg.tensor(w, dtype="float64") for w in where)).item()
    return (value(up) - value(down)) / (2 * h)


differences = [difference(neuron_loss, WEIGHTS.values(), i) for i in range(3)]

print(f"\n{'':>6} {'paper':>10} {'autograd':>10} {'difference':>10}")
for name, *slopes in zip(WEIGHTS, paper, autograd, differences, strict=True):
    print(f"dL/d{name:<2} " + " ".join(f"{slope:10.6f}" for slope in slopes))

for by_hand, by_machine, by_difference in zip(paper, autograd, differences, strict=True):
    assert abs(by_hand - by_machine) < 1e-12
    assert abs(by_difference - by_machine) < 1e-7

# %% [markdown]
"""## Why differences do not train networks

First, they are never exact, and no h is good. A large one sees the curve instead of the slope; a
tiny one subtracts two nearly equal numbers, and what is left is rounding. (For x² the two-sided
difference would be exact at any h if numbers had all their digits: its error is rounding alone.)
"""


# %%
def relative_error(f, slope, h):
    """How far off the difference with step h is, at 3."""
    return abs(difference(f, [3.0], 0, h) - slope) / slope


def square(x):
    """x², whose slope at 3 is 6."""
    return x * x


print("\nrelative error of the slope at 3\n      h       x²       eˣ")
for h in (1e-1, 1e-3, 1e-5, 1e-7, 1e-9, 1e-12):
    of_square, of_exp = relative_error(square, 6, h), relative_error(tg.exp, math.exp(3), h)
    print(f"{h:7.0e} {of_square:8.1e} {of_exp:8.1e}")

assert 8.8e-5 < relative_error(square, 6, 1e-12) < 9.0e-5
assert 6.5e-12 < relative_error(square, 6, 1e-5) < 6.7e-12

# %% [markdown]
"""Second, and worse: every weight needs two forward passes of its own. One backward pass gives
all the slopes at once, however many weights there are.
"""

# %%
model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
weights = sum(p.size for p in model.parameters())
print(f"\na 64-32-10 network has {weights:,} weights:")
print(f"  by differences  {2 * weights:,} forward passes for one update")
print("  by backward     1 forward and 1 backward pass")

assert weights == 64 * 32 + 32 + 32 * 10 + 10

# %% [markdown]
"""Differences do have a use: to check derivatives that somebody wrote by hand.

## Try

1. Give the neuron the weights −4, 8, −1. Its answer could not be more wrong. Why are all three
   slopes nearly 0? (Look at 1 − a².)
2. Replace tanh by relu on paper and in code. For which weights is every slope exactly 0?
3. Use (L(w + h) − L(w)) / h instead. How does the table of errors change, and why?

On the command line:

    tinygrad-opt backprop --example neuron
    tinygrad-opt gradcheck --example tanh
"""
