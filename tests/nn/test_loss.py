"""Losses: golden values, extreme scores, ignored labels, wrong targets as sentences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.helpers import host
from tinygrad_opt import nn
from tinygrad_opt.creation import ones, randn, tensor, zeros
from tinygrad_opt.nn import functional as F
from tinygrad_opt.tensor import Tensor

LOGITS = np.array([[1.0, 2, 3], [1, 1, 1]])


def text_of(error: pytest.ExceptionInfo[BaseException]) -> str:
    return str(error.value)


# ---- cross-entropy ------------------------------------------------------------------------------


def test_cross_entropy_has_its_golden_value_and_gradient() -> None:
    logits = tensor(LOGITS, requires_grad=True)
    loss = nn.CrossEntropyLoss()(logits, tensor([2, 0]))
    assert loss.item() == pytest.approx(0.7531091265562451, rel=1e-14)
    loss.backward()
    softmax = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    expected = (softmax - np.array([[0, 0, 1], [1, 0, 0]])) / 2
    np.testing.assert_allclose(host(logits.grad), expected, rtol=1e-12, atol=1e-16)
    assert np.round(host(logits.grad), 4).tolist() == [
        [0.045, 0.1224, -0.1674],
        [-0.3333, 0.1667, 0.1667],
    ]


def test_the_common_case_is_the_fused_operation() -> None:
    loss = nn.CrossEntropyLoss()(tensor(LOGITS, requires_grad=True), tensor([2, 0]))
    assert "made by cross_entropy" in repr(loss)
    squares = nn.MSELoss()(tensor(LOGITS, requires_grad=True), tensor(LOGITS))
    assert "made by mse_loss" in repr(squares)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "int64", "uint64"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_labels_may_be_any_integers(dtype: str, reduction: str) -> None:
    logits, labels = randn(64, 10, dtype=np.float64), np.arange(64) % 10
    expected = nn.CrossEntropyLoss(reduction=reduction)(logits, tensor(labels)).item()
    found = nn.CrossEntropyLoss(reduction=reduction)(logits, tensor(labels.astype(dtype)))
    assert found.item() == pytest.approx(expected, rel=1e-14)


def test_extreme_scores_are_exact_and_silent() -> None:  # museum 26
    logits = tensor([[1000.0, 0.0]], requires_grad=True)
    loss = nn.CrossEntropyLoss()(logits, tensor([1]))
    loss.backward()
    assert loss.item() == 1000 and logits.grad.tolist() == [[1, -1]]
    spread = nn.CrossEntropyLoss(label_smoothing=0.5)(logits, tensor([1]))
    assert spread.item() == 750


@pytest.mark.parametrize(
    ("score", "target", "loss", "slope"),
    [(-1000, 1, 1000, -1), (1000, 1, 0, 0), (1000, 0, 1000, 1)],
)
def test_extreme_scores_of_two_classes_are_exact_and_silent(
    score: float, target: float, loss: float, slope: float
) -> None:
    z = tensor([float(score)], requires_grad=True)
    found = nn.BCEWithLogitsLoss()(z, tensor([float(target)]))
    found.backward()
    assert found.item() == loss and z.grad.item() == slope


def test_certain_probabilities_are_silent() -> None:
    p = tensor([0.0, 1.0, 0.0, 1.0], requires_grad=True)
    loss = nn.BCELoss(reduction="none")(p, tensor([0.0, 1.0, 1.0, 0.0]))
    assert loss.tolist() == [0, 0, 100, 100]
    loss.sum().backward()
    assert np.isfinite(host(p.grad)).all()


def test_ignored_labels_count_for_nothing() -> None:
    logits = tensor(LOGITS, requires_grad=True)
    loss = nn.CrossEntropyLoss()(logits, tensor([2, -100]))
    alone = nn.CrossEntropyLoss()(tensor(LOGITS[:1]), tensor([2]))
    loss.backward()
    assert loss.item() == pytest.approx(alone.item(), rel=1e-14)
    assert logits.grad.tolist()[1] == [0, 0, 0]
    masked = tensor(np.array([[0.0, 1.0], [-np.inf, 0.0]]), requires_grad=True)
    first = nn.CrossEntropyLoss()(masked, tensor([0, -100]))
    assert first.item() == pytest.approx(np.log(1 + np.e), rel=1e-14)


@pytest.mark.parametrize("options", [{}, {"weight": [1.0, 2, 3]}, {"label_smoothing": 0.1}])
def test_where_all_labels_are_ignored_the_mean_is_nan_and_the_sum_0(options: Any) -> None:
    options = {name: tensor(x) if name == "weight" else x for name, x in options.items()}
    logits = tensor(LOGITS.astype(np.float32), requires_grad=True)
    labels = tensor([-100, -100])
    loss = nn.CrossEntropyLoss(**options)(logits, labels)
    assert np.isnan(loss.item())
    loss.backward()
    assert not np.nan_to_num(host(logits.grad)).any()
    assert nn.CrossEntropyLoss(**options, reduction="sum")(logits, labels).item() == 0


@pytest.mark.on("cpu")  # on a GPU a look at the labels would wait for it
@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.CrossEntropyLoss(reduction="sum")])
def test_labels_that_are_no_classes_are_named(loss: nn.Module) -> None:
    with pytest.raises(ValueError) as error:
        loss(zeros(5, 10), tensor([0, 1, 2, 10, 11]))
    assert text_of(error) == (
        "cross_entropy: label 10 at position 3 is outside 0..9 for 10 classes. Labels count from 0."
    )
    with pytest.raises(ValueError, match=r"label -1 at position 1 is outside"):
        loss(zeros(3, 10), tensor([-100, -1, 2]))
    with pytest.raises(ValueError, match=r"nll_loss: label 9 at position 0"):
        nn.NLLLoss()(zeros(6, 4), tensor([9] * 6))


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.CrossEntropyLoss(reduction="sum")])
def test_labels_of_other_dtypes_and_shapes_are_named(loss: nn.Module) -> None:
    with pytest.raises(TypeError) as wrong:
        loss(zeros(32, 10), zeros(32))
    assert text_of(wrong) == (
        "cross_entropy: labels are float32. Give class numbers as integers, or one row of "
        "probabilities per example with shape (32, 10)."
    )
    with pytest.raises(
        ValueError, match=r"logits \(4, 3\) want labels of shape \(4,\), not \(4, 1\)"
    ):
        loss(zeros(4, 3), zeros(4, 1, dtype=np.int64))
    with pytest.raises(TypeError, match=r"labels are float32"):
        loss(zeros(3), zeros(3))
    with pytest.raises(TypeError, match=r"cross_entropy: the target is a ndarray. Wrap it: tensor"):
        loss(zeros(2, 3), np.array([0, 1]))


def test_options_of_cross_entropy_are_checked() -> None:
    with pytest.raises(ValueError, match=r"cross_entropy: label_smoothing is 1.5, not in 0..1"):
        nn.CrossEntropyLoss(label_smoothing=1.5)(zeros(1, 3), tensor([0]))
    with pytest.raises(ValueError, match=r"weight \(2,\) must hold one number for each class of"):
        nn.CrossEntropyLoss(ones(2))(zeros(1, 3), tensor([0]))
    with pytest.raises(TypeError, match=r"cross_entropy: float32 meets float64"):
        nn.CrossEntropyLoss()(zeros(1, 3), tensor(np.ones((1, 3)) / 3))
    with pytest.raises(ValueError, match=r"multi_margin_loss: p is 3; it is 1 or 2"):
        nn.MultiMarginLoss(p=3)(zeros(1, 3), tensor([0]))


def test_nll_of_log_softmax_is_the_cross_entropy() -> None:
    logits, labels = randn(6, 4, dtype=np.float64), tensor([0, 1, 2, 3, 0, -100])
    one = nn.NLLLoss()(nn.LogSoftmax()(logits), labels)
    assert one.item() == pytest.approx(nn.CrossEntropyLoss()(logits, labels).item(), rel=1e-14)


# ---- shapes and dtypes --------------------------------------------------------------------------

PAIRS: dict[str, nn.Module] = {
    "mse_loss": nn.MSELoss(),
    "l1_loss": nn.L1Loss(),
    "huber_loss": nn.HuberLoss(),
    "smooth_l1_loss": nn.SmoothL1Loss(),
    "binary_cross_entropy": nn.BCELoss(),
    "binary_cross_entropy_with_logits": nn.BCEWithLogitsLoss(),
    "kl_div": nn.KLDivLoss(),
    "hinge_loss": nn.HingeLoss(),
    "hinge_embedding_loss": nn.HingeEmbeddingLoss(),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_column_never_meets_a_row(name: str) -> None:  # museum 38
    with pytest.raises(ValueError) as error:
        PAIRS[name](zeros(32, 1), zeros(32))
    assert text_of(error) == (
        f"{name}: prediction (32, 1) and target (32,) would be compared every one with every "
        "other, 1024 differences instead of 32. Write target.reshape(32, 1) or prediction[:, 0]."
    )
    with pytest.raises(ValueError, match=rf"{name}: prediction \(2, 3\) and target \(3,\) must"):
        PAIRS[name](zeros(2, 3), zeros(3))


@pytest.mark.parametrize("name", PAIRS)
def test_two_float_dtypes_are_named_and_integers_follow(name: str) -> None:
    prediction = tensor([0.25, 0.5], requires_grad=True)
    with pytest.raises(TypeError, match=f"{name}: float32 meets float64"):
        PAIRS[name](prediction, tensor(np.ones(2)))
    with pytest.raises(TypeError, match=f"{name}: the target is a ndarray. Wrap it"):
        PAIRS[name](prediction, np.ones(2, np.float32))
    with pytest.raises(TypeError, match=f"{name}: the prediction is a list. Wrap it"):
        PAIRS[name]([0.25, 0.5], ones(2))
    loss = PAIRS[name](prediction, tensor([1, 1]))
    loss.backward()
    assert loss.item() == PAIRS[name](prediction, ones(2)).item()
    assert loss.dtype == prediction.grad.dtype == np.float32


@pytest.mark.parametrize("name", [*PAIRS, "cross_entropy", "nll_loss", "multi_margin_loss"])
def test_an_unknown_reduction_is_named(name: str) -> None:
    target: Tensor = ones(3) if name in PAIRS else tensor([0, 1, 2])
    prediction = tensor([0.5, 0.5, 0.5]) if name in PAIRS else zeros(3, 3)
    with pytest.raises(ValueError) as error:
        getattr(F, name)(prediction, target, reduction="avg")
    known = "'batchmean', 'mean'" if name == "kl_div" else "'mean'"
    assert text_of(error) == f"reduction: 'avg' is unknown. Write {known}, 'sum' or 'none'."


LOSSES = [value for name, value in vars(nn).items() if name.endswith("Loss")]


@pytest.mark.host
@pytest.mark.parametrize("loss", LOSSES)
def test_an_unknown_reduction_is_refused_when_the_loss_is_made(loss: Any) -> None:
    assert len(LOSSES) == 12 and loss(reduction="sum").reduction == "sum"
    with pytest.raises(ValueError, match=r"^reduction: 'avg' is unknown. Write .*'mean', 'sum' or"):
        loss(reduction="avg")


@pytest.mark.on("cpu")  # values on a GPU are taken for granted
def test_values_that_make_no_sense_are_named() -> None:
    with pytest.raises(ValueError) as error:
        nn.BCELoss()(tensor([0.5, 1.75]), ones(2))
    assert text_of(error) == (
        "binary_cross_entropy: predictions run from 0.5 to 1.75, and probabilities from 0 to 1. "
        "For raw scores there is binary_cross_entropy_with_logits."
    )
    for loss in (nn.HingeLoss(), nn.HingeEmbeddingLoss()):
        with pytest.raises(ValueError, match=r"targets are -1 and 1, and one is 0. From 0 and 1"):
            loss(ones(2), tensor([1.0, 0.0]))


def test_options_that_make_no_sense_are_named() -> None:
    with pytest.raises(ValueError, match=r"huber_loss: delta is 0"):
        nn.HuberLoss(delta=0)(ones(1), ones(1))
    with pytest.raises(ValueError, match=r"smooth_l1_loss: beta is -1"):
        nn.SmoothL1Loss(beta=-1)(ones(1), ones(1))


SHARES = {
    "binary_cross_entropy": (nn.BCELoss(), "Labels are 0 and 1"),
    "binary_cross_entropy_with_logits": (nn.BCEWithLogitsLoss(), "Labels are 0 and 1"),
    "cross_entropy": (nn.CrossEntropyLoss(), "Divide each row by its sum"),
}


@pytest.mark.on("cpu")
@pytest.mark.parametrize("name", SHARES)
@pytest.mark.parametrize("wrong", [5.0, -3.0, 1.001, -1e-3, np.inf])
def test_targets_that_are_no_probabilities_are_named(name: str, wrong: float) -> None:
    loss, fix = SHARES[name]
    target = tensor([[0.0, 1.0], [wrong, 0.0]])
    with pytest.raises(ValueError) as error:
        loss(tensor([[0.2, 0.8], [0.5, 0.5]]), target)
    text = f"{name}: target[1, 0] is {wrong:g}; a target is a probability, from 0 to 1. {fix}"
    assert text_of(error).startswith(text)


@pytest.mark.on("cpu")
def test_targets_that_are_no_probabilities_are_found_in_any_shape_and_dtype() -> None:
    with pytest.raises(ValueError, match=r"target\[1\] is 5;"):
        nn.BCELoss()(tensor([0.5, 0.5]), tensor([0, 5]))
    with pytest.raises(ValueError, match=r"target is -1;"):
        nn.BCEWithLogitsLoss()(tensor(0.5), tensor(-1))


@pytest.mark.parametrize("name", SHARES)
def test_rounded_probabilities_and_nan_pass(name: str) -> None:
    loss, _ = SHARES[name]
    p = tensor([[0.2, 0.8], [0.5, 0.5]])
    above = np.nextafter(np.float32(1), np.float32(2))
    assert np.isfinite(loss(p, tensor(np.array([[0, above], [-1e-8, 1]], np.float32))).item())
    assert np.isnan(loss(p, tensor([[0, 1], [float("nan"), 1]])).item())


# ---- weights ------------------------------------------------------------------------------------

BINARY = {
    "binary_cross_entropy weight": lambda w: nn.BCELoss(w, reduction="none"),
    "binary_cross_entropy_with_logits weight": lambda w: nn.BCEWithLogitsLoss(w, reduction="none"),
    "binary_cross_entropy_with_logits pos_weight": lambda w: nn.BCEWithLogitsLoss(
        pos_weight=w, reduction="none"
    ),
}
BY_CLASS = {
    "cross_entropy": F.cross_entropy,
    "nll_loss": F.nll_loss,
    "multi_margin_loss": F.multi_margin_loss,
}


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize(
    ("shape", "weight"), [((3,), (3, 1)), ((3,), (2,)), ((4, 3), (4,)), ((3, 1), (3,)), ((), (1,))]
)
def test_a_weight_never_makes_a_loss_larger(
    name: str, shape: tuple[int, ...], weight: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError) as error:
        BINARY[name](ones(*weight))(zeros(*shape) + 0.5, ones(*shape))
    function, what = name.split()
    assert text_of(error) == (
        f"{function}: {what} {weight} does not broadcast to the prediction {shape}. Give one "
        f"number for each element, {shape}, or for each column, {shape[-1:]}."
    )


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("weight", [(), (1,), (3,), (2, 1), (1, 3), (2, 3)])
def test_a_weight_may_be_of_columns_rows_or_elements(name: str, weight: tuple[int, ...]) -> None:
    p, target = tensor([[0.2, 0.8, 0.5], [0.1, 0.4, 0.9]]), ones(2, 3)
    w = np.arange(1.0, 1 + np.prod(weight), dtype=np.float32).reshape(weight)
    expected = host(BINARY[name](None)(p, target)) * w
    for given in (w, w.astype(np.int64)):
        found = BINARY[name](tensor(given))(p, target)
        assert found.dtype == np.float32
        np.testing.assert_allclose(host(found), expected, rtol=1e-6)


@pytest.mark.oracle
@pytest.mark.parametrize(
    "weight", [(), (1,), (3,), (2, 1), (1, 3), (2, 3), (1, 2, 3), (4, 3), (2,)]
)
@pytest.mark.parametrize("shape", [(2, 3), (3,), (2, 1)])
def test_what_weights_pytorch_takes_for_bce_are_taken(
    weight: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    import torch

    p, t, w = (np.full(s, 0.5, np.float32) for s in (shape, shape, weight))
    theirs = torch.nn.functional.binary_cross_entropy_with_logits
    try:
        expected = theirs(*map(torch.tensor, (p, t, w)), reduction="none").shape
    except RuntimeError:
        expected = None
    try:
        found = F.binary_cross_entropy_with_logits(*map(tensor, (p, t, w)), reduction="none").shape
    except ValueError:
        found = None
    assert found == expected


@pytest.mark.parametrize("name", BY_CLASS)
def test_a_class_weight_is_one_float_of_the_same_dtype_for_each_class(name: str) -> None:
    scores, labels = randn(4, 3).log_softmax(), tensor([0, 1, 2, 0])
    for shape in ((4,), (1, 3), (3, 1), ()):
        with pytest.raises(ValueError, match=rf"{name}: weight .* must hold one number for each"):
            BY_CLASS[name](scores, labels, weight=ones(*shape))
    with pytest.raises(TypeError, match=rf"{name}, weight: float32 meets float64"):
        BY_CLASS[name](scores, labels, weight=ones(3, dtype="float64"))
    with pytest.raises(TypeError, match=rf"{name}: the weight is a list. Wrap it: tensor"):
        BY_CLASS[name](scores, labels, weight=[1, 2, 3])
    by_integers = BY_CLASS[name](scores, labels, weight=tensor([1, 2, 3]))
    assert by_integers.dtype == np.float32
    assert by_integers.item() == BY_CLASS[name](scores, labels, weight=tensor([1.0, 2, 3])).item()


@pytest.mark.parametrize("name", BINARY)
def test_a_weight_has_the_dtype_of_the_prediction(name: str) -> None:
    function, what = name.split()
    with pytest.raises(TypeError, match=rf"^{function}, {what}: float32 meets float64"):
        BINARY[name](ones(3, dtype="float64"))(ones(3) * 0.5, ones(3))
    with pytest.raises(TypeError, match=rf"^{function}: the {what} is a ndarray. Wrap it: tensor"):
        getattr(F, function)(ones(3) * 0.5, ones(3), **{what: np.ones(3, np.float32)})


# ---- edges --------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [nn.L1Loss, nn.BCELoss, nn.BCEWithLogitsLoss, nn.CrossEntropyLoss])
def test_the_sum_of_nothing_is_0(loss: Any) -> None:
    nothing = zeros(0, 3)
    assert loss(reduction="sum")(nothing, nothing).item() == 0


# ---- far from the target ------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [None, 3.0])
def test_bce_of_a_sure_score_has_a_gradient_on_both_sides(weight: float | None) -> None:
    scores = tensor([-20.0, 20.0, -20.0, 20.0], requires_grad=True)
    w = weight and tensor([weight])
    F.binary_cross_entropy_with_logits(
        scores, tensor([0.0, 1.0, 1.0, 0.0]), reduction="sum", pos_weight=w
    ).backward()
    positive = weight or 1.0
    np.testing.assert_allclose(
        host(scores.grad), [2.0611537e-9, -2.0611537e-9 * positive, -positive, 1], rtol=1e-6
    )


@pytest.mark.parametrize("loss", [nn.HuberLoss, nn.SmoothL1Loss, nn.L1Loss])
def test_an_infinite_distance_has_a_slope(loss: Any) -> None:
    x = tensor([np.inf, -np.inf, 0.25], requires_grad=True)
    loss(reduction="sum")(x, zeros(3)).backward()
    assert x.grad.tolist()[:2] == [1, -1]


# ---- kinks and margins --------------------------------------------------------------------------


def test_huber_at_its_corner_has_slope_delta() -> None:
    x = tensor(np.array([-0.5, 0.5]), requires_grad=True)
    nn.HuberLoss(reduction="sum", delta=0.5)(x, zeros(2, dtype=np.float64)).backward()
    assert x.grad.tolist() == [-0.5, 0.5]


def test_hinge_is_the_support_vector_machines_loss() -> None:
    scores = tensor([2.0, 1.0, 0.25, -1.0], requires_grad=True)
    target = tensor([1.0, 1.0, 1.0, -1.0])
    loss = nn.HingeLoss(reduction="none")(scores, target)
    assert loss.tolist() == [0, 0, 0.75, 0]
    nn.HingeLoss(margin=2.0, reduction="sum")(scores, target).backward()
    assert scores.grad.tolist() == [0, -1, -1, 1]  # 0 on the margin itself
    assert F.hinge_loss(scores, target).item() == 0.75 / 4


@pytest.mark.oracle
def test_hinge_equals_scikit_learns() -> None:
    from sklearn.metrics import hinge_loss

    scores, target = randn(50, dtype=np.float64), np.sign(host(randn(50, dtype=np.float64)))
    found = nn.HingeLoss()(scores, tensor(target)).item()
    assert found == pytest.approx(hinge_loss(target, host(scores)), rel=1e-12)


def test_class_weights_move_and_are_saved_with_the_loss() -> None:
    loss = nn.CrossEntropyLoss(ones(3)).to("float64")
    assert loss.weight.dtype == np.float64
    assert list(loss.state_dict()) == ["weight"] and list(loss.parameters()) == []
    assert nn.CrossEntropyLoss().state_dict() == {}


def test_gradients_of_gradients_go_through_every_kind_of_loss() -> None:
    from tinygrad_opt.autograd import grad

    for loss, target in [
        (nn.CrossEntropyLoss(), tensor([2, 0])),
        (nn.CrossEntropyLoss(label_smoothing=0.1, reduction="sum"), tensor([2, -100])),
        (nn.BCEWithLogitsLoss(), tensor(np.ones((2, 3)))),
        (nn.BCELoss(), tensor(np.full((2, 3), 0.5))),
        (nn.MSELoss(), tensor(np.ones((2, 3)))),
    ]:
        x = tensor(LOGITS / 4, requires_grad=True)
        (first,) = grad(loss(x, target), [x], create_graph=True)
        (second,) = grad((first * first).sum(), [x])
        h, direction = 1e-6, np.cos(np.arange(6.0)).reshape(2, 3)
        sizes = []
        for side in (h, -h):
            at = tensor(host(x) + side * direction, requires_grad=True)
            (g,) = grad(loss(at, target), [at])
            sizes.append((g * g).sum().item())
        numeric = (sizes[0] - sizes[1]) / (2 * h)
        assert (host(second) * direction).sum() == pytest.approx(numeric, rel=1e-5, abs=1e-9)
