"""Layers: starting values, dropout's statistics, running statistics, and wrong inputs."""

from __future__ import annotations

import math
import re
from functools import partial
from typing import Any

import numpy as np
import pytest

from tests.helpers import host
from tinygrad_opt import nn
from tinygrad_opt.creation import manual_seed, ones, rand, randn, tensor, zeros
from tinygrad_opt.nn import functional as F
from tinygrad_opt.tensor import Tensor


def text_of(error: pytest.ExceptionInfo[BaseException]) -> str:
    return str(error.value)


# ---- linear and lookup --------------------------------------------------------------------------


def test_linear_starts_uniform_within_one_over_root_in() -> None:
    layer = nn.Linear(25, 4000)
    assert layer.weight.shape == (4000, 25) and layer.bias.shape == (4000,)
    for values in (host(layer.weight), host(layer.bias)):
        assert values.dtype == np.float32 and abs(values).max() <= 0.2
        ranks = np.sort(values.ravel()) / 0.4 + 0.5
        steps = (np.arange(ranks.size) + 0.5) / ranks.size
        assert abs(ranks - steps).max() < 2 / math.sqrt(ranks.size)  # Kolmogorov-Smirnov


def test_the_first_loss_of_a_small_net_is_near_ln_10() -> None:
    found = []
    for seed in range(5):
        manual_seed(seed)
        net = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
        found.append(nn.CrossEntropyLoss()(net(rand(512, 64)), tensor(np.arange(512) % 10)).item())
    assert all(2.28 < loss < 2.34 for loss in found)


def test_a_seed_gives_the_same_weights_in_every_dtype() -> None:
    manual_seed(3)
    one = nn.Linear(3, 2)
    manual_seed(3)
    other = nn.Linear(3, 2, dtype=np.float64)
    np.testing.assert_array_equal(host(one.weight), host(other.weight).astype(np.float32))


def test_linear_names_itself_and_both_shapes() -> None:
    with pytest.raises(ValueError) as error:
        nn.Linear(64, 10)(randn(32, 784))
    assert text_of(error) == (
        "Linear(64 -> 10): the input has 784 features, (32, 784), and the weight (10, 64) expects "
        "64; weights are (out, in)."
    )
    with pytest.raises(TypeError) as wrong:
        nn.Linear(2, 2)(tensor(np.ones((1, 2))))
    assert text_of(wrong) == (
        "linear: float64 meets float32. Convert one of them: x.to('float32') makes both float32, "
        "model.to('float64') both float64."
    )


@pytest.mark.host
@pytest.mark.parametrize(
    ("error", "kind", "args", "text"),
    [
        (ValueError, nn.Linear, (-1, 2), "in_features is -1 and must be 0 or more."),
        (ValueError, nn.Linear, (2, -3), "out_features is -3 and must be 0 or more."),
        (ValueError, nn.Embedding, (0, 2), "num_embeddings is 0 and must be 1 or more."),
        (ValueError, nn.Embedding, (3, 0), "embedding_dim is 0 and must be 1 or more."),
        (ValueError, nn.BatchNorm1d, (-1,), "num_features is -1 and must be 1 or more."),
        (ValueError, nn.LayerNorm, ((3, 0),), "normalized_shape is 0 and must be 1 or more."),
        (TypeError, nn.Linear, (2.5, 3), "in_features is 2.5 and must be an integer."),
        (TypeError, nn.Linear, (2, "3"), "out_features is '3' and must be an integer."),
        (TypeError, nn.Embedding, (3, 2.0), "embedding_dim is 2.0 and must be an integer."),
        (TypeError, nn.BatchNorm1d, ((4,),), "num_features is (4,) and must be an integer."),
        (TypeError, nn.LayerNorm, (4.0,), "normalized_shape is 4.0 and must be an integer."),
    ],
)
def test_sizes_that_make_no_sense_are_named(
    error: type[Exception], kind: Any, args: tuple[Any, ...], text: str
) -> None:
    with pytest.raises(error, match=f"^{kind.__name__}: {re.escape(text)}$"):
        kind(*args)


def test_sizes_may_be_numpys_integers() -> None:
    n: Any = np.int64(3)
    assert nn.Linear(n, n)(randn(2, 3)).shape == (2, 3)
    assert nn.LayerNorm(n)(randn(2, 3)).shape == nn.BatchNorm1d(n)(randn(2, 3)).shape == (2, 3)
    assert "int64" not in repr(nn.Sequential(nn.Linear(n, n), nn.LayerNorm(n)))


@pytest.mark.parametrize("value", [[[1, 0], [2, 1]], np.ones((2, 2))])
@pytest.mark.parametrize(
    "layer",
    [partial(nn.Linear, 2, 2), partial(nn.Embedding, 3, 2), nn.Flatten, nn.Dropout,
     partial(nn.BatchNorm1d, 2), partial(nn.LayerNorm, 2), nn.ReLU, nn.Softplus, lambda: F.one_hot],
)  # fmt: skip
def test_layers_take_tensors_alone(layer: Any, value: Any) -> None:
    with pytest.raises(TypeError, match=rf" is a .*{type(value).__name__}.* Wrap it: tensor\("):
        layer()(value)


@pytest.mark.parametrize(
    ("x", "weight"), [((), (3, 4)), ((7, 5), (5,)), ((7, 5), (2, 3, 5))], ids=str
)
def test_linear_needs_features_and_a_matrix(x: Any, weight: Any) -> None:
    with pytest.raises(ValueError) as error:
        F.linear(ones(x), ones(weight))
    assert str(error.value) == (
        f"linear: input {x}, weight {weight} and bias () do not fit; they are (…, in), (out, in) "
        "and (out,)."
    )


def test_linear_without_inputs_is_its_bias() -> None:
    layer = nn.Linear(0, 2)
    assert layer(zeros(3, 0)).tolist() == [layer.bias.tolist()] * 3


def test_embedding_starts_normal_with_zeros_for_the_padding() -> None:
    layer = nn.Embedding(200, 50, padding_idx=-1)
    assert layer.padding_idx == 199 and repr(layer) == "Embedding(200, 50, padding_idx=199)"
    assert not layer.weight.data[199].any()
    assert abs(layer.weight.data[:199].mean()) < 0.04
    assert abs(layer.weight.data[:199].std() - 1) < 0.03


def test_embedding_adds_up_the_gradient_of_a_row_used_twice() -> None:
    layer = nn.Embedding(4, 2, padding_idx=0)
    layer(tensor([3, 0, 3, 1])).sum().backward()
    assert layer.weight.grad.tolist() == [[0, 0], [1, 1], [0, 0], [2, 2]]


@pytest.mark.on("cpu")  # on a GPU a look at the numbers would wait for it
def test_embedding_refuses_rows_that_are_not_there() -> None:
    with pytest.raises(ValueError) as error:
        nn.Embedding(10, 2)(tensor([0, 12, -1]))
    assert text_of(error) == "embedding: numbers run from -1 to 12, outside 0..9."


def test_embedding_refuses_what_does_not_count() -> None:
    layer = nn.Embedding(10, 2)
    with pytest.raises(TypeError, match=r"embedding: float32 does not count; give integers"):
        layer(tensor([0.0]))
    with pytest.raises(ValueError, match=r"Embedding: padding_idx 10 is none of the 10 rows"):
        nn.Embedding(10, 2, padding_idx=10)


@pytest.mark.on("cpu")
def test_one_hot_refuses_labels_that_are_not_there() -> None:
    with pytest.raises(ValueError, match=r"one_hot: numbers run from 0 to 3, outside 0..2."):
        F.one_hot(tensor([0, 3]), 3)


def test_identity_takes_any_arguments() -> None:
    x = randn(2)
    assert nn.Identity(54, unused=True)(x) is x


# ---- dropout ------------------------------------------------------------------------------------


def test_dropout_keeps_the_mean_and_the_share() -> None:
    y = host(nn.Dropout(0.3)(ones(100_000)))
    assert abs(y.mean() - 1) < 0.0062  # three standard deviations
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.7)}


def test_dropout_follows_the_seed_and_its_gradient_the_mask() -> None:
    layer = nn.Dropout()
    x = ones(1000, requires_grad=True)
    manual_seed(7)
    one = layer(x)
    other = layer(x)
    manual_seed(7)
    again = layer(x)
    assert (host(one) == host(again)).all() and not (host(one) == host(other)).all()
    one.sum().backward()
    np.testing.assert_array_equal(host(x.grad), host(one))


def test_dropout_at_its_edges_and_in_evaluation() -> None:
    x = tensor([-3.0, 0.0, 5.0], requires_grad=True)
    assert nn.Dropout(0.0)(x) is x
    assert nn.Dropout(0.9).eval()(x) is x
    y = nn.Dropout(1.0)(x)
    y.sum().backward()
    assert y.tolist() == [0, 0, 0] and x.grad.tolist() == [0, 0, 0]


@pytest.mark.parametrize("p", [1.5, -0.1, float("nan")])
def test_dropout_refuses_what_is_no_share(p: float) -> None:
    with pytest.raises(ValueError) as error:
        nn.Dropout(p)
    assert text_of(error) == (
        f"Dropout: p is {p}; it is the share of values set to zero, between 0 and 1."
    )
    with pytest.raises(ValueError, match=r"^dropout: p is"):
        F.dropout(ones(2), p)


# ---- normalization ------------------------------------------------------------------------------


def test_a_normalized_batch_has_mean_0_and_variance_1() -> None:
    x = tensor(3 + 5 * host(randn(64, 4)))
    y = host(nn.BatchNorm1d(4)(x))
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(y.var(axis=0), 1, atol=1e-4)
    z = host(nn.LayerNorm(4)(x))
    np.testing.assert_allclose(z.mean(axis=1), 0, atol=1e-6)


def test_running_statistics_are_left_alone_in_evaluation() -> None:
    layer = nn.BatchNorm1d(3).eval()
    layer(randn(5, 3))
    assert layer.running_mean.tolist() == [0, 0, 0] and layer.num_batches_tracked.item() == 0
    assert layer(randn(1, 3)).shape == (1, 3)


def test_a_training_batch_between_forward_and_backward_is_noticed() -> None:
    layer = nn.BatchNorm1d(2)
    mean = layer.running_mean
    loss = (tensor([1.0, 2], requires_grad=True) * mean).sum()
    layer(randn(4, 2))
    with pytest.raises(RuntimeError, match=r"has been changed since, by batch_norm"):
        loss.backward()


def test_normalization_refuses_other_shapes_and_single_values() -> None:
    layer = nn.BatchNorm1d(4)
    for shape in ((2, 3), (4,), (2, 4, 3, 3)):
        with pytest.raises(ValueError) as error:
            layer(zeros(shape))
        assert text_of(error) == (
            f"BatchNorm1d(4): the input must be (N, 4) or (N, 4, L), and it is {shape}."
        )
    with pytest.raises(ValueError, match=r"batch_norm: \(1, 4\) has 1 value\(s\) for each channel"):
        layer(zeros(1, 4))
    assert layer.num_batches_tracked.item() == 0
    with pytest.raises(ValueError, match=r"layer_norm: an input \(2, 3\) does not end in \(4,\)"):
        nn.LayerNorm(4)(zeros(2, 3))
    with pytest.raises(ValueError, match=r"without running statistics it must be training"):
        F.batch_norm(zeros(2, 3), None, None)


def test_standardizing_has_a_second_derivative() -> None:
    from tinygrad_opt.autograd import grad

    x = tensor(np.array([[0.3, -1.2, 2.0], [1.0, 0.5, -0.4]]), requires_grad=True)
    c = tensor(np.array([[1.0, 2.0, -1.0], [0.5, 0.0, 3.0]]))

    def slope(at: Tensor) -> Tensor:
        (first,) = grad((F.layer_norm(at, (3,)) ** 3 * c).sum(), [at], create_graph=True)
        return (first * c).sum()

    (found,) = grad(slope(x), [x])
    h = 1e-5
    for index in np.ndindex(2, 3):
        step = np.zeros((2, 3))
        step[index] = h
        up = tensor(host(x) + step, requires_grad=True)
        down = tensor(host(x) - step, requires_grad=True)
        numeric = (slope(up).item() - slope(down).item()) / (2 * h)
        assert found[index].item() == pytest.approx(numeric, rel=1e-6, abs=1e-8)


# ---- kinks, exactly -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "point", "slope"),
    [
        (nn.ReLU(), 0.0, 0),
        (nn.ReLU(), -0.0, 0),
        (nn.LeakyReLU(0.25), 0.0, 0.25),
        (nn.ELU(), 0.0, 1),
        (nn.GELU(), 0.0, 0.5),
        (nn.Softplus(), 0.0, 0.5),
        (nn.ReLU6(), 0.0, 0),
        (nn.ReLU6(), 6.0, 0),
        (nn.Hardtanh(), 1.0, 0),
        (nn.Hardtanh(), -1.0, 0),
        (nn.Hardsigmoid(), 3.0, 0),
        (nn.Hardsigmoid(), -3.0, 0),
        (nn.Hardswish(), -3.0, 0),
        (nn.Hardswish(), 3.0, 1),
        (nn.LogSigmoid(), -1000.0, 1),
        (nn.Sigmoid(), 1000.0, 0),
        (nn.Softplus(), 1000.0, 1),
        (nn.Softplus(), -1000.0, 0),
    ],
)
def test_derivatives_at_kinks_and_far_out_are_exact(
    layer: nn.Module, point: float, slope: float
) -> None:
    x = tensor(np.array([point]), requires_grad=True)
    layer(x).sum().backward()
    assert x.grad.item() == slope


def test_a_softmax_of_nothing_but_minus_infinity_is_nan() -> None:
    x = tensor(np.full((1, 3), -np.inf))
    with np.errstate(invalid="ignore"):
        assert np.isnan(host(nn.Softmax()(x))).all()


@pytest.mark.host
@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (nn.LeakyReLU(0.2), "LeakyReLU(negative_slope=0.2)"),
        (nn.Hardtanh(), "Hardtanh(min_val=-1.0, max_val=1.0)"),
        (nn.ELU(), "ELU(alpha=1.0)"),
        (nn.GELU("tanh"), "GELU(approximate='tanh')"),
        (nn.Softplus(), "Softplus(beta=1.0, threshold=20.0)"),
        (nn.Softmax(dim=1), "Softmax(dim=1)"),
        (nn.Flatten(), "Flatten(start_dim=1, end_dim=-1)"),
        (nn.Dropout(), "Dropout(p=0.5)"),
        (nn.Embedding(5, 2), "Embedding(5, 2)"),
        (nn.LayerNorm((2, 3)), "LayerNorm((2, 3), eps=1e-05, elementwise_affine=True, bias=True)"),
        (
            nn.BatchNorm1d(4),
            "BatchNorm1d(4, eps=1e-05, momentum=0.1, affine=True, bias=True, "
            "track_running_stats=True)",
        ),
    ],
)
def test_layers_tell_their_options(layer: nn.Module, text: str) -> None:
    assert repr(layer) == text


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("Linear", (2, 3)),
        ("Linear", (2, 3, False)),
        ("BatchNorm1d", (4,)),
        ("LayerNorm", (4,)),
        ("Embedding", (5, 2)),
        ("Flatten", ()),
        ("LeakyReLU", ()),
        ("ELU", ()),
        ("GELU", ()),
        ("Softplus", ()),
        ("Softmax", (1,)),
        ("ReLU", ()),
    ],
)
def test_repr_is_pytorchs(name: str, args: tuple[Any, ...]) -> None:
    import torch

    def pair(module: Any) -> str:
        layer = getattr(module, name)(*args)
        return repr(module.Sequential(layer, module.Sequential(layer)))

    assert pair(nn) == pair(torch.nn)
