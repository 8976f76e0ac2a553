"""Plain data, nested as one likes, as JSON and a flat dict of named arrays; and back.

    {"epoch": 3, "weight": array}, under "model"
    → {"epoch": 3, "weight": {"$array": "model.weight"}} and {"model.weight": array}

What JSON has no word for is an object with one key: $array, $float, $tuple, $dict.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray[Any, Any]]

KINDS = "biufc"  # of dtypes that a file may hold: numbers


def apart(value: Any, name: str, arrays: Arrays) -> Any:
    """What JSON can say of a value; its arrays are added to ``arrays`` under dotted names.

    TypeError for what is no plain data, with the name of the place.
    """
    if value is None or type(value) in (bool, int, str):
        return value
    if isinstance(value, np.generic):
        return apart(value.item(), name, arrays)
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": repr(float(value))}
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in KINDS:
            raise TypeError(
                f"save: {name} is an array of {value.dtype}; a checkpoint holds numbers only."
            )
        while name in arrays:  # a key with a dot may look like a path
            name += "'"
        arrays[name] = np.asarray(value, value.dtype.newbyteorder("="), order="C")
        return {"$array": name}
    if isinstance(value, list | tuple):
        inside = [apart(one, f"{name}.{i}", arrays) for i, one in enumerate(value)]
        return {"$tuple": inside} if isinstance(value, tuple) else inside
    if isinstance(value, Mapping):
        pairs = [(key, apart(one, f"{name}.{key}", arrays)) for key, one in value.items()]
        if all(isinstance(key, str) and not key.startswith("$") for key, _ in pairs):
            return dict(pairs)
        return {"$dict": [[apart(key, name, arrays), one] for key, one in pairs]}
    raise TypeError(
        f"save: {name} is a {type(value).__name__}. A checkpoint holds numbers, text, arrays, "
        "lists and dicts, and what has a state_dict()."
    )


def together(said: Any, arrays: Mapping[str, Any]) -> Any:
    """The value that `apart` took apart; KeyError, TypeError, ValueError for anything else."""
    if isinstance(said, list):
        return [together(one, arrays) for one in said]
    if not isinstance(said, dict):
        return said
    if len(said) == 1:
        (key, inside), *_ = said.items()
        if key == "$array":
            return arrays[inside]
        if key == "$float":
            return float(inside)
        if key == "$tuple":
            return tuple(together(inside, arrays))
        if key == "$dict":
            return {together(k, arrays): together(one, arrays) for k, one in inside}
    return {key: together(one, arrays) for key, one in said.items()}
