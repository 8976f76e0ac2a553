"""Exercise 6: the backward pass of softmax with cross-entropy.

    s = exp(z) / Σ exp(z)               the softmax, along each row of scores z
    L = −(1/N) Σ ln s[label]            the mean over N examples

What is dL/dz? On paper: write L with z alone, ln s[label] = z[label] − ln Σ exp(z), and find the
slope along z[label], then along another score. Exponential and logarithm cancel, and what is left
is a short formula. (Scores may be as large as 1000, and exp(1000) is not a number that a computer
knows. Taking the same number from all scores of a row changes no softmax.)

Fill the hole below, then run one of

    tinygrad-opt check ex06_cross_entropy_backward.py
    pytest ex06_cross_entropy_backward.py
"""

import numpy as np

from tinygrad_opt.teach.exercises import check

EXERCISE = "cross_entropy_backward"


def cross_entropy_backward(logits, labels):
    """dL/dz (N, C), for the scores z = logits (N, C) and labels (N,), whole numbers from 0."""
    # Your turn: the softmax, then one line more


def test_cross_entropy_backward():
    """Says what is wrong, as long as something is."""
    check(EXERCISE, cross_entropy_backward)
