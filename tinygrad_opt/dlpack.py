"""One memory in two libraries: DLPack, the protocol of NumPy, CuPy, PyTorch and JAX.

Nothing is copied: what one side writes the other reads. No graph comes along, and nobody notices
a change made elsewhere, so write from outside before the forward pass.

Order: in · out.
"""

from __future__ import annotations

from typing import Any

from .device import Device, DeviceError

CPU, CUDA, PINNED, MANAGED = 1, 2, 3, 13  # the protocol's numbers for kinds of memory
FOREIGN = {4: "OpenCL", 7: "Vulkan", 8: "Metal", 10: "ROCm", 14: "oneAPI", 15: "WebGPU"}


def array_of(x: Any) -> Any:
    """The raw array, of NumPy or CuPy, that shows the memory of an array of any library.

    TypeError for what does not speak DLPack; DeviceError for memory that neither NumPy nor CuPy
    reaches; BufferError for what its owner does not give away or no dtype of ours can show.
    """
    if not hasattr(x, "__dlpack_device__"):
        raise TypeError(
            f"from_dlpack: a {type(x).__name__} does not share its memory. Copy it: tensor(...)."
        )
    kind, index = map(int, x.__dlpack_device__())
    if kind not in (CPU, CUDA, PINNED, MANAGED):
        raise DeviceError(
            f"from_dlpack: the array is in {FOREIGN.get(kind, 'foreign')} memory; tensors are on "
            "the CPU or on CUDA devices. Move it to the CPU first, in its own library."
        )
    device = Device(f"cuda:{index}" if kind in (CUDA, MANAGED) else "cpu")
    try:
        with device.activate():
            return device.xp.from_dlpack(x)
    except (BufferError, RuntimeError, TypeError, NotImplementedError) as error:
        text = " ".join(str(error).split()).rstrip(".")
        raise BufferError(
            f"from_dlpack: the {type(x).__name__} cannot be shared: {text}. Copy it instead, as a "
            "NumPy array: tensor(...)."
        ) from None


def capsule_of(t: Any, **how: Any) -> Any:
    """What `Tensor.__dlpack__` hands out: the memory of a tensor, in the protocol's wrapping.

    BufferError for a tensor that requires a gradient, for one with an axis that runs backwards
    (PyTorch crashes on it), and for read-only memory where the other side cannot be told.
    """
    if t.requires_grad:
        raise BufferError(
            "dlpack: the tensor requires a gradient, and its graph would be lost. Write t.detach()."
        )
    if any(stride < 0 for stride in t._data.strides):
        raise BufferError(
            "dlpack: an axis of the tensor runs backwards, as in x[::-1], which not every library "
            "can show. Write t.clone()."
        )
    try:
        return t._data.__dlpack__(**how)
    except BufferError as error:
        text = " ".join(str(error).split()).rstrip(".")
        if "read" in text:
            text = "the tensor is read-only, which this library cannot be told. Write t.clone()"
        raise BufferError(f"dlpack: {text}.") from None
