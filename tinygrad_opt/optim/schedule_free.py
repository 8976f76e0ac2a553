"""No schedule: a mean of the path does what a falling rate is for."""

# ruff: noqa: D102      a rule is explained by its class
# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Unpack

from ..operation import there
from .optimizer import Optimizer
from .options import AT_LEAST_0, BELOW_1, BETWEEN_0_AND_1, Allowed, Flags, plain
from .parameters import Params


class ScheduleFree(Optimizer):
    """What schedule-free rules share (Defazio et al. 2024, arXiv:2405.15682).

    There are three points: z takes the steps, x is the mean of its path, which is the result, and
    gradients are taken at y between them. The parameters hold y while training; `eval()` puts x
    there, to test and to save the model, and `train()` puts y back. RuntimeError for a step after
    `eval()`. Keras's is another rule, and Optax's leaves out the first z while warming up.
    """

    flags = ("maximize", "foreach")
    allowed = {
        "warmup_steps": AT_LEAST_0,
        "r": Allowed("a number", lambda x, _: x == x),
        "weight_lr_power": AT_LEAST_0,
    }
    counted = {  # in the group, under their authors' names
        "k": 0,
        "lr_max": -1.0,
        "scheduled_lr": 0.0,
        "weight_sum": 0.0,
        "c": 0.0,
        "train_mode": True,
    }

    def _step(self, closure: Callable[[], Any] | None = None) -> Any:
        if not all(group["train_mode"] for group in self.param_groups):
            raise RuntimeError(
                f"{type(self).__name__}.step: the parameters hold the mean of the path, which is "
                "for testing. Call optimizer.train() before training, optimizer.eval() after it."
            )
        return super()._step(closure)

    def _advance(self) -> None:
        for group in self.param_groups:
            if any(p.grad is not None for p in group["params"]):
                self._count(group)
        super()._advance()

    def _count(self, group: dict[str, Any]) -> None:
        """The rate η of this step, and the weight c of the next z in the mean x."""
        o = {name: plain(group[name]) for name in self.defaults}
        k = o["k"] + 1
        lr = o["lr"] * min(k / (o["warmup_steps"] or k), 1)
        lr_max = max(lr, o["lr_max"])
        weight = k ** o["r"] * lr_max ** o["weight_lr_power"]
        total = o["weight_sum"] + weight
        c = weight / total if total else 0.0
        group.update(k=k, scheduled_lr=lr, lr_max=lr_max, weight_sum=total, c=c)

    def eval(self) -> None:
        """Put the mean x into the parameters."""
        self._switch(False, lambda beta: 1 - 1 / beta)

    def train(self) -> None:
        """Put y, where gradients are taken, into the parameters."""
        self._switch(True, lambda beta: 1 - beta)

    def _switch(self, mode: bool, part: Callable[[float], float]) -> None:
        """Move the parameters a part of the way to z."""
        for group, storage in zip(self.param_groups, self._storages):
            if group["train_mode"] is not mode:
                group["train_mode"] = mode
                beta = plain(group["momentum"] if "momentum" in group else group["betas"][0])
                for p in group["params"]:
                    _, state = storage.entry(p)
                    if state:
                        p.data = there(p.device, towards, p._data, state["z"], part(beta))


def towards(x: Any, z: Any, part: float) -> Any:
    """The place after this part of the way to z."""
    return x + part * (z - x)


class SGDScheduleFree(ScheduleFree):
    """Schedule-free SGD (Defazio et al. 2024, arXiv:2405.15682).

        p ← p + c (z − p) − η (1 − β (1 − c)) g          = (1 − β) z + β x of the next z and x
        z ← z − η g
        c = w / Σ w,    w = tʳ η_maxᵠ

    p is y, and after `eval()` x, where x ← (1 − c) x + c z is the mean of the path of z. β is
    `momentum`, q `weight_lr_power`; η rises to `lr` in `warmup_steps`. With r = 0 and a constant η
    the mean is the plain one. Decay is added to g.
    """

    state = {"z": "z"}
    start = {"z": "p"}
    allowed = ScheduleFree.allowed | {"momentum": BETWEEN_0_AND_1}

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        momentum: float = 0.9,
        weight_decay: float = 0,
        warmup_steps: int = 0,
        r: float = 0.0,
        weight_lr_power: float = 2.0,
        **flags: Unpack[Flags],
    ) -> None:
        options = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "warmup_steps": warmup_steps,
            "r": r,
            "weight_lr_power": weight_lr_power,
        }
        super().__init__(params, options | self.counted, flags)

    @staticmethod
    def rule(xp, p, g, z, *, scheduled_lr, momentum, c):
        return between(p, z, g, scheduled_lr, momentum, c)


class AdamWScheduleFree(ScheduleFree):
    """Schedule-free AdamW (Defazio et al. 2024, arXiv:2405.15682, algorithm 1).

        v ← β₂ v + (1 − β₂) g²                           v̂ = v / (1 − β₂ᵗ)
        d = g / (√v̂ + ε) + λ p
        p ← p + c (z − p) − η (1 − β₁ (1 − c)) d         = (1 − β₁) z + β₁ x of the next z and x
        z ← z − η d
        c = w / Σ w,    w = tʳ η_maxᵠ

    As `SGDScheduleFree`, with Adam's denominator; momentum is in y. t is counted for the group.
    """

    state = {"z": "z", "v": "exp_avg_sq"}
    start = {"z": "p"}
    allowed = ScheduleFree.allowed | {"betas": (BETWEEN_0_AND_1, BELOW_1)}

    def __init__(
        self,
        params: Params,
        lr: float = 2.5e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        warmup_steps: int = 0,
        r: float = 0.0,
        weight_lr_power: float = 2.0,
        **flags: Unpack[Flags],
    ) -> None:
        options = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "warmup_steps": warmup_steps,
            "r": r,
            "weight_lr_power": weight_lr_power,
        }
        super().__init__(params, options | self.counted, flags)

    @staticmethod
    def rule(xp, p, g, z, v, *, k, scheduled_lr, betas, eps, weight_decay, c):
        beta1, beta2 = betas
        v = beta2 * v + (1 - beta2) * g**2
        v_hat = v / (1 - beta2**k)
        d = g / (xp.sqrt(v_hat) + eps) + weight_decay * p
        return *between(p, z, d, scheduled_lr, beta1, c), v


def between(y, z, d, lr, beta, c):
    """The next y and z, for a step of z along d."""
    return y + c * (z - y) - lr * (1 - beta * (1 - c)) * d, z - lr * d
