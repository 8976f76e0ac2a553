"""JAX and optax: the whole step compiled into one program that reuses the memory of its inputs."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ..worker import Work
from ..workloads import Training, Update, batch_of, layers_of, parts_of
from . import processors


def facts() -> dict[str, Any]:
    """Versions, and the threads of its pool."""
    versions = {library.__name__: library.__version__ for library in (jax, optax)}
    return {"versions": versions, "threads": {"pool": processors("NPROC")}}


def train(task: Training) -> Work:
    """A training step; the losses are read once a block, which waits for the steps of the block."""
    network = task.network
    params = jax.tree.map(jnp.asarray, layers_of(network.sizes))
    x, y = map(jnp.asarray, batch_of(network))
    rule = {"SGD": optax.sgd, "Adam": optax.adam}[network.optimizer](task.lr)
    state = rule.init(params)

    def loss_of(params: Any, x: Any, y: Any) -> Any:
        *hidden, (weight, bias) = params
        for w, b in hidden:
            x = jax.nn.relu(x @ w.T + b)
        out = x @ weight.T + bias
        if network.loss == "MSELoss":
            return jnp.mean((out - y) ** 2)
        return optax.softmax_cross_entropy_with_integer_labels(out, y).mean()

    @partial(jax.jit, donate_argnums=(0, 1))
    def program(params: Any, state: Any, x: Any, y: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(params, x, y)
        updates, state = rule.update(gradients, state, params)
        return optax.apply_updates(params, updates), state, loss

    def step() -> Any:
        nonlocal params, state
        params, state, loss = program(params, state, x, y)
        return loss

    return Work(step, float)


def update(task: Update) -> Work:
    """A step of the optimizer alone."""
    params = [jnp.asarray(part) for part in parts_of(task.parameters, task.tensors)]
    rule = {
        "Adam": partial(optax.adam, task.lr),
        "momentum": partial(optax.sgd, task.lr, momentum=0.9),
    }[task.rule]()
    state = rule.init(params)

    @partial(jax.jit, donate_argnums=(0, 1))
    def program(params: Any, state: Any, gradients: Any) -> Any:
        updates, state = rule.update(gradients, state, params)
        return optax.apply_updates(params, updates), state

    for _ in range(2):
        gradients = [jnp.array(p) for p in params]  # a copy: the program reuses what it is given
        params, state = program(params, state, gradients)

    def step() -> None:
        nonlocal params, state
        params, state = program(params, state, gradients)

    return Work(
        step,
        lambda _: float(np.abs(np.array(params[0][:16])).sum()),
        lambda _: params[0].block_until_ready(),
    )
