"""Exercise 4: RMSprop.

    v ← α v + (1 − α) g²
    p ← p − η g / (√v + ε)

v is a running mean of the squared gradient, for every parameter its own. Divided by its root, the
steps of all parameters are about equally long, however steep the loss is along them.

Fill the hole below, then run one of

    tinygrad-opt check ex04_rmsprop.py
    pytest ex04_rmsprop.py
"""

import numpy as np

from tinygrad_opt.teach.exercises import check

EXERCISE = "rmsprop"


def rmsprop(p, g, v, lr, alpha, eps):
    """One update: the new p and the new v.

    p, g and v are the parameters, their gradient and the mean of squares so far (0 before the first
    update), numbers or arrays of one shape; lr is η. The root of an array is np.sqrt.
    """
    # Your turn: two lines, and return p, v
    # Make new arrays, v = …, and leave the ones that came in as they are.


def test_rmsprop():
    """Says what is wrong, as long as something is."""
    check(EXERCISE, rmsprop)
