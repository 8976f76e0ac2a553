# %% [markdown]
"""# An image classifier

28×28 pixels → 10 hidden units with ReLU → 10 scores, one for each digit. **Softmax** turns the
scores into probabilities, and the **cross-entropy** is −ln of the probability given to the right
digit. SGD makes it small.

The images are MNIST's 70,000 where they have been fetched (`tinygrad-opt data fetch mnist`),
else the 1,797 small digits that come with the library, enlarged to the same size.
"""

# %%
import dataclasses
import math

import tinygrad_opt as tg
from tinygrad_opt import data, nn, optim

# %% [markdown]
"""## The images

To enlarge a digit, each of its 8×8 pixels is repeated three times in both directions, which
makes 24×24; a margin of two empty pixels all around makes 28×28.
"""


# %%
def enlarged(digits):
    """The 8×8 digits as 28×28: nearest-neighbour scaling by 3, and a margin of 2."""
    x = tg.tensor(digits.x).repeat(3, axis=1).repeat(3, axis=2)
    x = x.pad(((0, 0), (2, 2), (2, 2)))
    return dataclasses.replace(digits, x=x.numpy(), image_shape=(28, 28))


try:
    images = data.load("mnist")
except FileNotFoundError:
    images = enlarged(data.load("digits"))

train_set, test_set = data.prepare(images, seed=0)
x_train, y_train = tg.tensor(train_set.x), tg.tensor(train_set.y)
x_test, y_test = tg.tensor(test_set.x), tg.tensor(test_set.y)
print(f"{images.name}: {len(train_set):,} images to learn from, {len(test_set):,} for the test")

# %% [markdown]
"""## The network
"""

# %%
tg.manual_seed(0)
model = nn.Sequential(nn.Linear(784, 10), nn.ReLU(), nn.Linear(10, 10))
cross_entropy = nn.CrossEntropyLoss()  # softmax included
optimizer = optim.SGD(model.parameters(), lr=0.05)
batches = data.DataLoader(train_set, batch_size=32, seed=0)


def measure(x, y):
    """The mean loss and the share of right answers."""
    with tg.no_grad():
        scores = model(x)
        right = (scores.argmax(axis=1) == y).float()
        return cross_entropy(scores, y).item(), right.mean().item()


print(f"784-10-10: {sum(p.size for p in model.parameters()):,} weights\n")

# %% [markdown]
"""## Training
"""

# %%
EPOCHS = 5 if images.name == "mnist" else 20

print(f"{'':5} {'training':^18} {'test':^19}".rstrip())
print(f"{'epoch':>5} {'loss':>8} {'accuracy':>9} {'loss':>9} {'accuracy':>9}")
history = []
for epoch in range(EPOCHS + 1):
    if epoch > 0:
        for x, y in batches:
            optimizer.zero_grad()
            loss = cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
    learnt, tested = measure(x_train, y_train), measure(x_test, y_test)
    history.append((*learnt, *tested))
    print("{:5d} {:8.4f} {:9.3f} {:9.4f} {:9.3f}".format(epoch, *history[-1]))

first, last = history[0], history[-1]
assert abs(first[0] - math.log(10)) < 0.1, "untrained, it pays ln 10: it knows nothing"
assert last[0] < first[0] / 5, "the training loss falls"
assert last[3] > 0.88, "and it reads digits that it has never seen"

# %% [markdown]
"""## One answer

Softmax makes the ten scores positive, with sum 1. The loss of this image is −ln of the
probability that its own digit got.
"""

# %%
x, y = x_test[:1], y_test[:1]
with tg.no_grad():
    scores = model(x)
    probabilities = tg.softmax(scores, axis=1)[0].tolist()
    loss = cross_entropy(scores, y).item()
digit = y.item()

print(f"\na {digit}, and what the network thinks of it")
for candidate, p in enumerate(probabilities):
    print(f"{candidate:5d} {p:7.4f} {'█' * round(40 * p)}".rstrip())
print(f"loss −ln {probabilities[digit]:.4f} = {loss:.4f}")

assert abs(sum(probabilities) - 1) < 1e-6
assert abs(loss + math.log(probabilities[digit])) < 1e-5

# %% [markdown]
"""## Try

1. Change the seed of the weights a few times; accuracy moves by several points. How many of the
   ten hidden units are 0 on every image? (`model[:2](x_train)` is what they say.)
2. Give the network 32 hidden units. What happens to the two losses, and to their gap?
3. Shift the test images by two pixels (`x_test.reshape(-1, 28, 28).roll(2, axis=2)`). You read
   them as before; why does the network not?
"""
