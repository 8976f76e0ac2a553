"""Every row of the table of dialects runs: where numbers part, and whose they are."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tinygrad_opt.teach.dialects import START, STEPS, TABLE, dialects, our_path

pytestmark = pytest.mark.on("cpu")

# rule, whose: the step at which numbers leave ours, at a constant rate and at one that falls
PARTS = {
    ("momentum", "PyTorch"): (None, None),
    ("momentum", "paper"): (None, 7),
    ("momentum", "Keras"): (None, 7),
    ("momentum", "optax"): (None, None),
    ("momentum", "MLX"): (None, None),
    ("nesterov", "PyTorch"): (None, None),
    ("nesterov", "Keras"): (None, 7),
    ("nesterov", "optax"): (None, None),
    ("nesterov", "MLX"): (None, None),
    ("adagrad", "PyTorch"): (None, None),
    ("adagrad", "paper"): (1, 1),
    ("adagrad", "Keras"): (1, 1),
    ("adagrad", "optax"): (1, 1),
    ("adagrad", "MLX"): (None, None),
    ("rmsprop", "PyTorch"): (None, None),
    ("rmsprop", "paper"): (1, 1),
    ("rmsprop", "Keras"): (1, 1),
    ("rmsprop", "optax"): (1, 1),
    ("rmsprop", "MLX"): (None, None),
    ("adam", "PyTorch"): (None, None),
    ("adam", "paper"): (None, None),
    ("adam", "Keras"): (1, 1),
    ("adam", "optax"): (None, None),
    ("adam", "MLX"): (1, 1),
    ("adamw", "PyTorch"): (None, None),
    ("adamw", "paper"): (1, 1),
    ("adamw", "Keras"): (1, 1),
    ("adamw", "optax"): (None, None),
    ("adamw", "MLX"): (1, 1),
    ("adamax", "PyTorch"): (None, None),
    ("adamax", "paper"): (1, 1),
    ("adamax", "Keras"): (2, 2),
    ("adamax", "optax"): (None, None),
    ("adamax", "MLX"): (1, 1),
    ("nadam", "PyTorch"): (None, None),
    ("nadam", "Keras"): (1, 1),
    ("nadam", "optax"): (1, 1),
}
ROWS = [(rule, one) for rule, (_, entries) in TABLE.items() for one in entries]


@pytest.mark.parametrize("rule", TABLE)
def test_numbers_part_where_the_table_says(rule):
    rows = dialects(rule).rows
    assert rows[0].who == "ours"
    found = {(rule, row.who): (row.parts_at, row.parts_when_lr_falls) for row in rows[1:]}
    assert found == {key: value for key, value in PARTS.items() if key[0] == rule}
    for row in rows[1:]:
        assert (row.apart > 1e-12) == (row.parts_at is not None)


def test_who_writes_as_we_do_has_our_numbers():
    for rule, entries in TABLE.items():
        for row in dialects(rule).rows[1:]:
            if row.differs == "as ours":
                assert row.parts_at is row.parts_when_lr_falls is None, (rule, row.who)
        assert entries[1][0].who == "PyTorch"


def test_options_make_differences_large():
    small, large = dialects("adam").rows[3], dialects("adam", eps=1e-2).rows[3]
    assert small.who == large.who == "Keras"
    assert large.apart > 1e4 * small.apart
    assert dialects("momentum", dampening=0.5).rows[5].parts_at == 1  # MLX dampens g₁


def test_it_prints_formulas_and_where_they_part():
    text = str(dialects("Adam"))
    assert text.startswith(
        "adam, all with lr 0.1, beta1 0.9, beta2 0.999, eps 1e-08, on w² from 3:"
    )
    assert "  MLX      p ← p − η m / (√v + ε)\n" in text
    assert "no bias correction unless it is asked for: apart from step 1 on, by " in text
    assert "the same until the rate falls, apart from step 7 on" in str(dialects("momentum"))


def test_what_is_not_there_is_said():
    with pytest.raises(ValueError, match=r"no entry for 'adan'. Did you mean 'adam'"):
        dialects("adan")
    with pytest.raises(ValueError, match="adam has no rho here; its options are lr, beta1"):
        dialects("adam", rho=1.0)


# ---- the frameworks themselves ----------------------------------------------------------------


def close(path, other):
    np.testing.assert_allclose(path, other, rtol=1e-11, atol=1e-11)


def row(rule, who):
    options, entries = TABLE[rule]
    options = options | ({"eps": 1e-2} if "eps" in options else {})  # so that its place is seen
    return options, next(one for one in entries if one.who == who)


def walk(step):
    p, points = START, []
    for _ in range(STEPS):
        p = float(step(p, 2 * p))
        points.append(p)
    return points


@pytest.mark.oracle
@pytest.mark.parametrize("rule", TABLE)
def test_pytorch_is_as_its_rows_say(rule):
    import torch

    o, one = row(rule, "PyTorch")
    betas = (o.get("beta1"), o.get("beta2"))
    make = {
        "momentum": lambda w: torch.optim.SGD(w, o["lr"], 0.9),
        "nesterov": lambda w: torch.optim.SGD(w, o["lr"], 0.9, nesterov=True),
        "adagrad": lambda w: torch.optim.Adagrad(w, o["lr"], eps=o["eps"]),
        "rmsprop": lambda w: torch.optim.RMSprop(w, o["lr"], o["alpha"], o["eps"]),
        "adam": lambda w: torch.optim.Adam(w, o["lr"], betas, o["eps"]),
        "adamw": lambda w: torch.optim.AdamW(w, o["lr"], betas, o["eps"], 0.01),
        "adamax": lambda w: torch.optim.Adamax(w, o["lr"], betas, o["eps"]),
        "nadam": lambda w: torch.optim.NAdam(w, o["lr"], betas, o["eps"], momentum_decay=0.004),
    }
    w = torch.tensor([START], dtype=torch.float64, requires_grad=True)
    optimizer = make[rule]([w])
    points = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()
        points.append(w.item())
    near = 1e-8 if rule == "nadam" else 1e-11  # PyTorch keeps Π in float32
    np.testing.assert_allclose(one.path(o), points, rtol=near)
    np.testing.assert_allclose(our_path(rule, o), points, rtol=near)


@pytest.mark.oracle
@pytest.mark.parametrize("rule", TABLE)
def test_optax_is_as_its_rows_say(rule):
    import jax
    import optax

    o, one = row(rule, "optax")
    betas = (o.get("beta1"), o.get("beta2"))
    make = {
        "momentum": lambda: optax.sgd(o["lr"], 0.9),
        "nesterov": lambda: optax.sgd(o["lr"], 0.9, nesterov=True),
        "adagrad": lambda: optax.adagrad(o["lr"], eps=o["eps"]),
        "rmsprop": lambda: optax.rmsprop(o["lr"], o["alpha"], o["eps"]),
        "adam": lambda: optax.adam(o["lr"], *betas, o["eps"]),
        "adamw": lambda: optax.adamw(o["lr"], *betas, o["eps"], weight_decay=0.01),
        "adamax": lambda: optax.adamax(o["lr"], *betas, o["eps"]),
        "nadam": lambda: optax.nadam(o["lr"], *betas, o["eps"]),
    }
    with jax.enable_x64(True):
        optimizer = make[rule]()
        p = jax.numpy.asarray(START, dtype="float64")
        state, points = optimizer.init(p), []
        for _ in range(STEPS):
            updates, state = optimizer.update(2 * p, state, p)
            p = optax.apply_updates(p, updates)
            points.append(float(p))
    close(one.path(o), points)


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("rule", TABLE)
def test_keras_is_as_its_rows_say(rule):
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    o, one = row(rule, "Keras")
    k, betas = keras.optimizers, (o.get("beta1"), o.get("beta2"))
    make = {
        "momentum": lambda: k.SGD(o["lr"], 0.9),
        "nesterov": lambda: k.SGD(o["lr"], 0.9, nesterov=True),
        "adagrad": lambda: k.Adagrad(o["lr"], epsilon=o["eps"]),
        "rmsprop": lambda: k.RMSprop(o["lr"], o["alpha"], epsilon=o["eps"]),
        "adam": lambda: k.Adam(o["lr"], *betas, o["eps"]),
        "adamw": lambda: k.AdamW(o["lr"], 0.01, *betas, o["eps"]),
        "adamax": lambda: k.Adamax(o["lr"], *betas, o["eps"]),
        "nadam": lambda: k.Nadam(o["lr"], *betas, o["eps"]),
    }
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        w = keras.Variable(np.array([START]), dtype="float64")
        optimizer, points = make[rule](), []
        for _ in range(STEPS):
            now = keras.ops.convert_to_numpy(w)  # whatever it computes with
            optimizer.apply([keras.ops.convert_to_tensor(2 * now)], [w])
            points.append(keras.ops.convert_to_numpy(w).item())
    finally:
        keras.config.set_floatx(before)
    close(one.path(o), points)
