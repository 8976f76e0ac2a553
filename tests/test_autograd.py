"""The backward pass: `backward`, `grad`, hooks, and the modes of recording."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from numpy.testing import assert_allclose

import tinygrad_opt as tg
from tests.helpers import host, is_writable, share_memory
from tinygrad_opt import Tensor, op, ops
from tinygrad_opt.autograd import backward, grad
from tinygrad_opt.kernels import use_kernels


def leaf(x: object) -> Tensor:
    return tg.tensor(np.array(x, dtype=np.float64), requires_grad=True)


def plain(x: object) -> Tensor:
    return tg.tensor(np.array(x, dtype=np.float64))


# ---- backward ---------------------------------------------------------------------------------


def test_gradients_add_up_over_backward_passes() -> None:
    x = leaf([1.0, 2.0])
    (x * x).sum().backward()
    (3 * x).sum().backward()
    assert x.grad.tolist() == [5, 7]


def test_a_cotangent_weighs_the_outputs() -> None:
    x = leaf([1.0, 2.0])
    (x * x).backward(plain([1.0, 10.0]))
    assert x.grad.tolist() == [2, 40]
    x.grad = None
    (x * x).backward([1.0, 10.0])
    assert x.grad.tolist() == [2, 40]
    assert x.grad.dtype == np.float64


def test_an_element_of_any_shape_is_one_number() -> None:
    x = leaf([[3.0]])
    (x * x).backward()
    assert x.grad.tolist() == [[6]]


def test_a_leaf_can_be_its_own_result() -> None:
    x = leaf(3.0)
    x.backward()
    x.backward()
    assert x.grad.item() == 2


@pytest.mark.parametrize("order", [False, True])
def test_both_terms_of_a_sum_own_their_gradient(order: bool) -> None:
    a, b = leaf([1.0]), leaf([2.0])
    ((a + b) ** 2).sum().backward(create_graph=order)
    assert a.grad.tolist() == b.grad.tolist() == [6]
    assert not share_memory(a.grad, b.grad)


def test_the_one_that_a_backward_pass_begins_with_is_nobodys() -> None:
    x = leaf(3.0)
    x.backward()
    x.grad.data[...] = 7
    y = leaf(3.0)
    (y * y).backward()
    assert y.grad.item() == 6


def test_retain_graph_is_accepted_and_changes_nothing() -> None:
    x = leaf(3.0)
    y = x * x
    y.backward(retain_graph=False)
    y.backward(retain_graph=True)
    assert x.grad.item() == 12


def test_only_leaves_that_ask_get_a_gradient() -> None:
    x, c = leaf([1.0]), plain([2.0])
    y = x * c
    y.backward()
    assert c.grad is None
    assert y.grad is None
    assert x.is_leaf and c.is_leaf and not y.is_leaf


@use_kernels(False)  # to become a kernel a rule is run once more, on symbols
def test_only_the_wanted_derivatives_run() -> None:
    ran = []

    def derivative(name):
        def d(xp, g, y, a, b):
            ran.append(name)
            return g

        return d

    plus = op(derivative("a"), derivative("b"))(lambda xp, a, b: a + b)
    plus(leaf(1.0), plain(1.0)).backward()
    plus(plain(1.0), leaf(1.0)).backward()
    plus(leaf(1.0), 2.0).backward()
    assert ran == ["a", "b", "a"]


def test_a_gradient_has_the_shape_and_dtype_of_its_leaf() -> None:
    a = tg.tensor(np.ones((2, 1), np.float32), requires_grad=True)
    b = leaf(np.ones(3))
    (a * b).sum().backward()
    assert (a.grad.shape, a.grad.dtype) == ((2, 1), np.float32)
    assert (b.grad.shape, b.grad.dtype) == ((3,), np.float64)


def test_a_conversion_hands_the_gradient_back_in_its_own_dtype() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    h = x * 2
    seen = []
    h.register_hook(lambda g: seen.append(g.dtype))
    h.double().sum().backward()
    assert seen == [np.float32]


def test_a_graph_made_under_no_grad_does_not_exist() -> None:
    x = leaf(3.0)
    with tg.no_grad():
        y = x * x
    assert y.is_leaf and not y.requires_grad
    z = y * x
    z.backward()
    assert x.grad.item() == 9


def test_backward_works_under_no_grad() -> None:
    x = leaf(3.0)
    y = x * x
    with tg.no_grad():
        y.backward()
    assert x.grad.item() == 6
    assert x.grad.is_leaf


def test_detach_cuts() -> None:
    x = leaf(3.0)
    y = x * x
    (y.detach() * x).backward()
    assert x.grad.item() == 9
    assert share_memory(y.detach(), y)


# ---- grad -------------------------------------------------------------------------------------


def test_grad_of_one_and_of_several() -> None:
    a, b = leaf(2.0), leaf(3.0)
    y = a * a * b
    assert grad(y, a).item() == 12
    da, db = grad(y, [a, b])
    assert (da.item(), db.item()) == (12, 4)
    assert a.grad is None and b.grad is None


def test_grad_of_several_outputs_adds_up() -> None:
    x = leaf([1.0, 2.0])
    g = grad([x * x, 3 * x], x, [plain([1.0, 1.0]), plain([1.0, 10.0])])
    assert g.tolist() == [5, 34]


def test_grad_of_inner_tensors_and_leaves_together() -> None:
    x = leaf(2.0)
    h = x * x
    y = h * h * x
    dh, dx = grad(y, [h, x])
    assert (dh.item(), dx.item()) == (2 * 4 * 2, 5 * 2**4)


def test_grad_of_a_tensor_by_itself_is_one() -> None:
    x = leaf(2.0)
    y = x * x
    assert grad(y, y).item() == 1
    assert grad(x, x).item() == 1


def test_grad_of_one_inner_tensor_by_another_stops_there() -> None:
    ran = []

    @op(lambda xp, g, y, x: ran.append("below") or g)
    def below(xp, x):
        return x * 1

    h = below(leaf(3.0))
    middle = h * h
    assert grad(middle * middle, h).item() == 4 * 27
    assert ran == []


def test_an_older_target_does_not_hide_a_newer_one() -> None:
    x = leaf(2.0)
    old = x * 3
    new = old * old
    y = new * old
    d_new, d_old = grad(y, [new, old])
    assert (d_new.item(), d_old.item()) == (6, 3 * 36)


def test_an_unused_input_is_an_error_or_none() -> None:
    a, b = leaf(2.0), leaf([1.0, 2.0])
    with pytest.raises(RuntimeError, match=r"do not depend on input 1, shape \(2,\)"):
        grad(a * a, [a, b])
    da, db = grad(a * a, [a, b], allow_unused=True)
    assert da.item() == 4
    assert db is None


def test_results_of_grad_belong_to_the_caller() -> None:
    x = leaf([1.0, 2.0])
    y = x + 1
    gx, gy = grad(y.sum(), [x, y])
    assert not share_memory(gx, gy)
    for g in (gx, gy):
        assert g.data.base is None
        g.data[...] = 7
    assert grad(y.sum(), x).tolist() == [1, 1]


# ---- higher orders ----------------------------------------------------------------------------


def test_third_derivative_of_tanh() -> None:
    x = leaf([-0.7, 0.1, 1.3])
    y = x.tanh()
    for _ in range(3):
        y = grad(y.sum(), x, create_graph=True)
    t = np.tanh(host(x))
    assert_allclose(host(y), (1 - t**2) * (6 * t**2 - 2), rtol=1e-13)


def test_sixth_derivative_of_a_power() -> None:
    x = leaf(2.0)
    y = x**6
    for _ in range(6):
        y = grad(y, x, create_graph=True)
    assert y.item() == 720


def test_backward_with_create_graph_leaves_gradients_that_have_gradients() -> None:
    x = leaf(3.0)
    (x**3).backward(create_graph=True)
    first = x.grad
    assert first.item() == 27
    x.grad = None
    first.backward()
    assert x.grad.item() == 18


def test_gradients_with_create_graph_do_not_share_memory() -> None:
    a, b = leaf(np.ones((2, 3))), leaf(np.ones((3, 2)))
    (a.reshape(6) + b.reshape(6)).sum().backward(create_graph=True)
    assert not share_memory(a.grad, b.grad)
    assert is_writable(a.grad) and is_writable(b.grad)


def test_a_gradient_penalty_can_be_learned_from() -> None:
    w, x = leaf([2.0, -1.0]), leaf([0.5, 3.0])
    slope = grad((w * x**2).sum(), x, create_graph=True)
    ((slope.norm() - 1) ** 2).backward()
    s = 2 * np.array([2.0, -1.0]) * np.array([0.5, 3.0])
    n = np.linalg.norm(s)
    assert_allclose(host(w.grad), 2 * (n - 1) * s / n * 2 * np.array([0.5, 3.0]), rtol=1e-13)


def test_differentiating_through_a_step_of_training() -> None:
    rate, w = leaf(0.1), leaf(3.0)
    slope = grad(w * w, w, create_graph=True)
    moved = w - rate * slope
    assert_allclose(grad(moved * moved, rate).item(), 2 * 2.4 * -6, rtol=1e-14)


def test_create_graph_records_under_no_grad() -> None:
    x = leaf(3.0)
    y = x**3
    with tg.no_grad():
        g = grad(y, x, create_graph=True)
    assert grad(g, x).item() == 18


def test_a_fused_operation_with_one_tensor_in_two_places() -> None:
    w = leaf([[1.0, 2.0], [3.0, 4.0]])
    twice = (ops.linear(w, w) ** 2).sum()
    parts = ((w @ w.transpose()) ** 2).sum()
    for order in (False, True):
        assert_allclose(
            host(grad(twice, w, create_graph=order)),
            host(grad(parts, w)),
            rtol=1e-14,
        )


# ---- hooks ------------------------------------------------------------------------------------


def test_a_hook_sees_the_whole_gradient_once() -> None:
    seen = []
    x = leaf(2.0)
    h = x * 3
    h.register_hook(lambda g: seen.append(("h", g.item())))
    x.register_hook(lambda g: seen.append(("x", g.item())))
    (h * h + h).backward()
    assert seen == [("h", 13.0), ("x", 39.0)]


def test_what_a_hook_returns_replaces_the_gradient() -> None:
    x = leaf(2.0)
    h = x * 3
    h.register_hook(lambda g: g * 10)
    remove = x.register_hook(lambda g: g + 1)
    h.backward()
    assert x.grad.item() == 31
    remove()
    x.grad = None
    h.backward()
    assert x.grad.item() == 30
    assert grad(h, x).item() == 30


def test_removing_a_hook_again_does_nothing() -> None:
    x = leaf(2.0)
    h = x * 3
    double = lambda g: g * 2
    for t in (x, h):
        remove = t.register_hook(double)
        t.register_hook(double)  # stays
        remove()
        remove()
    h.backward()
    assert x.grad.item() == 3 * 2 * 2


def test_a_hook_may_write_into_what_it_gets() -> None:
    a, b = leaf([1.0]), leaf([1.0])
    total = a + b
    inner = total * 1

    def halve(g: Tensor) -> None:
        g.data *= 0.5

    inner.register_hook(halve)
    inner.backward()
    assert a.grad.tolist() == b.grad.tolist() == [0.5]
    (a * 1).backward()
    assert a.grad.tolist() == [1.5]


def test_a_hook_on_one_of_two_uses_does_not_reach_the_other() -> None:
    x, y = leaf(np.ones(2)), leaf(np.ones(2))
    a, b = x * 1, y * 1

    def clear(g: Tensor) -> None:
        g.data[...] = 0

    a.register_hook(clear)
    (a + b).sum().backward()
    assert x.grad.tolist() == [0, 0]
    assert y.grad.tolist() == [1, 1]


def test_a_tensor_that_a_hook_returns_is_not_the_gradient_itself() -> None:
    x = leaf([1.0, 2.0])
    x.register_hook(lambda g: x.detach())
    x.sum().backward()
    x.grad.data[...] = 9
    assert x.tolist() == [1, 2]


def test_a_hook_must_keep_the_shape() -> None:
    x = leaf([1.0, 2.0])
    x.register_hook(lambda g: g.sum())
    with pytest.raises(
        ValueError, match=r"hook: it returned shape \(\) for a gradient of shape \(2,\)"
    ):
        x.sum().backward()


def test_with_create_graph_a_hook_gets_a_gradient_that_has_one() -> None:
    seen = []
    x = leaf(2.0)
    h = x * x
    h.register_hook(seen.append)
    grad(h * h, x, create_graph=True)
    assert grad(seen[0], x).item() == 8  # d 2h / dx
    grad(h * h, x)
    assert not seen[-1].requires_grad


def test_a_hook_needs_a_gradient() -> None:
    with pytest.raises(RuntimeError, match="requires no gradient; none will arrive"):
        plain(1.0).register_hook(print)


def test_retain_grad_keeps_the_gradient_of_an_inner_tensor() -> None:
    x = leaf(2.0)
    h = x * x
    h.retain_grad()
    h.retain_grad()
    y = h * 3
    y.backward()
    assert h.grad.item() == 3
    y.backward()
    assert h.grad.item() == 6
    h.grad.data[...] = 100
    (x * 1).backward()
    assert x.grad.item() == 25


def test_retain_grad_keeps_nothing_alive() -> None:
    x = leaf(2.0)
    h = x * x
    h.retain_grad()
    y = h * 3
    del h
    y.backward()
    assert x.grad.item() == 12


# ---- modes ------------------------------------------------------------------------------------


def test_modes_nest_and_return() -> None:
    seen = [tg.is_grad_enabled()]
    with tg.no_grad():
        seen.append(tg.is_grad_enabled())
        with tg.enable_grad():
            seen.append(tg.is_grad_enabled())
            with tg.no_grad():
                seen.append(tg.is_grad_enabled())
            seen.append(tg.is_grad_enabled())
        seen.append(tg.is_grad_enabled())
    seen.append(tg.is_grad_enabled())
    assert seen == [True, False, True, False, True, False, True]


def test_modes_decorate() -> None:
    @tg.no_grad()
    def measure(x: Tensor) -> Tensor:
        return x * x

    x = leaf(1.0)
    for _ in range(2):
        assert not measure(x).requires_grad
    assert (x * x).requires_grad
    assert tg.enable_grad()(lambda: tg.is_grad_enabled())()


def test_an_exception_gives_the_mode_back() -> None:
    @tg.no_grad()
    def fail() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert tg.is_grad_enabled()
    with pytest.raises(ZeroDivisionError), tg.no_grad():
        _ = 1 / 0
    assert tg.is_grad_enabled()


def test_a_backward_that_fails_gives_the_mode_back() -> None:
    @op(lambda xp, g, y, x: 1 / 0)
    def bad(xp, x):
        return x * 1

    y = bad(leaf(1.0))
    for order in (False, True):
        with tg.no_grad():
            with pytest.raises(ZeroDivisionError):
                y.backward(create_graph=order)
            assert not tg.is_grad_enabled()
        assert tg.is_grad_enabled()


def test_threads_have_their_own_mode() -> None:
    seen = []
    inside, done = threading.Event(), threading.Event()

    def other() -> None:
        seen.append(tg.is_grad_enabled())
        with tg.no_grad():
            inside.set()
            done.wait(5)
        seen.append(tg.is_grad_enabled())

    with tg.no_grad():
        thread = threading.Thread(target=other)
        thread.start()
        inside.wait(5)
        seen.append(tg.is_grad_enabled())
    seen.append(tg.is_grad_enabled())
    done.set()
    thread.join()
    assert seen == [True, False, True, True]


def test_threads_can_build_and_run_graphs_at_once() -> None:
    results: dict[int, float] = {}

    def work(k: int) -> None:
        x = leaf(float(k))
        for _ in range(20):
            x.grad = None
            y = x
            for _ in range(50):
                y = y + x
            y.backward()
        results[k] = x.grad.item()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == dict.fromkeys(range(4), 51.0)


# ---- errors -----------------------------------------------------------------------------------


def test_backward_of_many_numbers_says_what_to_do() -> None:
    y = leaf(np.ones((32, 10))) * 2
    with pytest.raises(RuntimeError) as error:
        y.backward()
    assert str(error.value) == (
        "backward: the result has shape (32, 10), not one number. Take .sum() or .mean() first, or "
        "pass the gradient that arrives: y.backward(g) with g of shape (32, 10)."
    )


def test_backward_without_a_graph_says_why() -> None:
    for y in (plain(1.0), leaf(1.0).detach()):
        with pytest.raises(RuntimeError) as error:
            y.backward()
        assert str(error.value) == (
            "backward: nothing here requires a gradient. It was computed under no_grad(), was "
            "detached, or no parameter took part."
        )


def test_a_cotangent_of_another_shape_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"gradient that arrives has shape \(3,\), not \(2,\)"):
        backward(leaf([1.0, 2.0]) * 1, [1.0, 2.0, 3.0])


@pytest.mark.parametrize("earlier", [tg.zeros(2), tg.zeros(1, 2, 2), tg.zeros(()), 0.0])
@pytest.mark.parametrize("inner", [False, True])
def test_a_gradient_of_another_shape_is_not_added_to(earlier: object, inner: bool) -> None:
    w = leaf([[1.0, 2.0], [3.0, 4.0]])
    x = w * 1
    x.retain_grad()
    had = x if inner else w
    had.grad, had.name = earlier, "w"
    with pytest.raises(ValueError) as error:
        x.sum().backward()
    assert str(error.value) == (
        f"backward: w has shape (2, 2), and its gradient from before {np.shape(earlier)}. "
        "Set .grad to None, or to a tensor of its shape."
    )
    assert had.grad is earlier


def test_grad_by_what_is_not_tracked_is_an_error() -> None:
    x = leaf(1.0)
    with pytest.raises(RuntimeError, match=r"input 1, shape \(2,\), does not require a gradient"):
        grad(x * x, [x, plain([1.0, 2.0])])


def test_grad_wants_a_cotangent_for_each_output() -> None:
    x = leaf([1.0, 2.0])
    with pytest.raises(ValueError, match="2 outputs and 1"):
        grad([x * 1, x * 2], x, [plain([1.0, 1.0])])


@pytest.mark.parametrize("shape", [(3, 2), (3,), (2,), (), (1, 3)], ids=str)
def test_a_derivative_of_the_wrong_shape_is_named(shape: tuple[int, ...]) -> None:
    @op(lambda xp, g, y, x: xp.reshape(xp.sum(g), (1,) * len(shape)) + xp.zeros(shape))
    def odd(xp, x):
        return x * 1

    with pytest.raises(ValueError, match=r"a derivative of odd has shape .*, its input \(2, 3\)"):
        odd(leaf(np.ones((2, 3)))).sum().backward()
