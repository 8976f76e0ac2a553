"""Rules that wait where their step disagrees with the gradient."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.helpers import host
from tinygrad_opt import tensor
from tinygrad_opt.optim import SGD, AdamW, CautiousAdamW, CautiousLion, cautious


class CautiousSGD(SGD):
    """Any rule can be made so."""

    scope = "tensor"
    rule = cautious(SGD.rule)


def steps(kind: Any, *gradients: Any, **options: Any) -> Any:
    w = tensor(np.ones(np.shape(gradients[0])), requires_grad=True)
    optimizer = kind([w], **options)
    for g in gradients:
        w.grad = tensor(np.array(g, float))
        optimizer.step()
    return host(w)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_mask_is_that_of_momentum_and_gradient(dtype: str) -> None:
    """The form of the authors' code: m is masked and rescaled, and v is not."""
    rng = np.random.default_rng(0)
    m = v = np.zeros((4, 3))
    p = rng.standard_normal((4, 3))
    w = tensor(p.astype(dtype), requires_grad=True)
    optimizer = CautiousAdamW([w], lr=0.01, weight_decay=0.1)
    for t in range(1, 13):
        g = rng.standard_normal((4, 3))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        mask = (m * g > 0) / max((m * g > 0).mean(), 1e-3)
        size = np.sqrt(v / (1 - 0.999**t)) + 1e-8
        p = p * (1 - 0.01 * 0.1) - 0.01 * mask * m / (1 - 0.9**t) / size
        w.grad = tensor(g.astype(dtype))
        optimizer.step()
    assert w.dtype == dtype
    np.testing.assert_allclose(host(w), p, rtol=1e-5 if dtype == "float32" else 1e-12)


def test_where_all_agree_it_is_the_rule() -> None:
    gradients = [[1.0, -2.0], [0.5, -0.5], [2.0, -1.0]]
    np.testing.assert_allclose(
        steps(CautiousAdamW, *gradients, lr=0.1), steps(AdamW, *gradients, lr=0.1), rtol=1e-14
    )


def test_what_disagrees_waits_and_the_others_make_up_for_it() -> None:
    gradients = ([10.0, 10.0, 10.0], [10.0, -1.0, 0.0])
    found = steps(CautiousSGD, *gradients, lr=0.1, momentum=0.9)
    plain = steps(SGD, *gradients, lr=0.1, momentum=0.9)
    assert found[1:].tolist() == [0.0, 0.0], "the second step is left out"
    assert found[0] == pytest.approx(3 * plain[0])


def test_where_none_agree_only_decay_is_left() -> None:
    found = steps(CautiousAdamW, [10.0], [-1.0], lr=0.1, weight_decay=0.5)
    assert found[0] == pytest.approx((1 * 0.95 - 0.1) * 0.95)


def test_shapes_copies_and_recording() -> None:
    empty, one = (tensor(np.ones(s), requires_grad=True) for s in [(0, 2), ()])
    optimizer = CautiousLion([empty, one], lr=0.25)
    for duplicate in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        params = list(duplicate.parameters())
        for p in params:
            p.grad = tensor(np.ones(p.shape))
        duplicate.step()
        assert params[1].item() == 0.75
    rate, w = tg.tensor(0.1, requires_grad=True), tg.tensor([1.0, 2.0], requires_grad=True)
    recorded = CautiousSGD([w], lr=rate, differentiable=True)
    w.grad = tg.grad((w * w).sum(), w, create_graph=True)
    recorded.step()
    assert tg.grad(w.sum(), rate).item() == pytest.approx(-6.0)
