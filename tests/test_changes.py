"""Arrays that change between the forward and the backward pass: which are noticed, and named."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.helpers import host, share_memory
from tinygrad_opt import Tensor, nn, op, ops
from tinygrad_opt.autograd import grad
from tinygrad_opt.optim import SGD


def leaf(x: object) -> Tensor:
    return tg.tensor(np.array(x, dtype=np.float64), requires_grad=True)


NOTICED = pytest.raises(RuntimeError, match="has been changed since")

# ---- every way to change ----------------------------------------------------------------------


def rebind(w: Tensor) -> None:
    w.data = 5 * w.data


def rebind_in_place(w: Tensor) -> None:
    w.data *= 5


def multiply_in_place(w: Tensor) -> None:
    with tg.no_grad():
        w *= 5


def add_in_place(w: Tensor) -> None:
    with tg.no_grad():
        w += 1
        w -= 2


def divide_in_place(w: Tensor) -> None:
    with tg.no_grad():
        w /= 2


def assign(w: Tensor) -> None:
    with tg.no_grad():
        w[0] = 7.0


def step(w: Tensor) -> None:
    w.grad = tg.tensor(np.ones(2))
    SGD([w], lr=0.1).step()


def initialize(w: Tensor) -> None:
    nn.init.ones_(w)


WAYS = [
    rebind,
    rebind_in_place,
    multiply_in_place,
    add_in_place,
    divide_in_place,
    assign,
    step,
    initialize,
]


@pytest.mark.parametrize("change", WAYS)
def test_every_change_is_noticed(change) -> None:
    w = leaf([1.0, 2.0])
    y = (w * w).sum()
    change(w)
    with NOTICED:
        y.backward()
    with NOTICED:
        grad(y, w)
    with NOTICED:
        grad(y, w, create_graph=True)


@pytest.mark.parametrize("change", WAYS)
def test_a_new_forward_pass_is_trusted_again(change) -> None:
    w = leaf([1.0, 2.0])
    change(w)
    w.grad = None
    (w * w).sum().backward()
    assert np.array_equal(host(w.grad), 2 * host(w))


def test_loading_a_state_dict_is_noticed() -> None:
    layer = nn.Linear(2, 2)
    x = tg.tensor([[1.0, 2.0]], requires_grad=True)
    y = layer(x).sum()
    layer.load_state_dict(nn.Linear(2, 2).state_dict())
    with NOTICED:
        y.backward()


def test_a_step_through_flat_storage_is_noticed_for_every_parameter() -> None:
    a, b = leaf([1.0, 2.0]), leaf([3.0])
    optimizer = SGD([a, b], lr=0.1)
    for used in (a, b):
        y = (used * used).sum()
        a.grad, b.grad = tg.tensor(np.ones(2)), tg.tensor(np.ones(1))
        optimizer.step()
        with NOTICED:
            y.backward()


def test_the_error_names_the_tensor_the_operation_and_the_cause() -> None:
    w = leaf(np.ones((64, 10)))
    w.name = "0.weight"
    y = (w * w).sum()
    w.grad = tg.tensor(np.ones((64, 10)))
    SGD([w], lr=0.1).step()
    with pytest.raises(RuntimeError) as error:
        y.backward()
    assert str(error.value) == (
        "backward: multiply needs the value that 0.weight (64, 10) had in the forward pass, but "
        "0.weight has been changed since, by SGD.step(). Call every backward() before step(), or "
        "run the forward pass again."
    )


# ---- through views ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "view",
    [
        lambda w: w.T,
        lambda w: w.reshape(4),
        lambda w: w[0],
        lambda w: w.T.reshape(2, 1, 2)[:, 0],
        lambda w: w.swapaxes(0, 1).flip(0),
        lambda w: tg.broadcast_to(w, (3, 2, 2)),
        lambda w: tg.einsum("ij->ji", w),
        lambda w: tg.diagonal(w.reshape(2, 2)[None])[0],
        lambda w: ops.split(w, 2)[1],
    ],
)
def test_a_view_of_a_changed_parameter_is_noticed(view) -> None:
    w = leaf([[1.0, 2.0], [3.0, 4.0]])
    v = view(w)
    if not share_memory(v, w):
        return
    y = (v * v).sum()
    with tg.no_grad():
        w *= 5
    with NOTICED:
        y.backward()


def test_a_weight_transposed_by_hand_is_noticed_too() -> None:
    w, x = leaf([[1.0, 2.0], [3.0, 4.0]]), leaf([[1.0, 1.0]])
    optimizer = SGD([w], lr=0.1)
    y = (x @ w.T).sum()
    w.grad = tg.tensor(np.ones((2, 2)))
    optimizer.step()
    with NOTICED:
        y.backward()


def test_a_view_made_before_a_change_and_used_after_it_is_right() -> None:
    w = leaf([1.0, 2.0])
    v = w[0:1]
    with tg.no_grad():
        w *= 5
    (v * v).sum().backward()
    assert w.grad.tolist() == [10, 0]


def test_a_view_of_an_array_that_was_replaced_still_holds_the_old_values() -> None:
    w = leaf([1.0, 2.0])
    y = (w[0:1] * w[0:1]).sum()
    w.data = np.array([50.0, 60.0])
    y.backward()
    assert w.grad.tolist() == [2, 0]


# ---- no false alarm ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "f",
    [
        lambda a, b: a + b,
        lambda a, b: a - b,
        lambda a, b: tg.concatenate([a, b]),
        lambda a, b: tg.stack([a, b]).mean(axis=0),
        lambda a, b: a.sum() + b.reshape(2, 1).sum(),
        lambda a, b: a[0:1] + b[1:2],
        lambda a, b: a.exp() + b.tanh() + a.sigmoid(),
        lambda a, b: a.flip() + b.cumsum() + a.astype("float32"),
    ],
)
def test_operations_that_read_no_inputs_do_not_mind(f) -> None:
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    y = f(a, b).sum()
    expected = [g.tolist() for g in grad(y, [a, b])]
    rebind(a)
    rebind(b)
    assert [g.tolist() for g in grad(y, [a, b])] == expected


def test_the_other_factor_may_change_where_its_gradient_is_not_wanted() -> None:
    w, x = leaf([1.0, 2.0]), tg.tensor(np.array([3.0, 4.0]))
    y = (w * x).sum()
    rebind(w)
    y.backward()
    assert w.grad.tolist() == [3, 4]


def test_data_that_was_changed_is_noticed_where_it_is_needed() -> None:
    w, x = leaf([1.0, 2.0]), tg.tensor(np.array([3.0, 4.0]))
    y = (w * x).sum()
    x[0] = 100.0
    with NOTICED:
        y.backward()


def test_a_change_below_the_target_of_grad_does_not_matter() -> None:
    x = leaf(3.0)
    h = x * x
    y = h * h
    rebind(x)
    assert grad(y, h).item() == 18


def test_a_gradient_that_reaches_grad_may_change() -> None:
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    y.backward()
    x.grad *= 0.5
    x.grad = None
    y.backward()
    assert x.grad.tolist() == [2, 4]


# ---- fused operations and their compositions --------------------------------------------------


@pytest.mark.parametrize(
    "f",
    [
        lambda w: tg.mse_loss(w, tg.tensor(np.zeros((2, 2)))),
        lambda w: tg.softmax(w)[0, 0],
        lambda w: tg.log_softmax(w)[0, 0],
        lambda w: tg.cross_entropy(w, tg.tensor([0, 1])),
    ],
)
def test_what_only_the_composition_reads_is_noticed_where_the_composition_runs(f) -> None:
    w = leaf([[1.0, 2.0], [0.5, -1.0]])
    y = f(w)
    expected = grad(y, w).tolist()
    rebind(w)
    assert grad(y, w).tolist() == expected  # the array rule has saved all that it needs
    with NOTICED:
        grad(y, w, create_graph=True)


# ---- inner tensors and indices ----------------------------------------------------------------


def test_an_inner_tensor_takes_no_new_data() -> None:
    x = leaf(3.0)
    h = x * x
    with pytest.raises(
        RuntimeError, match="the tensor was made by multiply and is part of a graph"
    ):
        h.data = np.array(1.0)


def test_an_index_may_change_after_it_was_used() -> None:
    x, i = leaf([1.0, 2.0, 3.0]), tg.tensor([0, 1])
    y = x[i].sum()
    z = tg.take_along_axis(x, i, 0).sum()
    i[0] = 2
    assert grad(y, x).tolist() == grad(z, x).tolist() == [1, 1, 0]


def test_labels_may_change_after_they_were_used() -> None:
    logits, labels = leaf([[1.0, 2.0]]), tg.tensor([0])
    loss = tg.cross_entropy(logits, labels)
    expected = grad(loss, logits).tolist()
    labels[0] = 1
    assert grad(loss, logits).tolist() == expected


def test_a_rule_that_reads_its_output_keeps_the_array_not_the_tensor() -> None:
    @op(lambda xp, g, y, x: g * y)
    def my_exp(xp, x):
        return xp.exp(x)

    x = leaf(0.0)
    y = my_exp(x)
    z = y * 3
    del y
    z.backward()
    assert x.grad.item() == 3


# ---- through other names for the same memory ---------------------------------------------------


def test_a_detached_leaf_is_noticed_when_the_leaf_moves() -> None:
    w, v = leaf([2.0, 3.0]), leaf([1.0, 1.0])
    first, second = (w * w).sum(), (v * w.detach()).sum()
    first.backward()
    SGD([w], lr=1.0).step()
    with NOTICED:
        second.backward()


def test_writing_through_a_detached_leaf_is_noticed() -> None:
    w = leaf([2.0, 3.0])
    y = (w * w).sum()
    w.detach()[...] = 0.0
    with NOTICED:
        y.backward()


def test_writing_through_a_view_of_data_is_noticed() -> None:
    w, x = leaf([2.0, 3.0]), tg.tensor(np.array([[5.0, 7.0]]))
    y = (w * x).sum()
    row = x[0]
    row += 1
    with NOTICED:
        y.backward()


@pytest.mark.parametrize("view", [lambda w: w.T, lambda w: w.reshape(-1), lambda w: w[:1]])
def test_a_view_made_without_a_graph_is_noticed_when_the_leaf_moves(view) -> None:
    w, v = leaf([2.0, 3.0]), leaf(1.0)
    with tg.no_grad():
        shown = view(w)
    y = (v * shown).sum()
    with tg.no_grad():
        w *= 10
    with NOTICED:
        y.backward()


def test_a_result_cannot_be_changed_through_its_detached_twin() -> None:
    w = leaf([2.0, 3.0])
    h = w * 2
    y = (h * h).sum()
    for twin in (h.detach(), h.detach()[:1]):
        with pytest.raises(RuntimeError, match=r"Write x = x\.clone\(\) first"):
            twin += 1
    h.detach().clone()[...] = 0.0
    y.backward()
    assert w.grad.tolist() == [16, 24]


def test_a_copy_is_nobody_s_alias() -> None:
    w = leaf([2.0, 3.0])
    y = (w * w).sum()
    for copied in (w.detach().clone(), w.detach()[[0, 1]], w.detach() + 0):
        copied += 1
    y.backward()
    assert w.grad.tolist() == [4, 6]


def test_a_detached_loss_does_not_keep_the_graph() -> None:
    import weakref

    w = leaf([2.0, 3.0])
    h = w * 2
    dies = weakref.ref(h)
    kept = (h * h).sum().detach()
    shown = kept.reshape(1)
    del h
    assert dies() is None and kept.item() == shown.item() == 52


def test_fractions_are_not_cut_off_in_place() -> None:
    x = tg.zeros(3, dtype="int64")
    for write in (lambda: x.__setitem__(0, 2.7), lambda: x.__iadd__(tg.tensor(0.5))):
        with pytest.raises(TypeError, match="int64 cannot hold the value"):
            write()
    x[0] = 2
    x[1:] = [3, 4]
    assert x.tolist() == [2, 3, 4]
    small = tg.zeros(2, dtype="uint8")
    small[0] = 7
    assert small.tolist() == [7, 0]
