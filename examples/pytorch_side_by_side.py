# %% [markdown]
"""# The same loop in PyTorch

`nn`, `optim` and the loop around them carry PyTorch's names, so what you learn in one you can
use in the other. `train` below is one text. It runs in both libraries; only the imports differ.
"""

# %%
LEARNING_RATE, STEPS = 0.1, 100


def train(torch, nn, optim):
    """Fit y = 2x + 1 with one weight and one bias; returns the losses and the fitted line."""
    torch.manual_seed(0)
    x = torch.linspace(-1, 1, 20).reshape(20, 1)
    y = 2 * x + 1

    model = nn.Linear(1, 1)
    model.load_state_dict({"weight": torch.tensor([[0.5]]), "bias": torch.tensor([0.0])})
    loss_of = nn.MSELoss()
    optimizer = optim.Adam(model.parameters(), lr=LEARNING_RATE)

    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, model.weight.item(), model.bias.item()


# %% [markdown]
"""## In tinygrad_opt
"""

# %%
import tinygrad_opt as tg
from tinygrad_opt import nn, optim

ours, slope, offset = train(tg, nn, optim)
assert ours[-1] < 1e-3 * ours[0], "the loss falls"
assert abs(slope - 2) < 0.1 and abs(offset - 1) < 0.1, "the line is found"

# %% [markdown]
"""## In PyTorch, where it is installed

The starting weights are set to the same values, since each library draws its own random numbers.
"""

# %%
try:
    import torch
    from torch import nn, optim
except ImportError:
    theirs = None
    print("PyTorch is not installed: this is tinygrad_opt alone.\n")
else:
    theirs, *line = train(torch, nn, optim)

# %%
print(f"{'step':>4} {'tinygrad_opt':>12}" + f" {'PyTorch':>12} {'difference':>12}" * bool(theirs))
for step in (0, 1, 2, 5, 10, 20, 50, STEPS - 1):
    row = f"{step:4d} {ours[step]:12.4g}"
    if theirs:
        row += f" {theirs[step]:12.4g} {abs(ours[step] - theirs[step]):12.1e}"
    print(row)
print(f"\nfitted line: y = {slope:.4g} x + {offset:.4g}   (drawn from y = 2 x + 1)")

if theirs:
    assert all(abs(a - b) < 1e-6 for a, b in zip(ours, theirs, strict=True)), "losses agree"
    assert abs(slope - line[0]) < 1e-5 and abs(offset - line[1]) < 1e-5

# %% [markdown]
"""## Try

1. Replace Adam by SGD with momentum 0.9, in `train` alone. Do the two still agree?
2. Start both at weight −5. How many more steps does Adam need, when each is about η long?
3. Give `nn.Linear(1, 1)` the data of y = x². What line does it find, and why is the loss not 0?
"""
