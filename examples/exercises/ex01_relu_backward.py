"""Exercise 1: the backward pass of ReLU.

    forward    y = max(x, 0)
    backward   dL/dx = dL/dy · dy/dx

In the forward pass ReLU lets positive numbers through and turns all others into 0. In the backward
pass g = dL/dy arrives: how the loss moves with y. What is dy/dx where x is positive, and where it
is negative? At 0 there is a kink, and no slope: by convention it counts as 0.

Fill the hole below, then run one of

    tinygrad-opt check ex01_relu_backward.py
    pytest ex01_relu_backward.py
"""

import numpy as np

from tinygrad_opt.teach.exercises import check

EXERCISE = "relu_backward"


def relu_backward(g, x):
    """dL/dx, for g = dL/dy and the x of the forward pass: two arrays of one shape."""
    # Your turn: one line, return …


def test_relu_backward():
    """Says what is wrong, as long as something is."""
    check(EXERCISE, relu_backward)
