"""Exercise 7: a schedule with warm-up.

    f(t) = (t + 1) / (W + 1)            for t < W             up
    f(t) = (1 + cos πp) / 2             from t = W on         down, as half a cosine
           p = (t − W) / (T − W), and 1 past the end

The learning rate of update t = 0, 1, 2 … is multiplied by f(t). It grows for W updates, while the
gradients are still wild, is whole at t = W, and comes down to 0 at t = T. There it stays.

Fill the hole below, then run one of

    tinygrad-opt check ex07_warmup_cosine.py
    pytest ex07_warmup_cosine.py
"""

import math

import numpy as np

from tinygrad_opt.teach.exercises import check

EXERCISE = "warmup_cosine"


def warmup_cosine(t, warmup, total):
    """f(t), for whole numbers t, W = warmup and T = total."""
    # Your turn: an if, and two or three lines


def test_warmup_cosine():
    """Says what is wrong, as long as something is."""
    check(EXERCISE, warmup_cosine)
