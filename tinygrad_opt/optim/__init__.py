"""Optimizers: rules that move parameters against their gradients, and schedules for their rates.

optimizer = Adam(model.parameters(), lr=1e-3)
scheduler = lr_scheduler.ScheduleLR(optimizer, warmup(100) >> cosine(900))

optimizer.zero_grad(); loss.backward(); optimizer.step(); scheduler.step()
"""

from . import lr_scheduler, schedules
from .adam import Adam, AdamW
from .adaptive import Adadelta, Adagrad, RMSprop
from .clip import before_step, clip_grad_norm_, clip_grad_value_
from .gradient_descent import SGD
from .optimizer import Optimizer
from .registry import OPTIMIZERS, Entry, get_optimizer
from .schedules import (
    SCHEDULES,
    Schedule,
    constant,
    cosine,
    every,
    exponential,
    inverse_sqrt,
    linear,
    milestones,
    one_minus_sqrt,
    parse,
    polynomial,
    rex,
    triangle,
    warmup,
)

__all__ = [
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Entry",
    "OPTIMIZERS",
    "Optimizer",
    "RMSprop",
    "SCHEDULES",
    "SGD",
    "Schedule",
    "before_step",
    "clip_grad_norm_",
    "clip_grad_value_",
    "constant",
    "cosine",
    "every",
    "exponential",
    "get_optimizer",
    "inverse_sqrt",
    "linear",
    "lr_scheduler",
    "milestones",
    "one_minus_sqrt",
    "parse",
    "polynomial",
    "rex",
    "schedules",
    "triangle",
    "warmup",
]
