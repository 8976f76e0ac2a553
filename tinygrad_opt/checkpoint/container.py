"""Named arrays and a text in one file: .npz, or .safetensors where its package is installed.

A file is written beside its place and then moved there, so that there is always a whole one. What
is read is trusted with nothing: sizes are compared with the file's before memory is taken, nothing
is unpickled, and a checksum (SHA-256) over all names, shapes and bytes has to be right.

Order: writing · reading · .npz · .safetensors.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..whole_file import check_readable, put
from .tree import KINDS, Arrays

TEXT, SUM = "meta.json", "sha256"  # beside the arrays, in both kinds of file


class CheckpointError(ValueError):
    """A file that is no checkpoint, is damaged, or was written by a newer version."""


class NewerVersion(CheckpointError):
    """A file that a newer version of this package can read."""


# ---- writing ----------------------------------------------------------------------------------


def write(path: Path, arrays: Arrays, text: str) -> None:
    """Put a whole file in its place, or leave what was there; OSError, as a sentence."""
    content = _kind(path)[0](arrays, text, _checksum(arrays, text))
    try:
        put(path, content)
    except OSError as error:
        kept = "What was there before is untouched." if path.exists() else "Nothing was written."
        raise OSError(
            f"save: cannot write {path}: {error.strerror or error}. {kept} Make room, or name a "
            "folder that exists and that you may write into."
        ) from None


def _checksum(arrays: Arrays, text: str) -> str:
    sum_ = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        sum_.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        sum_.update(np.asarray(array, order="C").reshape(-1).view(np.uint8).data)
    return sum_.hexdigest()


# ---- reading ----------------------------------------------------------------------------------


def read(path: Path) -> tuple[Arrays, str | None]:
    """All arrays and the text, which is None in a file of somebody else's.

    CheckpointError for a file that is damaged or no such file; OSError where it cannot be read.
    """
    reader = _kind(path)[1]
    try:
        check_readable(path)
        content = path.read_bytes()
    except OSError as error:
        raise type(error)(
            f"load: cannot read {path}: {error.strerror or error}. Name a file that exists."
        ) from None
    try:
        arrays, text, sum_ = reader(content)
    except (MemoryError, ImportError):
        raise
    except UnicodeDecodeError:
        raise CheckpointError(
            f"load: {path} is damaged: what should be text in it is none. Take an older one."
        ) from None
    except Exception as error:
        reason = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
        raise CheckpointError(
            f"load: {path} is damaged, or is no {path.suffix} file: {reason}. Take an older one."
        ) from None
    if text is not None and sum_ != _checksum(arrays, text):
        raise CheckpointError(
            f"load: {path} is damaged: its checksum is not that of what it holds. Take an older "
            "one."
        )
    return arrays, text


Writer = Callable[[Arrays, str, str], bytes]
Reader = Callable[[bytes], tuple[Arrays, str | None, str | None]]


def _kind(path: Path) -> tuple[Writer, Reader]:
    kinds = {".npz": (_to_npz, _from_npz), ".safetensors": (_to_safetensors, _from_safetensors)}
    if path.suffix not in kinds:
        raise ValueError(f"{path} is no .npz and no .safetensors; end the name in one of them.")
    return kinds[path.suffix]


# ---- .npz: a ZIP file, nothing compressed, each array as NumPy writes it -------------------------


def _to_npz(arrays: Arrays, text: str, sum_: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in ((TEXT, text), (SUM, sum_)):
            archive.writestr(zipfile.ZipInfo(name), content)  # of 1980: the same bytes each time
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return file.getvalue()


def _from_npz(content: bytes) -> tuple[Arrays, str | None, str | None]:
    arrays: Arrays = {}
    texts: dict[str, str] = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in _members(archive, len(content)):
            with archive.open(member) as file:
                if member.filename in (TEXT, SUM):
                    texts[member.filename] = file.read().decode()
                elif member.filename.endswith(".npy"):
                    arrays[member.filename.removesuffix(".npy")] = _array(file, member.file_size)
                else:
                    raise ValueError(f"it holds {member.filename!r}, which is no array")
    return arrays, texts.get(TEXT), texts.get(SUM)


def _members(archive: zipfile.ZipFile, size: int) -> Iterator[zipfile.ZipInfo]:
    members = archive.infolist()
    if len({member.filename for member in members}) < len(members):
        raise ValueError("it holds two things of one name")
    if any(m.compress_type != zipfile.ZIP_STORED for m in members):
        raise ValueError("it is compressed, and may grow without end; write it with np.savez")
    if sum(member.file_size for member in members) > size:
        raise ValueError("it says to be larger than it is")
    yield from members


HEADER = re.compile(  # a Python literal, which NumPy evaluates
    r"\{'descr': *'([^'\\]*)', *'fortran_order': *(False|True), *"
    r"'shape': *\(((?:[0-9]+, *)*[0-9]*)\),? *\} *\n?"
)


def _array(file: Any, size: int) -> np.ndarray[Any, Any]:
    version = np.lib.format.read_magic(file)
    if version > (3, 0):
        raise ValueError(f"an array in it is of NumPy's format {version[0]}, a newer one")
    length = int.from_bytes(file.read(2 if version == (1, 0) else 4), "little")
    header = HEADER.fullmatch(file.read(length).decode("latin-1"))
    if header is None:
        raise ValueError("an array in it has no header of NumPy's, or one of fields")
    kind, by_columns, axes = header[1], header[2] == "True", header[3].replace(",", " ").split()
    if not re.fullmatch(f"[<>|=]?[{KINDS}][0-9]+", kind):
        raise ValueError(f"it holds an array of {kind[:20]}, which is no number")
    dtype, shape = np.dtype(kind), tuple(map(int, axes))
    if math.prod(shape) * dtype.itemsize != size - file.tell():
        raise ValueError(f"an array of shape {shape} says to be larger or smaller than it is")
    flat = np.frombuffer(bytearray(file.read()), dtype)
    array = flat.reshape(shape[::-1]).T if by_columns else flat.reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


# ---- .safetensors -----------------------------------------------------------------------------

DTYPES = {"BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4"}
DTYPES |= {"I32": "<i4", "U64": "<u8", "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8"}
DTYPES |= {"C64": "<c8"}


def _safetensors() -> Any:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError:
        raise ImportError(
            "a .safetensors file needs its package: pip install 'tinygrad-opt[safetensors]'. A "
            ".npz file needs none."
        ) from None
    return safetensors


def _to_safetensors(arrays: Arrays, text: str, sum_: str) -> bytes:
    for name, array in arrays.items():
        if array.dtype not in map(np.dtype, DTYPES.values()):
            raise TypeError(
                f"save: {name} is {array.dtype}, which no .safetensors file holds; .npz does."
            )
    content: bytes = _safetensors().numpy.save(arrays, metadata={TEXT: text, SUM: sum_})
    return content


def _from_safetensors(content: bytes) -> tuple[Arrays, str | None, str | None]:
    found = dict(_safetensors().deserialize(content))
    arrays = {name: _tensor(name, one) for name, one in found.items()}
    length = int.from_bytes(content[:8], "little")
    said = json.loads(content[8 : 8 + length]).get("__metadata__") or {}
    if (TEXT in said) != (SUM in said):
        raise ValueError("its text or its checksum is missing")
    return arrays, said.get(TEXT), said.get(SUM)


def _tensor(name: str, one: dict[str, Any]) -> np.ndarray[Any, Any]:
    data, shape = one["data"], one["shape"]
    if one["dtype"] == "BF16":  # the upper half of a float32
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32).reshape(shape)
    if one["dtype"] not in DTYPES:
        raise ValueError(f"{name} is of {one['dtype']}, which NumPy does not know")
    return np.frombuffer(data, DTYPES[one["dtype"]]).reshape(shape)
