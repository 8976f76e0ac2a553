"""Exercise 3: momentum.

    b ← μ b + g
    p ← p − η b

Plain gradient descent forgets every gradient at once. Momentum keeps a sum of them, b, in which the
old ones fade by the factor μ, and moves along that: a ball that rolls.

Fill the hole below, then run one of

    tinygrad-opt check ex03_momentum.py
    pytest ex03_momentum.py
"""

import numpy as np

from tinygrad_opt.teach.exercises import check

EXERCISE = "momentum"


def momentum(p, g, b, lr, mu):
    """One update: the new p and the new b.

    p, g and b are the parameters, their gradient and the sum so far (0 before the first update),
    numbers or arrays of one shape; lr is η, the learning rate, and mu is μ.
    """
    # Your turn: two lines, and return p, b
    # Make new arrays, b = …, and leave the ones that came in as they are.


def test_momentum():
    """Says what is wrong, as long as something is."""
    check(EXERCISE, momentum)
