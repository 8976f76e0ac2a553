"""Data: real sets that come with the package, toy sets, one's own tables, MNIST's files; batches.

    train, test = data.prepare("digits")
    for x, y in data.DataLoader(train, batch_size=32):
        ...

Everything here is a NumPy array on the host until `DataLoader` hands out Tensors.
"""

from .dataset import Dataset
from .download import cache_folder, fetch
from .idx import read_idx
from .loader import DataLoader
from .preparation import Standardize, prepare, split
from .registry import DATASETS, load, verify
from .table import read_csv
from .toys import blobs, circles, line, moons, sine, spiral, xor

__all__ = [
    "DATASETS",
    "load",
    "read_csv",
    "read_idx",
    "Dataset",
    "split",
    "Standardize",
    "prepare",
    "DataLoader",
    "moons",
    "circles",
    "xor",
    "spiral",
    "blobs",
    "sine",
    "line",
    "fetch",
    "verify",
    "cache_folder",
]
