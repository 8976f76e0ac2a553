"""Exercise 2: the backward pass of a linear layer.

    forward    y = x wᵀ + b        x (N, D), w (K, D), b (K,)  ->  y (N, K)
    backward   g = dL/dy (N, K)  ->  dL/dx, dL/dw, dL/db

N examples with D numbers each become N examples with K numbers. A slope dL/dx has the shape of x,
dL/dw that of w, dL/db that of b: with that alone one can find which matrices to multiply, and which
of them to transpose. For one number of each, y = x w + b: start from there.

Fill the hole below, then run one of

    tinygrad-opt check ex02_linear_backward.py
    pytest ex02_linear_backward.py
"""

import numpy as np

from tinygrad_opt.teach.exercises import check

EXERCISE = "linear_backward"


def linear_backward(g, x, w):
    """dL/dx, dL/dw and dL/db, for g = dL/dy (N, K), x (N, D) and w (K, D)."""
    # Your turn: three lines, and return dx, dw, db


def test_linear_backward():
    """Says what is wrong, as long as something is."""
    check(EXERCISE, linear_backward)
