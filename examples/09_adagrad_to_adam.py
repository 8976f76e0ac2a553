# %% [markdown]
"""# 09 · From AdaGrad to Adam: one idea each

Gradient descent moves by η times the slope: far where the loss is steep, hardly where it is
flat. The adaptive methods divide each weight's slope by how large its slopes have been. What is
left is a direction, and η says how long the step is. (g: the slope; a small ε keeps 0/0 away.)

- **AdaGrad** sums all squares:  S ← S + g²,  step η·g/√S.  It brakes for ever.
- **RMSprop** forgets the old ones:  v ← α·v + (1−α)·g²,  step η·g/√v.  It keeps going.
- **Adadelta** replaces η by the size of its own recent steps, √u:  step √u·g/√v.  No η to
  choose.
- **Adam** also averages the slope:  m ← β₁·m + (1−β₁)·g,  and corrects both averages for their
  start at 0:  m̂ = m/(1−β₁ᵗ),  v̂ = v/(1−β₂ᵗ),  step η·m̂/√v̂.
"""

# %%
import math

import tinygrad_opt as tg
from tinygrad_opt import optim

RULES = {
    "SGD": lambda w: optim.SGD(w, lr=0.1),
    "AdaGrad": lambda w: optim.Adagrad(w, lr=0.1),
    "RMSprop": lambda w: optim.RMSprop(w, lr=0.1),
    "Adadelta": lambda w: optim.Adadelta(w),
    "Adam": lambda w: optim.Adam(w, lr=0.1),
}

# %% [markdown]
"""## How long is a step?

We hand each rule the same slope again and again and look at its steps. Then we try a slope a
thousand times as large.
"""


# %%
def steps_under(rule, slope, number):
    """The lengths of the first updates when the gradient is always the same."""
    w = tg.tensor(0.0, dtype="float64", requires_grad=True)
    optimizer = rule([w])
    lengths = []
    for _ in range(number):
        w.grad = tg.tensor(slope, dtype="float64")
        before = w.item()
        optimizer.step()
        lengths.append(before - w.item())
    return lengths


steps = {name: steps_under(rule, 1.0, 100) for name, rule in RULES.items()}
steep = {name: steps_under(rule, 1000.0, 100) for name, rule in RULES.items()}

print("length of a step under a constant slope")
print(f"{'':8}{'slope 1, step number':^36}{'slope 1000':>12}")
print(f"{'':8}" + "".join(f"{t:9d}" for t in (1, 2, 10, 100)) + f"{1:12d}")
for name, lengths in steps.items():
    shown = "".join(f"{lengths[t - 1]:9.4g}" for t in (1, 2, 10, 100))
    print(f"{name:8}{shown}{steep[name][0]:12.4g}")

for t in range(1, 101):
    assert math.isclose(steps["AdaGrad"][t - 1], 0.1 / math.sqrt(t), rel_tol=1e-6), "η/√t"
    assert math.isclose(steps["Adam"][t - 1], 0.1, rel_tol=1e-6), "Adam's steps are all η"
assert math.isclose(steps["RMSprop"][0], 0.1 / math.sqrt(1 - 0.99), rel_tol=1e-6), "η/√(1−α) = 1"
assert round(min(steps["Adadelta"]), 4) == 0.0032 and round(max(steps["Adadelta"]), 4) == 0.0047
assert math.isclose(steep["SGD"][0], 1000 * steps["SGD"][0])
for name in ("AdaGrad", "RMSprop", "Adadelta", "Adam"):
    assert math.isclose(steep[name][0], steps[name][0], rel_tol=1e-4), "the slope's size is gone"

# %% [markdown]
"""RMSprop's first step is ten times too long: its average v begins at 0 and is still far too
small. Adam's correction repairs just that. Adadelta, with nothing to go by, starts with tiny
steps.

## A loss that is a thousand times as large

It is the same ravine, L(x, y) = 0.1 x² + 2 y², measured in other units. For SGD that is another
world: η must now stay below 2/4000, so 0.1 is two hundred times too much, and y is multiplied by
1 − 0.1·4000 = −399 at every step. The others notice nothing, but for ε.
"""


# %%
def ravine(w):
    """0.1 x² + 2 y², minimum 0 at (0, 0)."""
    return 0.1 * w[0] ** 2 + 2 * w[1] ** 2


def end_of(rule, scale):
    """Where 60 updates from (−2.7, 1) lead on scale · ravine."""
    w = tg.tensor([-2.7, 1.0], dtype="float64", requires_grad=True)
    optimizer = rule([w])
    for _ in range(60):
        optimizer.zero_grad()
        ravine(w).backward(scale)  # the chain rule starts at scale: the gradient of scale · L
        optimizer.step()
    return w.tolist()


print("\nafter 60 updates on the ravine")
print(f"{'':8} {'loss × 1':^21}   {'loss × 1000':^21}".rstrip())
print(f"{'':8} {'x':>10} {'y':>10}   {'x':>10} {'y':>10}")
apart = {}
for name, rule in RULES.items():
    (x, y), (x1000, y1000) = end_of(rule, 1.0), end_of(rule, 1000.0)
    apart[name] = max(abs(x - x1000), abs(y - y1000))
    print(f"{name:8} {x:10.4g} {y:10.4g}   {x1000:10.4g} {y1000:10.4g}")

assert 1e156 < apart["SGD"] < 2e156
assert all(apart[name] < 1e-6 for name in ("AdaGrad", "RMSprop", "Adam"))
assert apart["Adadelta"] < 1e-5, "its ε of 1e-6 is larger than theirs"

# %% [markdown]
"""## What the bias correction does

Adam on w² from 3, written out, with and without the correction. Without it the first step is
0.1·m/√v = 0.1·(0.1·6)/√(0.001·36): more than three times η, before anything is known. With it,
m̂/√v̂ = 6/6, and the step is η.
"""


# %%
def adam_by_hand(correct, steps=5, lr=0.1, beta1=0.9, beta2=0.999, eps=1e-8):
    """The points after each update on w², whose slope is 2w."""
    w, m, v = 3.0, 0.0, 0.0
    path = []
    for t in range(1, steps + 1):
        g = 2 * w
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        m_hat, v_hat = (m / (1 - beta1**t), v / (1 - beta2**t)) if correct else (m, v)
        w -= lr * m_hat / (math.sqrt(v_hat) + eps)
        path.append(w)
    return path


def descend(rule, steps=5):
    """The points after each update on w², by an optimizer."""
    w = tg.tensor(3.0, dtype="float64", requires_grad=True)
    optimizer = rule([w])
    path = []
    for _ in range(steps):
        optimizer.zero_grad()
        (w * w).backward()
        optimizer.step()
        path.append(w.item())
    return path


paths = {name: descend(rule) for name, rule in RULES.items()}
paths["Adam, by hand"] = adam_by_hand(correct=True)
paths["Adam, uncorrected"] = adam_by_hand(correct=False)

print("\nw after each of five updates on w², from 3")
for name, path in paths.items():
    print(f"{name:18}" + "".join(f"{w:8.4f}" for w in path))

EXPECTED = {
    "SGD": (2.4, 1.92, 1.536, 1.2288, 0.98304),
    "AdaGrad": (2.9, 2.830498, 2.774359, 2.726151, 2.68334),
    "RMSprop": (2.0, 1.44337, 1.068995, 0.800555, 0.602513),
    "Adadelta": (2.996838, 2.993595, 2.990298, 2.98696, 2.983588),
    "Adam": (2.9, 2.800103, 2.700382, 2.600914, 2.501779),
    "Adam, by hand": (2.9, 2.800103, 2.700382, 2.600914, 2.501779),
    "Adam, uncorrected": (2.683772, 2.2607, 1.773664, 1.250825, 0.716802),
}
for name, expected in EXPECTED.items():
    assert all(abs(w - e) < 1e-6 for w, e in zip(paths[name], expected, strict=True)), name
for by_rule, by_hand in zip(paths["Adam"], paths["Adam, by hand"], strict=True):
    assert abs(by_rule - by_hand) < 1e-12

# %% [markdown]
"""## Try

1. Let the constant slope change its sign every step. How long are Adam's steps now, and why?
2. Give AdaGrad η = 1 on w². Why does it forgive a large η where RMSprop does not?
3. Set both of Adam's betas to 0. Which optimizer is that? (Write m̂/√v̂ down.)

On the command line:

    tinygrad-opt step bowl --optimizer adam --lr 0.1 --from 3 --steps 2 --explain
"""
