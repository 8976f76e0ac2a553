"""Exercise 5: Adam.

    m ← β₁ m + (1 − β₁) g          m̂ = m / (1 − β₁ᵗ)
    v ← β₂ v + (1 − β₂) g²         v̂ = v / (1 − β₂ᵗ)
    p ← p − η m̂ / (√v̂ + ε)

Momentum and RMSprop together: m is a running mean of the gradient, v one of its square. Both start
at 0 and are too small at first; m̂ and v̂ make up for that (the bias correction).

Fill the hole below, then run one of

    tinygrad-opt check ex05_adam.py
    pytest ex05_adam.py
"""

import numpy as np

from tinygrad_opt.teach.exercises import check

EXERCISE = "adam"


def adam(p, g, m, v, t, lr, beta1, beta2, eps):
    """Update number t = 1, 2, 3 …: the new p, m and v.

    p, g, m and v are the parameters, their gradient and its two means so far (0 before the first
    update), numbers or arrays of one shape; lr is η. The root of an array is np.sqrt.
    """
    # Your turn: five lines, and return p, m, v
    # Make new arrays, m = …, and leave the ones that came in as they are.


def test_adam():
    """Says what is wrong, as long as something is."""
    check(EXERCISE, adam)
