"""tinygrad_opt: a small Tensor with reverse-mode autograd, layers, and the optimizers on top.

    import tinygrad_opt as tg

    model = tg.nn.Linear(1, 1)
    optimizer = tg.optim.Adam(model.parameters(), lr=0.1)

Operations carry NumPy's names; `nn`, `optim` and `optim.lr_scheduler` carry PyTorch's.
"""

from . import data, nn, optim
from .autograd import grad
from .creation import *
from .device import Device, DeviceError, default_device, use_device
from .operation import enable_grad, fused, is_grad_enabled, no_grad, op
from .ops import *
from .tensor import Tensor

__version__ = "0.1.0"
