"""Make the packaged data from scikit-learn's copies: python tests/oracles/record_datasets.py

Prints the SHA-256 of every file, for `tinygrad_opt/data/packaged.py` and `files/README.md`.
"""

from __future__ import annotations

import hashlib
import pathlib
from typing import Any

import numpy as np

FILES = pathlib.Path(__file__).parents[2] / "tinygrad_opt" / "data" / "files"


def arrays(name: str) -> dict[str, np.ndarray[Any, Any]]:
    """x and y as they are packaged: shades uint8, other features float32, labels int64."""
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    x = bunch.images.astype(np.uint8) if name == "digits" else bunch.data.astype(np.float32)
    y = bunch.target.astype(np.float32 if name == "diabetes" else np.int64)
    return {"x": np.ascontiguousarray(x), "y": y}


if __name__ == "__main__":
    for name in ("digits", "iris", "wine", "breast_cancer", "diabetes"):
        path = FILES / f"{name}.npz"
        np.savez_compressed(path, **arrays(name))
        content = path.read_bytes()
        print(f"{path.name:18} {len(content):6} bytes  {hashlib.sha256(content).hexdigest()}")
