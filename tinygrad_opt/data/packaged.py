"""Real data that comes with the package; `files/README.md` says where from and under which licence.

Order: what is known about each set · reading a file · checking all of them.
"""

from __future__ import annotations

import hashlib
import io
from importlib import resources
from typing import Any

import numpy as np

from .dataset import Dataset

FOLDER: Any = resources.files(__package__) / "files"

SHA256 = {
    "digits": "c1114d08e8c76da27ceff92e80b6a7fe07df3996f02bbc97a23ef75188ae5357",
    "iris": "cb39538dfdea03d8c34d837a407bff3ecefa1b61ee4e2fcba704a3f87c184a20",
    "wine": "8755a77b45f81b0b3ad4207739cc6227ee1689489362be1b8a55c924bdd68c48",
    "breast_cancer": "e48f34f43d4a059c79bf4f556ecdf7ac0f0d87a851123a832ca736ec3055c7c6",
    "diabetes": "ae2d0c0c90fe11975bc25991bcbfeb88b89ef5f564195a562f405e65ef90e3e4",
}

_CELL = ["radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity"]
_CELL += ["concave points", "symmetry", "fractal dimension"]

KNOWN: dict[str, dict[str, Any]] = {
    "digits": {
        "description": "Handwritten digits of 8×8 shades from 0 to 16 (UCI, 1998).",
        "class_names": tuple("0123456789"),
        "image_shape": (8, 8),
        "divide_by": 16.0,
    },
    "iris": {
        "description": "Three species of iris by the size of sepals and petals (Fisher, 1936).",
        "class_names": ("setosa", "versicolor", "virginica"),
        "feature_names": (
            "sepal length (cm)",
            "sepal width (cm)",
            "petal length (cm)",
            "petal width (cm)",
        ),
    },
    "wine": {
        "description": "Three growers of wine by chemical analysis, on unlike scales (UCI, 1991).",
        "class_names": ("class_0", "class_1", "class_2"),
        "feature_names": (
            "alcohol",
            "malic_acid",
            "ash",
            "alcalinity_of_ash",
            "magnesium",
            "total_phenols",
            "flavanoids",
            "nonflavanoid_phenols",
            "proanthocyanins",
            "color_intensity",
            "hue",
            "od280/od315_of_diluted_wines",
            "proline",
        ),
    },
    "breast_cancer": {
        "description": "Malignant or benign by the shape of cell nuclei (UCI Wisconsin, 1995).",
        "class_names": ("malignant", "benign"),
        "feature_names": (
            *(f"mean {one}" for one in _CELL),
            *(f"{one} error" for one in _CELL),
            *(f"worst {one}" for one in _CELL),
        ),
    },
    "diabetes": {
        "description": "Progress of diabetes after a year (Efron et al., 2004).",
        "feature_names": ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"),
    },
}


def load(name: str) -> Dataset:
    """A packaged data set; ValueError where its file is missing or is not what was packaged."""
    with np.load(io.BytesIO(_verified(name)), allow_pickle=False) as arrays:
        return Dataset(name, arrays["x"], arrays["y"], **KNOWN[name])


def verify() -> list[str]:
    """Read every packaged file and return their names; ValueError for one that is damaged."""
    return [f"{name}.npz" for name in SHA256 if _verified(name)]


def _verified(name: str) -> bytes:
    """The bytes of a packaged file, once they have the SHA-256 that was recorded for them."""
    file = FOLDER / f"{name}.npz"
    try:
        content: bytes = file.read_bytes()
    except OSError as error:
        raise ValueError(
            f"load: the packaged file {file} cannot be read ({error.strerror}). Reinstall: "
            "pip install --force-reinstall tinygrad-opt"
        ) from None
    if hashlib.sha256(content).hexdigest() != SHA256[name]:
        raise ValueError(
            f"load: the packaged file {file} is damaged: its SHA-256 is not the one recorded. "
            "Reinstall: pip install --force-reinstall tinygrad-opt"
        )
    return content
