"""IDX, the file format of MNIST, and the two data sets that come in it.

    0 0 | type, 8 = uint8 | number of axes | one big-endian uint32 for each axis | the values

Order: one file · the four files of a data set.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..whole_file import check_readable
from .dataset import Array, Dataset
from .download import MIRRORS, MNIST, cache_folder

LARGEST = 1 << 30  # bytes; a header that declares more is not believed
PIECE = 1 << 20

SOURCES = {
    "mnist": f"Run: tinygrad-opt data fetch mnist. Or download from {' or '.join(MIRRORS)}",
    "fashion_mnist": "Download from https://github.com/zalandoresearch/fashion-mnist",
}

FASHION = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def read_idx(path: str | Path) -> Array:
    """The uint8 array in an IDX file, raw or compressed (``.gz``).

    ValueError for another format, a header that declares more than 1 GiB, and a file that is
    shorter or longer than its header declares; OSError where it cannot be read.
    """
    path = Path(path)
    opened: Any = gzip.open if path.suffix == ".gz" else open
    try:
        check_readable(path)
        with opened(path, "rb") as file:
            return _parse(file, path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path}: damaged or incomplete ({error}). Fetch it again.") from None
    except OSError as error:
        reason = error.strerror or error
        raise type(error)(f"read_idx: {path} cannot be read: {reason}. Name a file.") from None


def _parse(file: IO[bytes], path: Path) -> Array:
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] != 8 or not 1 <= start[3] <= 4:
        raise ValueError(
            f"{path}: begins with {start.hex(' ') or 'nothing'}, not with 00 00 08 and a number of "
            "axes: this is no IDX file of bytes."
        )
    axes = file.read(4 * start[3])
    if len(axes) < 4 * start[3]:
        raise ValueError(f"{path}: ends inside its header. Fetch it again.")
    shape = struct.unpack(f">{start[3]}I", axes)
    size = math.prod(shape)
    if math.prod(filter(None, shape)) > LARGEST:
        raise ValueError(f"{path}: declares {size:,} bytes, {shape}, more than {LARGEST:,}.")
    values = _at_most(file, size + 1)
    if len(values) != size:
        found = "more" if len(values) > size else f"{len(values):,}"
        raise ValueError(
            f"{path}: declares {size:,} bytes, {shape}, and holds {found}. Fetch it again."
        )
    return np.frombuffer(values, np.uint8).reshape(shape)


def _at_most(file: IO[bytes], size: int) -> bytearray:
    """So many bytes, or what there is; memory is taken as they come."""
    found = bytearray()
    while piece := file.read(min(PIECE, size - len(found))):
        found += piece
    return found


# ---- the four files ---------------------------------------------------------------------------


def mnist(folder: str | Path | None = None) -> Dataset:
    """MNIST, 70,000 digits, the last 10,000 for test: from the cache folder or a folder of yours.

    Its four files may be compressed or raw. FileNotFoundError with the way to get them where one is
    missing; ValueError where one is not MNIST's in format, size or range of labels.
    """
    return _images("mnist", "Handwritten digits of 28×28 pixels.", tuple("0123456789"), folder)


def fashion_mnist(folder: str | Path | None = None) -> Dataset:
    """Fashion-MNIST, 70,000 pieces of clothing, the last 10,000 for test: from a folder of yours.

    No checksums are recorded for it, so nothing is fetched, and format, sizes and labels are all
    that is checked. Errors as for `mnist`.
    """
    return _images("fashion_mnist", "Clothing in 28×28 pixels.", FASHION, folder)


def _images(
    name: str, description: str, classes: tuple[str, ...], folder: str | Path | None
) -> Dataset:
    home = Path(folder).expanduser() if folder else cache_folder() / name
    x, y = [], []
    for part, n in (("train", 60_000), ("t10k", 10_000)):
        x.append(_checked(name, home, f"{part}-images-idx3-ubyte", (n, 28, 28)))
        y.append(_checked(name, home, f"{part}-labels-idx1-ubyte", (n,)))
    return Dataset(
        name,
        np.concatenate(x),
        np.concatenate(y).astype(np.int64),
        classes,
        description=description,
        image_shape=(28, 28),
        divide_by=255.0,
        published_test=10_000,
    )


def _checked(name: str, folder: Path, stem: str, shape: tuple[int, ...]) -> Array:
    """One of the four files, once it has the shape that it should have."""
    names = (stem, f"{stem}.gz", stem.replace("-idx", ".idx"))
    path = next((folder / one for one in names if (folder / one).is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"{name}: there is no {stem}.gz in {folder}. {SOURCES[name]} and put "
            f"{', '.join(MNIST)} there, compressed or raw."
        )
    array = read_idx(path)
    if array.shape != shape:
        raise ValueError(f"{path}: holds {array.shape}, and {stem} of {name} holds {shape}.")
    return array
