"""Exercise 8: break it.

Each of these derivatives is wrong, and has passed a test: gradcheck compared it with differences of
the values, at the inputs in the last column, and saw nothing. Find inputs at which it does.

    name        value              derivative                             tested at
    square      x²                 g·x                                    x = 0
    cube        x³                 g·3x·|x|                               x = [0.5, 1, 2]
    product     a·b                g·a for a, g·b for b                   a = 3, b = 3
    quotient    a/b                g/b for a, g·a/b² for b                a = 0, b = 2
    relu        max(x, 0)          g·(x > 0.5)                            x = [−1, 2]
    mean        Σx / n             g for every x                          x = [7]
    row sums    x.sum(axis=1)      g, of a column, for all of it          x = [[5]]

A test is as good as its inputs: which would you always take? And which mistake would none of them
show: relu with g·(x ≥ 0)?

Fill the hole below, then run one of

    tinygrad-opt check ex08_break_it.py
    pytest ex08_break_it.py
"""

import numpy as np

from tinygrad_opt.teach.exercises import check

EXERCISE = "break_it"


def break_it(name):
    """Inputs, numbers or lists of them, at which gradcheck objects to the derivative of this name.

    For two inputs: return a, b
    """
    # Your turn: if name == "square": return …


def test_break_it():
    """Says what is wrong, as long as something is."""
    check(EXERCISE, break_it)
