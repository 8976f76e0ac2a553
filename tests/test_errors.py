"""What is said when shapes, labels or axes do not fit: where, what is wrong, what to write."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.helpers import host
from tinygrad_opt import Tensor, ops


def of(*shape: int) -> Tensor:
    return tg.zeros(*shape)


SENTENCES = [
    # products
    (
        lambda: of(32, 64) @ of(10, 32),
        "matmul: (32, 64) @ (10, 32) does not fit: 64 columns meet 10 rows. "
        "The other order, (10, 32) @ (32, 64), would fit.",
    ),
    (
        lambda: of(32, 64) @ of(10, 64),
        "matmul: (32, 64) @ (10, 64) does not fit: 64 columns meet 10 rows. "
        "a @ b.T would fit; a weight stored as (out, in) is meant for linear(x, w).",
    ),
    (
        lambda: of(32, 64) @ of(32, 10),
        "matmul: (32, 64) @ (32, 10) does not fit: 64 columns meet 32 rows. a.T @ b would fit.",
    ),
    (
        lambda: of(2, 3) @ of(4, 5),
        "matmul: (2, 3) @ (4, 5) does not fit: 3 columns meet 4 rows.",
    ),
    (lambda: of(2, 3) @ of(4), "matmul: (2, 3) @ (4,) does not fit: 3 columns meet 4 rows."),
    (
        lambda: of() @ of(4),
        "matmul: () @ (4,) does not fit: it needs at least one axis on each side; use *.",
    ),
    (
        lambda: of(2, 3, 4) @ of(5, 4, 3),
        "matmul: (2, 3, 4) @ (5, 4, 3) does not fit: the axes before the last two must broadcast.",
    ),
    (
        lambda: ops.linear(of(32, 784), of(10, 64), of(10)),
        "linear: the input has 784 features, (32, 784), and the weight (10, 64) expects 64; "
        "weights are (out, in).",
    ),
    (
        lambda: ops.linear(of(32, 64), of(10, 64), of(64)),
        "linear: input (32, 64), weight (10, 64) and bias (64,) do not fit; they are (…, in), "
        "(out, in) and (out,).",
    ),
    (
        lambda: ops.linear(of(32, 64), of(10, 64), of(32, 1)),
        "linear: input (32, 64), weight (10, 64) and bias (32, 1) do not fit; they are (…, in), "
        "(out, in) and (out,).",
    ),
    (
        lambda: ops.linear_relu(of(2, 3), of(4, 5)),
        "linear_relu: the input has 3 features, (2, 3), and the weight (4, 5) expects 5; "
        "weights are (out, in).",
    ),
    (
        lambda: ops.dot(of(2, 2, 2), of(2)),
        "dot: (2, 2, 2) and (2,) have more than two axes. Use matmul.",
    ),
    # broadcasting
    (
        lambda: of(32, 10) + of(32),
        "add: (32, 10) and (32,) do not broadcast: axis 1 has 10 against 32. "
        "One number per row is written b.reshape(32, 1).",
    ),
    (
        lambda: of(32) * of(32, 10),
        "multiply: (32,) and (32, 10) do not broadcast: axis 1 has 32 against 10. "
        "One number per row is written a.reshape(32, 1).",
    ),
    (
        lambda: of(2, 3) - of(4, 3),
        "subtract: (2, 3) and (4, 3) do not broadcast: axis 0 has 2 against 4.",
    ),
    (
        lambda: ops.where(of(2) > 0, of(2), of(3)),
        "where: (2,) and (3,) do not broadcast: axis 0 has 2 against 3.",
    ),
    # losses
    (
        lambda: ops.mse_loss(of(32, 1), of(32)),
        "mse_loss: prediction (32, 1) and target (32,) would be compared every one with every "
        "other, 1024 differences instead of 32. Write target.reshape(32, 1) or prediction[:, 0].",
    ),
    (
        lambda: ops.mse_loss(of(32), of(32, 1)),
        "mse_loss: prediction (32,) and target (32, 1) would be compared every one with every "
        "other, 1024 differences instead of 32. Write prediction.reshape(32, 1) or target[:, 0].",
    ),
    (
        lambda: ops.mse_loss(of(2, 3), of(3)),
        "mse_loss: prediction (2, 3) and target (3,) must have one shape.",
    ),
    (
        lambda: ops.cross_entropy(of(4, 10), tg.tensor([1, 2])),
        "cross_entropy: logits (4, 10) want labels of shape (4,), not (2,).",
    ),
    (
        lambda: ops.cross_entropy(of(10), tg.tensor(1)),
        "cross_entropy: logits (10,) want labels of shape (10,), not ().",
    ),
    # shapes
    (
        lambda: tg.concatenate([of(2, 3), of(2, 4)]),
        "concatenate: (2, 3), (2, 4) must agree in every axis but 0.",
    ),
    (
        lambda: tg.concatenate([of(2, 3), of(1, 3)], axis=-1),
        "concatenate: (2, 3), (1, 3) must agree in every axis but -1.",
    ),
    (lambda: tg.concatenate([]), "concatenate: there is nothing to join."),
    (lambda: tg.stack([]), "concatenate: there is nothing to join."),
    (
        lambda: tg.stack([of(2), of(3)]),
        "stack: all shapes must be equal, and these are (2,), (3,).",
    ),
    (lambda: of(7).split(2), "split: 7 along axis 0 do not make 2 equal parts."),
    (lambda: of(7).split(0), "split: 7 along axis 0 do not make 0 equal parts."),
    (lambda: of(2, 3).squeeze(0), "squeeze: axis 0 of (2, 3) does not have length 1."),
    (
        lambda: tg.take_along_axis(of(2, 3), tg.tensor([0, 1]), 1),
        "take_along_axis: indices (2,) need as many axes as (2, 3).",
    ),
    # axes
    *[
        (lambda f=f: f(of(2, 3)), f"{name}: there is no axis {axis} among {n}, which count from 0.")
        for name, axis, n, f in (
            ("transpose", 2, 2, lambda x: x.transpose(0, 2)),
            ("prod", 5, 2, lambda x: x.prod(axis=5)),
            ("flatten", 2, 2, lambda x: x.flatten(2)),
            ("expand_dims", 4, 3, lambda x: x.expand_dims(4)),
            ("squeeze", -3, 2, lambda x: x.squeeze(-3)),
            ("swapaxes", 2, 2, lambda x: x.swapaxes(0, 2)),
            ("moveaxis", 7, 2, lambda x: x.moveaxis(7, 0)),
            ("split", 2, 2, lambda x: x.split(1, axis=2)),
            ("take", 2, 2, lambda x: x.take([0], axis=2)),
            ("take_along_axis", 2, 2, lambda x: x.take_along_axis(tg.tensor([[0]]), 2)),
        )
    ],
    # einsum
    (
        lambda: tg.einsum("ij,jk", of(2, 3)),
        "einsum: 'ij,jk' names 2 operands, and 1 were given.",
    ),
    (
        lambda: tg.einsum("ijk->i", of(2, 3)),
        "einsum: 'ijk' has 3 letters for the 2 axes of (2, 3).",
    ),
    (lambda: tg.einsum("ii->", of(2, 3)), "einsum: 'i' stands for two lengths in (2, 3)."),
    # parameters
    (
        lambda: ops.gelu(of(2), approximate="fast"),
        "gelu: approximate is 'fast'; it is 'none' or 'tanh'.",
    ),
    (lambda: of(2).norm(ord=0), "norm: ord is 0; it is a positive number or inf."),
    (lambda: of(2).norm(ord=-np.inf), "norm: ord is -inf; it is a positive number or inf."),
]


@pytest.mark.parametrize(("call", "text"), SENTENCES, ids=[text[:48] for _, text in SENTENCES])
def test_values_and_shapes(call, text: str) -> None:
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value) == text


@pytest.mark.on("cpu")  # on a GPU a look at the labels would wait for it
@pytest.mark.parametrize(
    ("labels", "n_classes", "text"),
    [
        ([0, 9, 1, 10], 10, "label 10 at position 3 is outside 0..9 for 10 classes."),
        ([0, -1], 10, "label -1 at position 1 is outside 0..9 for 10 classes."),
        (
            np.array([0, -1], np.int8),
            300,
            "label -1 at position 1 is outside 0..299 for 300 classes.",
        ),
    ],
)
def test_labels_that_are_no_classes_are_named(labels, n_classes: int, text: str) -> None:
    with pytest.raises(ValueError) as error:
        ops.cross_entropy(of(len(labels), n_classes), tg.tensor(labels))
    assert str(error.value) == f"cross_entropy: {text} Labels count from 0."


def test_labels_of_floats_are_a_type_error() -> None:
    with pytest.raises(TypeError) as error:
        ops.cross_entropy(of(32, 10), of(32))
    assert str(error.value) == (
        "cross_entropy: labels are float32. Give class numbers as integers, or one row of "
        "probabilities per example with shape (32, 10)."
    )


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "uint32", "int64", "uint64"])
def test_labels_of_any_integer_dtype_count_alike(dtype: str) -> None:
    logits = tg.tensor(np.random.default_rng(0).standard_normal((200, 3)), requires_grad=True)
    labels = np.arange(200) % 3
    expected = ops.cross_entropy(logits, tg.tensor(labels))
    loss = ops.cross_entropy(logits, tg.tensor(labels.astype(dtype)))
    assert loss.item() == expected.item()
    g, h = tg.grad(loss, logits), tg.grad(expected, logits)
    assert np.array_equal(host(g), host(h))


@pytest.mark.on("cpu")
def test_a_raw_array_is_told_to_be_wrapped() -> None:
    with pytest.raises(TypeError) as error:
        _ = of(3) + np.zeros(3)
    assert str(error.value) == (
        "add: the other operand is a numpy.ndarray of shape (3,). Wrap it: tensor(array)."
    )


def test_an_error_hides_no_other() -> None:
    """No "during handling of the above exception": the sentence stands alone."""
    with pytest.raises(ValueError) as error:
        of(2) + of(3)
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__
