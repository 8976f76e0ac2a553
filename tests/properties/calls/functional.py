"""Calls of the functions of `nn.functional` that are more than an operation under its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.properties.calls.elementwise import huber
from tests.properties.calls.linalg import log_softmax, softmax
from tests.properties.strategies import Array, Shape, Strategy, calls, one, same, shapes
from tinygrad_opt import tensor
from tinygrad_opt.nn import functional as F
from tinygrad_opt.random_numbers import manual_seed, stream

options = st.fixed_dictionaries
REDUCTIONS = st.sampled_from(["none", "mean", "sum"])


def reduced(losses: Array, weights: Array | None, reduction: str) -> Array:
    if reduction == "none":
        return losses
    total = np.sum(losses)
    if reduction == "sum":
        return total
    n = np.array(losses.size, losses.dtype) if weights is None else np.sum(weights)
    return total / n if n else np.array(np.nan, losses.dtype)


def loss(name: str, formula: Callable[..., Array], a: str, b: str, **params: Strategy) -> Strategy:
    """A loss of two inputs of one shape, beside its formula for each element."""

    def reference(p: Array, t: Array, reduction: str, **how: Any) -> Array:
        return reduced(formula(p, t.astype(p.dtype), **how), None, reduction)

    given = options({"reduction": REDUCTIONS, **params})
    f = getattr(F, name)
    return calls(f, reference, a, b, fits=same(2), params=lambda *_: given, exact=False)


def of_labels(name: str, formula: Callable[..., Any], **params: Strategy) -> Strategy:
    """A loss of scores (N, 3, …) and labels (N, …); the formula gives losses and their weights."""

    def reference(scores: Array, labels: Array, reduction: str, **how: Any) -> Array:
        return reduced(*formula(scores, labels, **how), reduction)

    given = options({"reduction": REDUCTIONS, **params})
    fits = shapes(max_dims=2 if name != "multi_margin_loss" else 0).flatmap(
        lambda rest: st.integers(0, 4).map(lambda n: ((n, 3, *rest), (n, *rest)))
    )
    f = getattr(F, name)
    return calls(f, reference, "apart", "class", fits=fits, params=lambda *_: given, exact=False)


def at_labels(scores: Array, labels: Array) -> Array:
    return np.sum(np.where(one_hot(labels, 3, axis=1), scores, 0), axis=1)


def one_hot(labels: Array, num_classes: int, axis: int = -1) -> Array:
    classes = np.arange(num_classes).reshape(
        num_classes, *[1] * (labels.ndim - axis % (labels.ndim + 1))
    )
    return (np.expand_dims(labels, axis) == classes).astype(np.int64)


def nll(log_p: Array, labels: Array, ignore_index: int) -> Any:
    counts = (labels != ignore_index).astype(log_p.dtype)
    return -at_labels(log_p, labels) * counts, counts


def cross_entropy(scores: Array, labels: Array, ignore_index: int, label_smoothing: float) -> Any:
    log_p = log_softmax(scores, 1)
    losses, counts = nll(log_p, labels, ignore_index)
    uniform = -np.sum(log_p, axis=1) / 3 * counts
    return (1 - label_smoothing) * losses + label_smoothing * uniform, counts


def multi_margin(scores: Array, labels: Array, p: int, margin: float) -> Any:
    excess = np.maximum(0, margin - at_labels(scores, labels)[:, None] + scores) ** p
    losses = np.sum(np.where(one_hot(labels, 3), 0, excess), axis=1) / 3
    return losses, np.ones_like(losses)


def bce(p: Array, t: Array) -> Array:
    return -t * np.log(p) - (1 - t) * np.log(1 - p)


def kl(log_q: Array, t: Array, log_target: bool) -> Array:
    p, log_p = (np.exp(t), t) if log_target else (t, np.log(t))
    return p * (log_p - log_q)


# ---- layers -----------------------------------------------------------------------------------


def activation(name: str, reference: Any, **params: Strategy) -> Strategy:
    """Of one input, along its last axis where it has one."""
    given = options(params)
    fits = one(min_dims=1 if "dim" in params else 0)
    f = getattr(F, name)
    return calls(f, reference, "apart", fits=fits, params=lambda _: given, exact=False)


def dropout(x: Array, p: float, training: bool, seed: int) -> Array:
    manual_seed(seed)
    kept = stream().numbers(0, x.size).reshape(x.shape) < (1 - p) * 2**32
    return np.where(kept, x / (1 - p), 0) if training else x


def dropout_from(seed: int, **how: Any) -> Any:
    manual_seed(seed)
    return F.dropout(**how)


@st.composite
def normalized(draw: Any) -> Any:
    """An input, the weight and the bias of its last axes."""
    ends = draw(shapes(min_dims=1, max_dims=2))
    return (draw(shapes(max_dims=2)) + ends, ends, ends)


def layer_norm(x: Array, weight: Array, bias: Array) -> Array:
    axes = tuple(range(-weight.ndim, 0))
    n = np.array(max(1, weight.size), x.dtype)
    centered = x - np.sum(x, axes, keepdims=True) / n
    return centered / np.sqrt(np.sum(centered**2, axes, keepdims=True) / n + 0.1) * weight + bias


@st.composite
def channels(draw: Any) -> Any:
    """A batch (N, C, …), the weight and the bias of its channels."""
    n, c, rest = (
        draw(st.integers(2, 4)),
        draw(st.integers(0, 3)),
        draw(shapes(max_dims=2, min_side=1)),
    )
    return ((n, c, *rest), (c,), (c,))


def batch_norm(x: Array, weight: Array, bias: Array) -> Array:
    axes = (0, *range(2, x.ndim))
    wide = (1, -1, *[1] * (x.ndim - 2))
    n = np.array(max(1, x[:, :1].size), x.dtype)
    centered = x - np.sum(x, axes, keepdims=True) / n
    y = centered / np.sqrt(np.sum(centered**2, axes, keepdims=True) / n + 0.1)
    return y * weight.reshape(wide) + bias.reshape(wide)


def normalize(x: Array, p: float, dim: int) -> Array:
    return x / np.sum(np.abs(x) ** p, dim, keepdims=True) ** (1 / p)


@st.composite
def rows_of_a_table(draw: Any, table: Shape) -> Any:
    labels = draw(shapes(max_dims=2))
    places = np.random.default_rng(draw(st.integers(0, 9))).integers(0, table[0], labels)
    return {"indices": places, "sparse": draw(st.booleans())}


FUNCTIONAL: dict[str, Strategy] = {
    # losses
    "l1_loss": loss("l1_loss", lambda p, t: np.abs(p - t), "apart", "between"),
    "mse_loss": loss("mse_loss", lambda p, t: (p - t) ** 2, "real", "real"),
    "huber_loss": loss(
        "huber_loss", huber, "apart", "between", delta=st.sampled_from([0.3, 1.0, 2.0])
    ),
    "smooth_l1_loss": loss(
        "smooth_l1_loss",
        lambda p, t, beta: huber(p, t, beta) / beta,
        "apart",
        "between",
        beta=st.sampled_from([0.3, 1.0, 2.0]),
    ),
    "binary_cross_entropy": loss("binary_cross_entropy", bce, "probability", "probability"),
    "binary_cross_entropy_with_logits": loss(
        "binary_cross_entropy_with_logits",
        lambda z, t: bce(1 / (1 + np.exp(-z)), t),
        "real",
        "probability",
    ),
    "kl_div": loss("kl_div", kl, "real", "probability", log_target=st.booleans()),
    "hinge_loss": loss(
        "hinge_loss",
        lambda z, t, margin: np.maximum(0, margin - t * z),
        "apart",
        "sign",
        margin=st.sampled_from([0.3, 1.0]),
    ),
    "hinge_embedding_loss": loss(
        "hinge_embedding_loss",
        lambda z, t, margin: np.where(t > 0, z, np.maximum(0, margin - z)),
        "apart",
        "sign",
        margin=st.sampled_from([0.3, 1.0]),
    ),
    "nll_loss": of_labels("nll_loss", nll, ignore_index=st.sampled_from([-100, 1])),
    "cross_entropy": of_labels(
        "cross_entropy",
        cross_entropy,
        ignore_index=st.sampled_from([-100, 1]),
        label_smoothing=st.sampled_from([0.0, 0.2]),
    ),
    "multi_margin_loss": of_labels(
        "multi_margin_loss", multi_margin, p=st.sampled_from([1, 2]), margin=st.just(0.9)
    ),
    # activations
    "softmax": activation("softmax", lambda x, dim: softmax(x, dim), dim=st.just(-1)),
    "log_softmax": activation("log_softmax", lambda x, dim: log_softmax(x, dim), dim=st.just(-1)),
    "softplus": activation(
        "softplus",
        lambda x, beta, threshold: np.where(
            x * beta > threshold, x, np.log1p(np.exp(x * beta)) / beta
        ),
        beta=st.sampled_from([1.0, 0.5]),
        threshold=st.just(20.0),
    ),
    "leaky_relu": activation(
        "leaky_relu",
        lambda x, negative_slope: np.where(x > 0, x, negative_slope * x),
        negative_slope=st.sampled_from([0.01, 0.3]),
    ),
    "hardtanh": activation(
        "hardtanh",
        lambda x, min_val, max_val: np.clip(x, min_val, max_val),
        min_val=st.just(-1.5),
        max_val=st.just(0.4),
    ),
    "normalize": activation(
        "normalize", normalize, p=st.sampled_from([2.0, 1.0, 3.0]), dim=st.just(-1)
    ),
    # layers
    "layer_norm": calls(
        lambda x, weight, bias: F.layer_norm(x, weight.shape, weight, bias, eps=0.1),
        layer_norm,
        "real",
        "real",
        "real",
        fits=normalized(),
        exact=False,
    ),
    "batch_norm": calls(
        lambda x, weight, bias: F.batch_norm(x, None, None, weight, bias, training=True, eps=0.1),
        batch_norm,
        "real",
        "real",
        "real",
        fits=channels(),
        exact=False,
    ),
    "dropout": calls(
        lambda x, **how: dropout_from(x=x, **how),
        dropout,
        "real",
        fits=one(),
        params=lambda _: options(
            {"p": st.sampled_from([0.0, 0.4]), "training": st.booleans(), "seed": st.just(3)}
        ),
        exact=False,
    ),
    "embedding": calls(
        lambda w, indices, **how: F.embedding(tensor(indices), w, **how),
        lambda w, indices, sparse: w[indices],
        "real",
        fits=st.integers(1, 3).map(lambda n: ((n, 2),)),
        params=rows_of_a_table,
    ),
    "one_hot": calls(
        F.one_hot,
        one_hot,
        "class",
        fits=one(),
        params=lambda _: options({"num_classes": st.sampled_from([3, 5])}),
        gradient=False,
    ),
}
