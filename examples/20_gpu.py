# %% [markdown]
"""# 20 · The same on a GPU

A GPU does thousands of multiplications at once. For the program that changes one word: where the
tensors are. There is no second set of operations or optimizers: the rules that you have read run
on NumPy here and on CuPy there.
"""

# %%
import time

import tinygrad_opt as tg
from tinygrad_opt import data, nn, optim
from tinygrad_opt.device import why_no_cuda

reason = why_no_cuda()
OTHER = "cpu" if reason else "cuda:0"
print(f"No GPU here: {reason}\nSo the CPU runs against itself." if reason else "There is a GPU.")

# %% [markdown]
"""## One loop, two places

The loader and the model are told where to be; everything else follows its operands.
"""

# %%
train_set, _ = data.prepare("digits")


def train(device, epochs=5):
    """The first weights, and the mean loss of every epoch."""
    tg.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)).to(device)
    batches = data.DataLoader(train_set, batch_size=32, seed=0, device=device)
    optimizer = optim.Adam(model.parameters(), lr=0.003)
    cross_entropy = nn.CrossEntropyLoss()
    first = model[0].weight.detach().clone()
    mean_losses = []
    for _ in range(epochs):
        losses = []
        for x, y in batches:
            optimizer.zero_grad()
            loss = cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())  # a number asked for here would make the GPU wait
        mean_losses.append(tg.stack(losses).mean().item())
    assert loss.device is tg.Device(device)
    return first, mean_losses


weights, losses = train("cpu")
other_weights, other_losses = train(OTHER)

print(f"\n{'epoch':>5} {'cpu':>10} {OTHER:>10} {'difference':>12}")
for epoch, (one, other) in enumerate(zip(losses, other_losses, strict=True), start=1):
    print(f"{epoch:5d} {one:10.6f} {other:10.6f} {abs(one - other):12.1e}")
    assert abs(one - other) < 1e-4, "the same but for rounding"

assert (weights == other_weights.to("cpu")).all(), "the same seed, the same weights, to the bit"

# %% [markdown]
"""Weights are drawn on the host, whatever the device, so one seed means one start. Sums are added
up in another order on a GPU, so the last digits differ, and training lets differences grow slowly.

## Nothing moves by itself

Tensors on two devices do not mix, and the error names both. A copy between them takes longer than
most operations: it should stand in the program where you can see it.
"""

# %%
there = tg.ones(3, device=OTHER)
here = there.to("cpu")
try:
    there + here
    assert OTHER == "cpu"
except tg.DeviceError as refusal:
    print(f"\n{refusal}")
    assert "cpu" in str(refusal) and OTHER in str(refusal)

# %% [markdown]
"""## When does it pay?

Each operation on a GPU has to be started, which takes some microseconds, however small it is. A
small network is over before a GPU has begun; in a large one the starting does not count.
"""


# %%
def milliseconds(device, width, batch, steps):
    """The time of one training step of a width-width-10 network."""
    tg.manual_seed(0)
    model = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)).to(device)
    optimizer = optim.Adam(model.parameters())
    cross_entropy = nn.CrossEntropyLoss()
    x = tg.randn(batch, width, device=device)
    y = tg.randint(0, 10, (batch,), device=device)
    for step in range(steps + 3):
        if step == 3:  # the first steps compile kernels and warm up
            tg.Device(device).synchronize()
            began = time.perf_counter()
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        optimizer.step()
    tg.Device(device).synchronize()  # the GPU may still be at work
    return 1000 * (time.perf_counter() - began) / steps


devices = sorted({"cpu", OTHER})
print("\nmilliseconds a step")
print(f"{'width':>6} {'batch':>6}" + "".join(f"{device:>10}" for device in devices))
for width, batch, steps in ((32, 32, 100), (256, 256, 20), (1024, 1024, 3)):
    row = [milliseconds(device, width, batch, steps) for device in devices]
    print(f"{width:6d} {batch:6d}" + "".join(f"{ms:10.3g}" for ms in row))

# %% [markdown]
"""## Try

1. Put `loss.item()` back into the loop. What does it cost on a GPU, and what on the CPU?
2. Leave `synchronize()` out. Why does the GPU seem to be so much quicker?
3. Write `with tg.use_device("cuda"):` around lesson 02. Which of its lines have to change?

On the command line:

    tinygrad-opt doctor
    tinygrad-opt train digits --device cuda
"""
