# %% [markdown]
"""# 13 · Weight decay is not L2 under Adam

There are two ways to keep weights small:

- **L2**: add ½ λ w² to the loss. The slope becomes g + λ w.
- **Weight decay**: let every update shrink w itself:  w ← (1 − η λ) w.

For gradient descent they are one:  w − η (g + λ w) = (1 − η λ) w − η g.  So the names were mixed
up, and in `SGD` and `Adam` the option `weight_decay` means L2. Under Adam that is another thing.
"""

# %%
import tinygrad_opt as tg
from tinygrad_opt import optim

LR, DECAY = 0.1, 0.1


def square(w):
    """The loss w²."""
    return w * w


def square_with_l2(w):
    """w² + ½ λ w²."""
    return w * w + 0.5 * DECAY * w * w


def descend(loss_of, rule, decay=0.0, steps=5):
    """w after each update from 3, shrunk by the share η · decay before each."""
    w = tg.tensor(3.0, dtype="float64", requires_grad=True)
    optimizer = rule([w])
    path = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(w).backward()
        with tg.no_grad():
            w *= 1 - LR * decay
        optimizer.step()
        path.append(w.item())
    return path


# %% [markdown]
"""## Five updates on w²

η = 0.1, λ = 0.1; L2 and decay by hand, and below each the option that does the same.
"""


# %%
def sgd(w, **options):
    """Gradient descent."""
    return optim.SGD(w, lr=LR, **options)


def adam(w, **options):
    """Adam."""
    return optim.Adam(w, lr=LR, **options)


paths = {
    "SGD": descend(square, sgd),
    "SGD + L2": descend(square_with_l2, sgd),
    "SGD + decay": descend(square, sgd, decay=DECAY),
    "  SGD(weight_decay)": descend(square, lambda w: sgd(w, weight_decay=DECAY)),
    "Adam": descend(square, adam),
    "Adam + L2": descend(square_with_l2, adam),
    "  Adam(weight_decay)": descend(square, lambda w: adam(w, weight_decay=DECAY)),
    "Adam + decay": descend(square, adam, decay=DECAY),
    "  AdamW(weight_decay)": descend(square, lambda w: optim.AdamW(w, lr=LR, weight_decay=DECAY)),
}
print("w after update       " + "".join(f"{t:9d}" for t in range(1, 6)))
for name, path in paths.items():
    print(f"{name:21}" + "".join(f"{w:9.5f}" for w in path))


def same(one, other, within=1e-12):
    """Whether two of the paths agree."""
    return all(abs(a - b) < within for a, b in zip(paths[one], paths[other], strict=True))


GOLDEN = {
    "SGD + L2": (2.37, 1.8723, 1.479117, 1.168502, 0.923117),
    "Adam + L2": (2.9, 2.800103, 2.700382, 2.600914, 2.501779),
    "Adam + decay": (2.87, 2.74144, 2.614406, 2.488987, 2.365279),
}
for name, golden in GOLDEN.items():
    assert all(abs(w - g) < 1e-6 for w, g in zip(paths[name], golden, strict=True)), name
assert same("SGD + L2", "SGD + decay") and same("SGD + L2", "  SGD(weight_decay)")
assert same("Adam + L2", "  Adam(weight_decay)") and same("Adam + decay", "  AdamW(weight_decay)")
assert same("Adam", "Adam + L2", within=1e-5), "L2 has not changed a digit of Adam's path"
assert not same("Adam", "Adam + decay", within=1e-2)

# %% [markdown]
"""L2 did nothing to Adam. The slope of w² + ½ λ w² is 1.05 times that of w², and Adam divides by
the size of its slopes: 1.05 goes in and is divided away. **AdamW** decays w itself, past that
division.

## A weight that nobody uses

The other way round it is as odd. Let the loss not depend on w at all. The only slope is then λ w,
and Adam makes a full step η of it, be λ large or tiny.
"""


# %%
def unused(w):
    """A loss without a slope."""
    return 0.0 * w


print(f"\nan unused weight, from 3, after 20 updates\n{'λ':>7} {'Adam + L2':>11} {'AdamW':>9}")
left = {}
for decay in (0.1, 0.001, 0.00001):
    l2 = descend(unused, lambda w, decay=decay: adam(w, weight_decay=decay), steps=20)[-1]
    decoupled = descend(unused, adam, decay=decay, steps=20)[-1]
    left[decay] = l2
    print(f"{decay:7g} {l2:11.5f} {decoupled:9.5f}")
    assert abs(decoupled - 3 * (1 - LR * decay) ** 20) < 1e-12, "the share η λ at each update"

assert abs(left[0.1] - left[0.00001]) < 0.01, "λ, a ten-thousandth as large, says nothing"

# %% [markdown]
"""So with Adam take `AdamW` for decay. If it is the penalty that you want, because a *loss* with L2
is what you are to minimize, write it into the loss.

## Try

1. With `Adam(weight_decay)` on w², how large must λ be to change the fifth digit? Explain.
2. RMSprop has `weight_decay` too. Which of the two is it? Test it on the unused weight.
3. AdamW's decay is η λ. What does a schedule for η do to the decay?

On the command line:

    tinygrad-opt step bowl --optimizer adamw --lr 0.1 --from 3 --steps 1 --explain
    tinygrad-opt list optimizers --dialects
"""
