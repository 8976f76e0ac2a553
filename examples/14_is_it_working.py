# %% [markdown]
"""# 14 · Is it working?

Training that fails seldom says why. There is no error message; the loss just does not fall, or
not enough. But each fault leaves traces: in the first loss, in the size of the updates beside
the weights, in units that are always 0. `teach.diagnose` looks for them, and says what it saw.

Here a network that reads digits is trained seven times: once as it should be, and with six
classic faults.
"""

# %%
import numpy as np

import tinygrad_opt as tg
from tinygrad_opt import data, nn, optim, teach

learn, test = data.prepare("digits")


class Forgetful(optim.SGD):
    """Gradient descent whose zero_grad is forgotten."""

    def zero_grad(self, set_to_none=True):
        """Do nothing."""


def examine(lr=0.1, rule=optim.SGD, change=lambda x, y: (x, y), spoil=lambda model: None):
    """Train 64-32-10 for six epochs and diagnose the run."""
    tg.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    spoil(model)
    batches, others = (
        data.DataLoader(change(part.x, part.y), batch_size=size)
        for part, size in ((learn, 32), (test, None))
    )
    optimizer = rule(model.parameters(), lr=lr)
    history = teach.fit(model, batches, optimizer, epochs=6, test=others, norms=True)
    return history, teach.diagnose(history, model, batches, test=others)


# %% [markdown]
"""## Six faults

Each is a change of one word or one number, as they happen.
"""


# %%
def shuffled(x, y):
    """Labels that have lost their examples."""
    return x, np.random.default_rng(0).permutation(y)


def raw(x, y):
    """Pixels as they come from a camera, 0 to 255, instead of 0 to 1."""
    return 255 * x, y


def kill(model):
    """Biases so low that no ReLU ever opens."""
    with tg.no_grad():
        model[0].bias -= 50.0


RUNS = {
    "as it should be": ({}, None),
    "η × 100": ({"lr": 10.0}, "learning rate too high"),
    "η / 1000": ({"lr": 1e-4}, "learning rate too low"),
    "no zero_grad": ({"rule": Forgetful}, "forgot zero_grad"),
    "all ReLUs dead": ({"spoil": kill}, "dead relus"),
    "shuffled labels": ({"change": shuffled}, "labels do not belong"),
    "inputs 0 to 255": ({"change": raw}, "input scale"),
}

results = {}
print(f"{'':15}{'training loss':^18}{'test':>9}")
print(f"{'':15}{'first':>9}{'last':>9}{'accuracy':>10}   noticed")
for name, (options, fault) in RUNS.items():
    history, findings = results[name] = examine(**options)
    first, last = history.loss[0], history.last("train_loss")
    row = f"{name:15}{first:9.4g}{last:9.4g}{history.last('test_accuracy'):10.3f}   "
    noticed = [finding.rule for finding in findings] or ["nothing"]
    print(row + f"\n{'':46}".join(noticed))
    assert fault in noticed if fault else not findings, (
        "the fault is named, the healthy run left alone"
    )

# %% [markdown]
"""The loss alone tells little: 2.30 is ln 10, what a network pays that knows nothing, and near that
five of the six end, each for another reason.

A fault has more than one trace. A rate that is too high kills units, and dead units give every
image the same answer. So mend one thing, the cause, and look again.

## In words

Each finding says what was seen, the numbers, and what to try.
"""

# %%
for name in ("no zero_grad", "shuffled labels", "as it should be"):
    _, findings = results[name]
    print(f"\n{name}\n{teach.report(findings)}")

assert all(finding.try_this for _, findings in results.values() for finding in findings)

# %% [markdown]
"""## Before you search

1. Is the first loss near ln K? (K: number of classes.)
2. Can the network learn one batch by heart? If not, the fault is in the program, not in the data.
3. Are updates about a hundredth to a thousandth of the weights?

## Try

1. Take η × 5 and η × 20. From where on is something noticed?
2. Plant a fault of your own: a softmax before the loss, or labels that are shifted by one.
3. Which of the six would you have seen from the loss curve alone?

On the command line:

    tinygrad-opt train digits --hidden 32 --optimizer sgd --lr 10 --epochs 6 --diagnose
"""
