"""Optimizers: rules that move parameters against their gradients, and schedules for their rates.

optimizer = Adam(model.parameters(), lr=1e-3)
scheduler = lr_scheduler.ScheduleLR(optimizer, warmup(100) >> cosine(900))

optimizer.zero_grad(); loss.backward(); optimizer.step(); scheduler.step()
"""

from . import lr_scheduler, schedules
from .adam import Adam, AdamW
from .adam_denominator import ADOPT, AdaBelief, Yogi
from .adam_numerator import MARS, Adan, AdEMAMix
from .adam_relatives import Adamax, NAdam, RAdam, SparseAdam
from .adaptive import FTRL, Adadelta, Adagrad, RMSprop
from .averaging import (
    EMA,
    SWA,
    AveragedModel,
    PolyakAverage,
    get_ema_avg_fn,
    get_ema_multi_avg_fn,
    get_swa_avg_fn,
    get_swa_multi_avg_fn,
)
from .batch_statistics import update_bn
from .cautious import CautiousAdamW, CautiousLion, cautious
from .clip import (
    adaptive_clip_,
    add_noise_,
    before_step,
    centralize_,
    clip_each_grad_norm_,
    clip_grad_norm_,
    clip_grad_value_,
    normalize_,
    zero_nans_,
)
from .gradient_descent import ASGD, SGD, SGLD, PolyakStep
from .kronecker import SOAP, Shampoo
from .layer_groups import layer_groups
from .layerwise import LAMB, LARS, Adafactor, NovoGrad
from .lbfgs import LBFGS
from .lr_scheduler import HyperparameterScheduler, get_scheduler
from .matrix import Muon
from .momentum import QHM, AggMo, OptimisticGD
from .multi_optimizer import MultiOptimizer, split_matrices
from .optimizer import Optimizer
from .parameter_free import DAdaptAdam, DAdaptSGD, Prodigy
from .registry import OPTIMIZERS, Entry, get_optimizer
from .regularization import (
    after_step,
    decay_groups,
    elastic_net_,
    l1_,
    l2_,
    max_norm_,
    proximal_l1_,
)
from .schedule_free import AdamWScheduleFree, SGDScheduleFree
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
    noam,
    one_cycle,
    one_minus_sqrt,
    parse,
    piecewise,
    polynomial,
    restarts,
    rex,
    step,
    triangle,
    warmup,
    wsd,
)
from .second_order import ConjugateGradient, Newton
from .sharpness import ASAM, SAM
from .sign import Lion, Rprop, SignSGD, Signum, Tiger
from .sophia import SophiaG, SophiaH
from .wrappers import Accumulate, Lookahead, SkipNonFinite

__all__ = [
    "ADOPT",
    "ASAM",
    "ASGD",
    "Accumulate",
    "AdEMAMix",
    "AdaBelief",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "AdamWScheduleFree",
    "Adamax",
    "Adan",
    "AggMo",
    "AveragedModel",
    "ConjugateGradient",
    "DAdaptAdam",
    "DAdaptSGD",
    "EMA",
    "CautiousAdamW",
    "CautiousLion",
    "Entry",
    "FTRL",
    "HyperparameterScheduler",
    "LAMB",
    "LARS",
    "LBFGS",
    "Lion",
    "Lookahead",
    "MARS",
    "MultiOptimizer",
    "Muon",
    "NAdam",
    "Newton",
    "NovoGrad",
    "OPTIMIZERS",
    "OptimisticGD",
    "Optimizer",
    "PolyakAverage",
    "PolyakStep",
    "Prodigy",
    "QHM",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SAM",
    "SCHEDULES",
    "SGD",
    "SGDScheduleFree",
    "SGLD",
    "SOAP",
    "SWA",
    "Schedule",
    "Shampoo",
    "SignSGD",
    "Signum",
    "SkipNonFinite",
    "SophiaG",
    "SophiaH",
    "SparseAdam",
    "Tiger",
    "Yogi",
    "adaptive_clip_",
    "add_noise_",
    "after_step",
    "before_step",
    "cautious",
    "centralize_",
    "clip_each_grad_norm_",
    "clip_grad_norm_",
    "clip_grad_value_",
    "constant",
    "cosine",
    "decay_groups",
    "elastic_net_",
    "every",
    "exponential",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_optimizer",
    "get_scheduler",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "inverse_sqrt",
    "l1_",
    "l2_",
    "layer_groups",
    "linear",
    "lr_scheduler",
    "max_norm_",
    "milestones",
    "noam",
    "normalize_",
    "one_cycle",
    "one_minus_sqrt",
    "parse",
    "piecewise",
    "polynomial",
    "proximal_l1_",
    "restarts",
    "rex",
    "schedules",
    "split_matrices",
    "step",
    "triangle",
    "update_bn",
    "warmup",
    "wsd",
    "zero_nans_",
]
