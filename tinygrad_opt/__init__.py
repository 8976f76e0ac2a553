"""tinygrad_opt: a small Tensor with reverse-mode autograd, layers, and the optimizers on top.

    import tinygrad_opt as tg

    model = tg.nn.Linear(1, 1)
    optimizer = tg.optim.Adam(model.parameters(), lr=0.1)

Operations carry NumPy's names; `nn`, `optim` and `optim.lr_scheduler` carry PyTorch's. `data`,
`teach`, `teach.lint`, `detect_anomaly`, `save` and `load` are loaded when they are first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

from . import nn, optim
from .autograd import grad
from .capture import capture
from .creation import *
from .derivatives import hessian, hvp, jacobian, jvp, value_and_grad, vjp
from .device import Device, DeviceError, OutOfMemory, default_device, use_device
from .gradcheck import gradcheck, gradgradcheck
from .kernels import use_kernels
from .nn.functional import dropout as _dropout
from .operation import enable_grad, fused, is_grad_enabled, no_grad, op
from .ops import *
from .profile import profile
from .tensor import Tensor

dropout = _dropout  # draws its mask; the operation of that name takes a ready one

if TYPE_CHECKING:
    from . import data, teach
    from .anomaly import AnomalyError, detect_anomaly
    from .checkpoint import CheckpointError, Checkpoints, load, save
    from .teach.lint import lint

__version__ = "0.1.0"

LAZY = {"AnomalyError": ".anomaly", "detect_anomaly": ".anomaly"}
LAZY |= dict.fromkeys(("CheckpointError", "Checkpoints", "load", "save"), ".checkpoint")


def __getattr__(name: str) -> Any:
    if name in ("data", "teach"):
        return importlib.import_module(f".{name}", __name__)
    if name == "lint":
        return importlib.import_module(".teach", __name__).lint
    if name in LAZY:
        return getattr(importlib.import_module(LAZY[name], __name__), name)
    raise AttributeError(f"module 'tinygrad_opt' has no attribute {name!r}")
