"""The checker checked: wrong rules are rejected, right ones accepted, kinks included."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.broken.derivatives import PAIRS, TIES, Pair, of
from tinygrad_opt import Tensor, op, ops
from tinygrad_opt.gradcheck import GradcheckError, gradcheck, gradgradcheck

pytestmark = pytest.mark.on("cpu", "cuda")  # the stand-in computes with NumPy, too


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_a_wrong_rule_is_rejected(pair: Pair) -> None:
    for seed in range(3):
        with pytest.raises(GradcheckError):
            gradcheck(pair.wrong, *pair.inputs, order=pair.order, seed=seed)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_the_right_rule_is_accepted(pair: Pair) -> None:
    for seed in range(3):
        gradcheck(pair.right, *pair.inputs, order=2, seed=seed)


@pytest.mark.parametrize("pair", [p for p in PAIRS if p.order == 2], ids=lambda pair: pair.name)
def test_a_mistake_of_second_order_does_not_show_in_the_first(pair: Pair) -> None:
    gradcheck(pair.wrong, *pair.inputs)
    with pytest.raises(GradcheckError):
        gradgradcheck(pair.wrong, *pair.inputs)


def test_a_tie_that_gets_all_is_a_slope_of_one_side_unless_others_get_it_too() -> None:
    """With two tied, [g, g] is an answer from two different sides: each alone is a slope."""
    gradcheck(TIES.right, *TIES.inputs)
    gradcheck(TIES.wrong, *TIES.inputs)
    x = TIES.inputs[0].requires_grad_()
    TIES.wrong(x).sum().backward()
    assert x.grad.sum().item() == 3  # of 2: this is what the boundary points catch
    x.grad = None
    TIES.right(x).sum().backward()
    assert x.grad.sum().item() == 2


# ---- kinks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [ops.relu, ops.absolute, ops.floor, ops.leaky_relu, ops.elu])
@pytest.mark.parametrize("at", [0.0, -0.0, 1e-6, -1e-6, 1e-12])
def test_a_kink_is_no_error(f, at: float) -> None:
    gradcheck(f, tg.tensor(np.array([at, 1.3, at])), order=1)


def test_kinks_of_several_inputs_and_ties() -> None:
    tied = tg.tensor(np.array([1.0, 2.0, 2.0]))
    gradcheck(ops.maximum, tied, tied)
    gradcheck(ops.max, tied)
    gradcheck(lambda x: ops.clip(x, 1, 2), tied)
    gradcheck(lambda x: ops.norm(x, ord=1), tg.tensor(np.zeros(3)))
    gradcheck(ops.norm, tg.tensor(np.zeros(3)))


def test_a_slope_outside_both_sides_of_a_kink_is_an_error_and_shows_them() -> None:
    @op(lambda xp, g, y, x: g * 1.5)
    def relu_too_steep(xp, x):
        return xp.maximum(x, 0)

    found = gradcheck(relu_too_steep, tg.tensor(np.array([0.0])), raise_exception=False)
    assert not found.ok
    assert found.kink
    assert f"a kink here: slope 0 before it, {found.analytic / 1.5:.6g} behind it" in found.text


def test_the_second_derivative_at_a_kink_of_the_first() -> None:
    gradcheck(lambda x: x * ops.absolute(x), tg.tensor(np.array([0.0, 1.0])), order=2)


# ---- what the report says ---------------------------------------------------------------------


def report(wrong, *inputs: Tensor, **options):
    return gradcheck(wrong, *inputs, raise_exception=False, **options)


def named(name: str) -> Pair:
    return next(pair for pair in PAIRS if pair.name == name)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        (
            "softmax times -7",
            "The ratio is the same everywhere: the derivative is multiplied by -7.",
        ),
        ("off by 0.05 %", "multiplied by 1.0005"),
        ("a mean that forgets to divide", "The factor 12 is a length"),
        ("a square that counts once", "A factor of 2: an input that is used twice, or a square?"),
        ("the sign of a quotient", "The sign is wrong."),
        ("one input forgotten", "Nothing arrives: the result was detached, or an axis got lost."),
        ("a sum that spreads along the wrong axis", "the gradient is transposed."),
    ],
)
def test_the_ratio_is_interpreted(name: str, hint: str) -> None:
    assert hint in report(named(name).wrong, *named(name).inputs).text


def test_the_worst_element_is_named() -> None:
    @op(lambda xp, g, y, x: g * xp.where(x == 6, 2.5, 1.0))
    def one_wrong(xp, x):
        return x * 1

    x = tg.tensor(np.arange(12.0).reshape(3, 4))
    found = report(one_wrong, x)
    assert (found.ok, found.input, found.index, found.kink) == (False, "input 0", (1, 2), False)
    assert found.ratio == pytest.approx(2.5)
    assert found.analytic / found.numeric == pytest.approx(2.5)
    lines = found.text.splitlines()
    assert lines[0] == "gradcheck: input 0 of one_wrong is wrong at [1, 2]"
    assert lines[1].split() == [
        "analytic", f"{found.analytic:.6g}", "numeric", f"{found.numeric:.6g}", "ratio", "2.50",
    ]  # fmt: skip
    assert "largest of 12 elements; 1 of 12 disagree; no kink here" in lines[2]


def test_a_mistake_in_the_second_order_names_the_gradient() -> None:
    pair = named("wrong only in the second derivative")
    text = report(pair.wrong, *pair.inputs, order=2).text
    assert "input 0 of the gradient of cube is wrong at" in text


def test_the_input_that_is_wrong_is_named() -> None:
    @op(lambda xp, g, y, a, b: g * b, lambda xp, g, y, a, b: g * a * 2)
    def product(xp, a, b):
        return a * b

    labels = tg.tensor([1, 2])
    found = report(lambda n, a, b: product(a, b) + n, labels, of(2), of(2))
    assert found.input == "input 2"


def test_bars_tell_a_wrong_rule_from_a_bad_step() -> None:
    wrong = report(named("off by 0.05 %").wrong, of(3))
    assert "flat: the derivative is wrong" in wrong.text
    assert len(wrong.curve) == 7
    fast = report(lambda x: ops.sin(1e5 * x), of(3))
    assert "a V with a low bottom: the derivative is right" in fast.text
    noisy = report(lambda x: x.float().double(), tg.tensor(np.array([0.1234567])))
    assert "growing: f is noisy, or computes in float32" in noisy.text
    gradcheck(lambda x: ops.sin(1e5 * x), of(3), h=1e-8)


def test_a_point_outside_the_domain_is_said() -> None:
    text = report(ops.sqrt, tg.tensor(np.array([4.0, 0.0]))).text
    assert "is wrong at [1]" in text
    assert "f is not finite around this point" in text


def test_the_cotangent_and_its_seed_are_shown() -> None:
    found = report(named("off by 0.05 %").wrong, of(2), seed=3)
    c = np.random.default_rng(3).standard_normal(2)
    assert "cotangent, from seed 3: [" in found.text
    assert all(f"{number:.4f}" in found.text for number in c)


def test_a_report_of_success_counts_what_it_compared() -> None:
    found = gradcheck(ops.exp, of(2, 3))
    assert found.ok
    worst = max(abs(slope.analytic - slope.numeric) for slope in found.slopes)
    assert len(found.slopes) == 6 and worst < 1e-9
    assert found.text == (
        f"gradcheck: exp agrees, 6 slopes compared; the largest disagreement is {worst:.1e}."
    )


def test_kinks_are_counted_apart() -> None:
    found = gradcheck(ops.relu, tg.tensor(np.array([0.0, 1.0, -1.0, 0.0])))
    assert "; 2 at a kink, between the slopes of its sides." in found.text
    found = gradcheck(ops.relu, tg.tensor(np.array([0.0])))
    assert found.text == (
        "gradcheck: relu agrees, 1 slope compared; 1 at a kink, between the slopes of its sides."
    )


def test_a_report_holds_the_slopes_of_all_inputs() -> None:
    found = report(named("the sign of a quotient").wrong, of(3), of(3) + 5)
    assert [(slope.input, slope.index) for slope in found.slopes] == [
        (i, (k,)) for i in range(2) for k in range(3)
    ]
    assert [slope.excess > 1 for slope in found.slopes] == [False] * 3 + [True] * 3


# ---- large inputs -----------------------------------------------------------------------------


def test_large_inputs_are_checked_along_random_directions() -> None:
    x = tg.tensor(np.random.default_rng(0).standard_normal((40, 50)))
    assert "10 slopes compared" in gradcheck(ops.softmax, x).text
    found = report(named("softmax times -7").wrong, x)
    assert "along a random direction" in found.text
    assert "of 10 directions" in found.text
    assert found.index == ()


# ---- before the numbers -----------------------------------------------------------------------


def test_float32_is_refused() -> None:
    with pytest.raises(TypeError) as error:
        gradcheck(ops.exp, tg.tensor([1.0]))
    assert str(error.value) == (
        "gradcheck: input 0 is float32. Differences need float64: in float32 their noise, about "
        "1e-3, hides the errors that it looks for."
    )


def test_a_function_that_leaves_float64_is_refused() -> None:
    with pytest.raises(GradcheckError, match="output 0 of <lambda> is float32, though"):
        gradcheck(lambda x: x.float(), of(2))


def test_a_random_function_is_noticed() -> None:
    def noisy(x: Tensor) -> Tensor:
        return x * tg.rand(2, dtype=np.float64)

    with pytest.raises(GradcheckError, match=r"noisy is random: it gave two answers\. Dropout\?"):
        gradcheck(noisy, of(2))


def test_a_function_that_changes_its_input_is_noticed() -> None:
    def careless(x: Tensor) -> Tensor:
        y = x * 2
        x.data[...] = 0.5
        return y

    with pytest.raises(GradcheckError, match="careless changes its input 0"):
        gradcheck(careless, of(2))


def test_a_function_without_floats_is_said() -> None:
    with pytest.raises(GradcheckError, match="gives no floats"):
        gradcheck(lambda x: x > 0, of(2))
    with pytest.raises(TypeError, match="no input is a tensor of floats"):
        gradcheck(lambda n: n, tg.tensor([1]))


def test_only_the_inputs_that_require_a_gradient_are_checked_where_some_do() -> None:
    @op(lambda xp, g, y, a, b: g * b, lambda xp, g, y, a, b: g * 7)
    def half_right(xp, a, b):
        return a * b

    a, b = of(2), of(2)
    assert not report(half_right, a, b).ok
    gradcheck(half_right, a.requires_grad_(), b)
    assert a.grad is None and b.grad is None


def test_outputs_that_are_no_floats_are_left_out() -> None:
    gradcheck(lambda x: (x * x, x > 0, x.sum()), of(3), order=2)


def test_a_detached_result_is_an_error_with_a_hint() -> None:
    found = report(lambda x: x.detach() * 2, of(3))
    assert "Nothing arrives: the result was detached" in found.text
    assert found.ratio == 0


def test_the_report_is_returned_or_raised() -> None:
    wrong = named("off by 0.05 %").wrong
    with pytest.raises(AssertionError) as error:
        gradcheck(wrong, of(2))
    assert str(error.value).startswith("gradcheck: input 0 of cube is wrong at")
    assert not gradcheck(wrong, of(2), raise_exception=False).ok
    assert not gradgradcheck(wrong, of(2), raise_exception=False).ok


def test_the_tolerance_is_relative_and_absolute() -> None:
    wrong = named("off by 0.05 %").wrong
    gradcheck(wrong, of(2), rtol=1e-3)
    gradcheck(wrong, of(2), atol=1.0)
