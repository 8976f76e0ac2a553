"""Learning rate schedulers under PyTorch's names, each a thin driver around its closed form.

A scheduler is built after its optimizer and steps after it: optimizer.step(), scheduler.step().

    StepLR, MultiStepLR, ConstantLR, LinearLR, ExponentialLR, PolynomialLR    closed_forms
    CosineAnnealingLR, CosineAnnealingWarmRestarts, SWALR                     annealing
    CyclicLR, OneCycleLR, which move momentum too                             cyclic, one_cycle
    LambdaLR, MultiplicativeLR                                                lambdas
    ReduceLROnPlateau, which listens to a metric                              plateau
    SequentialLR, ChainedScheduler                                            containers
    ScheduleLR for `warmup(100) >> cosine(900)`, HyperparameterScheduler      lambdas, ours
"""

from .annealing import SWALR, CosineAnnealingLR, CosineAnnealingWarmRestarts
from .closed_forms import (
    ConstantLR,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from .containers import ChainedScheduler, SequentialLR
from .cyclic import CyclicLR
from .driver import LRScheduler
from .lambdas import HyperparameterScheduler, LambdaLR, MultiplicativeLR, ScheduleLR
from .names import get_scheduler
from .one_cycle import OneCycleLR
from .plateau import ReduceLROnPlateau

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "HyperparameterScheduler",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SWALR",
    "ScheduleLR",
    "SequentialLR",
    "StepLR",
    "get_scheduler",
]
