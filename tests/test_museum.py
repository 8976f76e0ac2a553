"""A museum of bugs: inputs on which other teaching frameworks gave, or give, a wrong answer.

Each test names what it shows; the wrong answers stand beside the right ones. The project in which
each was seen is in the comment: teaching code goes wrong in few, and always the same, ways.
"""

from __future__ import annotations

import gc
import math
import subprocess
import sys
import warnings
import weakref

import numpy as np
import pytest
from numpy.testing import assert_allclose

import tinygrad_opt as tg
from tests.helpers import host, share_memory
from tinygrad_opt import Tensor, op, ops
from tinygrad_opt.gradcheck import gradcheck
from tinygrad_opt.kernels import use_kernels
from tinygrad_opt.optim import SGD, Adam, lr_scheduler


def leaf(x: object) -> Tensor:
    return tg.tensor(np.array(x, dtype=np.float64), requires_grad=True)


# ---- the order of the backward pass -----------------------------------------------------------


def test_01_a_second_backward_adds_the_same_again() -> None:
    """12, then 36, where gradients stay on inner nodes: micrograd."""
    x = leaf(3.0)
    z = (x * x) * 2
    z.backward()
    assert x.grad.item() == 12
    z.backward()
    assert x.grad.item() == 24


def test_02_a_value_used_twice_waits_for_both() -> None:
    """8 in plain recursion."""
    a = leaf(1.0)
    b = a + a
    (b + b).backward()
    assert a.grad.item() == 4


def test_03_an_inner_value_used_at_different_depths() -> None:
    """29 and 22 in plain recursion, 4 and 3 depth first with a visited set."""
    a, b = leaf(2.0), leaf(3.0)
    c, d = a + b, a * b
    e, f = c + d, c * d
    y = e + f
    y.backward()
    assert (y.item(), a.grad.item(), b.grad.item()) == (41, 25, 19)


@pytest.mark.on("cpu", "cuda")  # that it is no recursion is the same on the stand-in, and slow
def test_04_a_chain_of_200_000_operations() -> None:
    """RecursionError by 600 … 1,200 in four projects."""
    x = leaf(0.0)
    y = x
    for _ in range(200_000):
        y = y + 1
    y.backward()
    assert x.grad.item() == 1


@use_kernels(False)  # to become a kernel a rule is run once more, on symbols
def test_05_sixty_diamonds_take_sixty_visits() -> None:
    """2⁶⁰ visits where every path is walked."""
    visits = 0

    def counted(xp, g, y, x):
        nonlocal visits
        visits += 1
        return g + g

    @op(counted)
    def double(xp, x):
        return x + x

    x = leaf(1.0)
    y = x
    for _ in range(60):
        y = double(y)
    y.backward()
    assert x.grad.item() == 2.0**60
    assert visits == 60

    x = leaf(1.0)
    y = x
    for _ in range(60):
        y = y + y
    y.backward()
    assert x.grad.item() == 2.0**60


def test_06_wide_fan_in_costs_two_heap_operations_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that is sorted again at each insertion: DeZero."""
    from tinygrad_opt import autograd

    calls = {"push": 0, "pop": 0}
    push, pop = autograd.heappush, autograd.heappop

    def counting_push(heap, node):
        calls["push"] += 1
        push(heap, node)

    def counting_pop(heap):
        calls["pop"] += 1
        return pop(heap)

    x = leaf(1.0)
    total = x * 0
    for i in range(1, 2000):
        total = total + x * i
    monkeypatch.setattr(autograd, "heappush", counting_push)
    monkeypatch.setattr(autograd, "heappop", counting_pop)
    total.backward()
    assert x.grad.item() == 1999000
    assert calls["push"] == calls["pop"] == 2 * 1999 + 1


def test_07_the_gradient_of_an_inner_tensor() -> None:
    x = leaf(3.0)
    h = x * x
    y = h * h
    assert tg.grad(y, h).item() == 18
    assert x.grad is None


def test_08_one_of_two_outputs_is_dropped() -> None:
    """AttributeError: DeZero."""

    @op(lambda xp, g, y, x: g[0] * 1 + g[1] * 2)
    def once_and_twice(xp, x):
        return x * 1, x * 2

    x = leaf([1.0, 2.0])
    first, _ = once_and_twice(x)
    first.sum().backward()
    assert x.grad.tolist() == [1, 1]


def test_09_one_matrix_product_twice() -> None:
    """Half of it, `=` for `+=`: smolgrad."""
    a, b = leaf(np.eye(2)), leaf(np.ones((2, 2)))
    ((a @ b) + (a @ b)).sum().backward()
    assert (host(a.grad) == 4).all()
    assert (host(b.grad) == 2).all()


# ---- who owns a gradient, and what was changed ------------------------------------------------


def test_10_gradients_of_two_parameters_do_not_share_memory() -> None:
    """−1.1 and 7.9, one shared gradient decayed twice: DeZero."""
    a, b = leaf([1.0]), leaf([10.0])
    (a + b).sum().backward()
    assert not share_memory(a.grad, b.grad)
    SGD([a, b], lr=1.0, weight_decay=0.1).step()
    assert_allclose([a.item(), b.item()], [-0.1, 8.0], rtol=1e-15)


def test_11_a_hook_may_write_into_the_gradient() -> None:
    """A read-only view: DeZero."""
    x = leaf(np.ones(3))

    def decay(g: Tensor) -> None:
        g.data += 0.1 * x.data

    x.register_hook(decay)
    x.sum().backward()
    assert x.grad.tolist() == [1.1, 1.1, 1.1]


def test_12_a_weight_changed_after_the_forward_pass_is_named() -> None:
    """10, silently, where nothing checks."""
    w = leaf(np.ones(2))
    w.name = "w"
    y = (w * w).sum()
    w.data = 5 * w.data
    with pytest.raises(RuntimeError, match=r"multiply needs the value that w \(2,\) had"):
        y.backward()


def test_13_a_change_that_no_derivative_reads_is_no_error() -> None:
    a, b = leaf(np.ones(2)), leaf(np.ones(2))
    y = (a + b).sum()
    a.data = 5 * a.data
    y.backward()
    assert a.grad.tolist() == b.grad.tolist() == [1, 1]


def test_14_writing_into_the_raw_array_is_documented_as_unseen() -> None:
    x = leaf(3.0)
    y = x * x
    x.data[...] = 100
    y.backward()
    assert x.grad.item() == 200
    assert "is not noticed" in Tensor.data.__doc__


def test_15_a_step_between_forward_and_backward_is_named() -> None:
    """The discriminator is stepped before the generator's backward pass."""
    generator, discriminator = leaf([1.0]), leaf([2.0])
    discriminator.name = "discriminator"
    loss = (generator * discriminator).sum()
    discriminator.grad = tg.tensor(np.ones(1))
    SGD([discriminator], lr=0.1).step()
    with pytest.raises(
        RuntimeError, match=r"discriminator has been changed since, by SGD.step\(\)"
    ):
        loss.backward()


# ---- axes and shapes --------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [1, -1, (1,)])
def test_16_rows_are_not_columns(axis: object) -> None:
    """Swapped: TinyTorch."""
    x = leaf(np.arange(9).reshape(3, 3))
    (x.sum(axis=axis) * tg.tensor(np.array([1.0, 10, 100]))).sum().backward()
    assert x.grad.tolist() == [[1] * 3, [10] * 3, [100] * 3]


def test_17_mean_and_max_are_tracked() -> None:
    x = leaf(np.arange(4.0))
    x.mean().backward()
    assert x.grad.tolist() == [0.25] * 4
    x.grad = None
    x.max().backward()
    assert x.grad.tolist() == [0, 0, 0, 1]


def test_18_a_bias_gets_the_sum_over_rows() -> None:
    b = leaf(np.ones(3))
    (leaf(np.ones((2, 3))) + b).sum().backward()
    assert b.grad.tolist() == [2, 2, 2]


def test_19_products_of_stacks_and_vectors() -> None:
    """ValueError, because .T reverses all axes: DeZero."""
    for shape in ((2, 4, 5), (4, 5)):
        a, b = leaf(np.ones((2, 3, 4))), leaf(np.ones(shape))
        (a @ b).sum().backward()
        assert (host(a.grad) == 5).all()
        assert (host(b.grad) == (3 if len(shape) == 3 else 6)).all()
    a, b = leaf(np.ones((2, 3))), leaf(np.ones(3))
    (a @ b).sum().backward()
    assert b.grad.tolist() == [2, 2, 2]
    a, b = leaf([1.0, 2]), leaf([3.0, 4])
    (a @ b).backward()
    assert (a.grad.tolist(), b.grad.tolist()) == ([3, 4], [1, 2])


def test_20_joining_and_picking() -> None:
    """A slice gets gradient 0: smolgrad."""
    a, b = leaf([1.0, 2]), leaf([3.0])
    (tg.concatenate([a, b]) * tg.tensor(np.array([1.0, 2, 3]))).sum().backward()
    assert (a.grad.tolist(), b.grad.tolist()) == ([1, 2], [3])
    x = leaf([1.0, 2, 3])
    x[0:2].sum().backward()
    assert x.grad.tolist() == [1, 1, 0]
    x.grad = None
    x[[0, 0, 2]].sum().backward()
    assert x.grad.tolist() == [2, 0, 1]


def test_21_transposing_back_is_the_inverse_permutation() -> None:
    z, w = leaf(np.arange(24).reshape(2, 3, 4)), np.arange(24.0).reshape(3, 4, 2)
    (z.transpose(1, 2, 0) * tg.tensor(w)).sum().backward()
    assert np.array_equal(host(z.grad), w.transpose(2, 0, 1))


# ---- kinks, ties, precision -------------------------------------------------------------------


def test_22_ties_share() -> None:
    """Every tie gets all of it: DeZero."""
    x = leaf([2.0, 2, 1])
    x.max().backward()
    assert x.grad.tolist() == [0.5, 0.5, 0]
    x = leaf([[2.0, 2, 1]])
    x.max(axis=1).sum().backward()
    assert x.grad.tolist() == [[0.5, 0.5, 0]]


def test_23_relu_at_its_kinks_is_flat() -> None:
    x = leaf([0.0])
    x.relu().sum().backward()
    assert x.grad.tolist() == [0]
    x = leaf([6.0])
    tg.relu6(x).sum().backward()
    assert x.grad.tolist() == [0]


def test_24_the_square_at_zero() -> None:
    """nan, through the logarithm of 0: MLX."""
    x = leaf(0.0)
    (x**2).backward()
    assert x.grad.item() == 0


def test_25_float32_stays_float32() -> None:
    """float64, NumPy 2's strong scalars: DeZero, MyGrad."""
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    results = [
        x * 2.0,
        2.0 / x,
        x + np.float64(1),
        x * np.array(2.0),
        x.mean(),
        x.var(),
        x**2,
        x / 3,
    ]
    assert {y.dtype for y in results} == {np.dtype(np.float32)}
    optimizer = Adam([x], lr=np.float64(0.1))
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)
    for _ in range(3):
        optimizer.zero_grad()
        loss = ((x - 3.0) ** 2).mean() * np.float64(0.5)
        loss.backward()
        optimizer.step()
        scheduler.step()
        assert loss.dtype == x.dtype == x.grad.dtype == np.float32
        assert all(
            s.dtype == np.float32 for s in optimizer.state_of(x).values() if hasattr(s, "dtype")
        )


def test_26_far_from_zero_nothing_overflows() -> None:
    far = leaf([-1000.0, 1000.0])
    assert far.sigmoid().tolist() == [0, 1]
    assert far.softplus().tolist() == [0, 1000]
    logits = leaf([[1000.0, 0.0]])
    loss = tg.cross_entropy(logits, tg.tensor([1]))
    loss.backward()
    assert loss.item() == 1000
    assert logits.grad.tolist() == [[1, -1]]


def test_27_a_branch_not_taken_and_the_norm_of_zeros() -> None:
    with np.errstate(all="ignore"):
        x = leaf(0.0)
        tg.where(x > 0, x.log(), 0.0).backward()
        assert math.isnan(x.grad.item())  # as in PyTorch and JAX
        x = leaf(1.0)
        tg.where(x >= 0, x, (-x).sqrt()).backward()
        assert math.isnan(x.grad.item())
    zeros = leaf(np.zeros(3))
    zeros.norm().backward()
    assert zeros.grad.tolist() == [0, 0, 0]
    x = leaf(0.0)
    tg.where(x > 0, tg.where(x > 0, x, 1.0).sqrt(), x).backward()
    assert x.grad.item() == 1


# ---- training ---------------------------------------------------------------------------------


def test_28_gradients_of_micro_batches_add_up() -> None:
    """0.6, where only the printed loss is divided: TinyTorch."""
    w = leaf(1.0)
    for _ in range(4):
        (w * 1 / 4).backward()
    SGD([w], lr=0.1).step()
    assert_allclose(w.item(), 0.9, rtol=1e-15)


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        (SGD, {"lr": 0.1, "momentum": 0.9}, 0.0131996118),
        (Adam, {"lr": 0.1}, 2.014188409616954),
    ],
)
def test_29_a_resumed_run_is_the_run(kind, options, expected) -> None:
    """1.0106621292 without the buffer; 2.0040 and 1.8226 without Adam's moments, or its count."""
    x = leaf(3.0)
    optimizer = kind([x], **options)

    def five_steps() -> None:
        for _ in range(5):
            optimizer.zero_grad()
            (x * x).backward()
            optimizer.step()

    five_steps()
    saved, place = optimizer.state_dict(), x.item()
    x = leaf(place)
    optimizer = kind([x], **options)
    optimizer.load_state_dict(saved)
    five_steps()
    assert_allclose(x.item(), expected, rtol=1e-9)


# ---- the rest of the house --------------------------------------------------------------------


@pytest.mark.host
def test_35_the_package_imports_with_numpy_alone() -> None:
    """ImportError without matplotlib and PIL: DeZero."""
    blocked = ("matplotlib", "PIL", "cupy", "numba", "rich", "plotly", "sklearn", "marimo", "torch")
    program = f"""
import sys
for name in {blocked!r}:
    sys.modules[name] = None          # importing it raises ImportError
import tinygrad_opt as tg
x = tg.tensor([1.0, 2.0], requires_grad=True)
(x * x).sum().backward()
assert x.grad.tolist() == [2.0, 4.0]
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_36_a_softmax_times_minus_seven_does_not_pass() -> None:
    """It passes with a cotangent of ones, for the outputs add up to 1: DeZero, minitorch."""

    @op(lambda xp, g, y, x: -7 * y * (g - xp.sum(g * y, axis=-1, keepdims=True)))
    def softmax_wrong(xp, x):
        e = xp.exp(x - xp.max(x, axis=-1, keepdims=True))
        return e / xp.sum(e, axis=-1, keepdims=True)

    x = tg.tensor(np.random.default_rng(0).standard_normal((4, 5)))
    with pytest.raises(AssertionError, match="multiplied by -7"):
        gradcheck(softmax_wrong, x)
    gradcheck(ops.softmax, x)


def test_37_no_graph_outlives_its_loss() -> None:
    """Kept by a cycle: micrograd."""
    w = tg.randn(3, 3, requires_grad=True)
    losses = weakref.WeakSet()
    gc.collect()
    gc.disable()
    try:
        for _ in range(200):
            w.grad = None
            loss = (tg.tanh(w @ w) ** 2).sum()
            loss.backward()
            losses.add(loss)
        assert len(losses) == 1
        del loss
        assert len(losses) == 0
    finally:
        gc.enable()


def test_warnings_are_errors_here() -> None:
    """So each test above also shows that nothing warned."""
    with pytest.raises(UserWarning):
        warnings.warn("heard", UserWarning, stacklevel=1)
