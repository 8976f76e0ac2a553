"""Files of results: one for a machine, a part for every program, written as a whole or not at all.

Order: a file · what it was measured with.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
from pathlib import Path
from typing import Any

# ---- a file -----------------------------------------------------------------------------------


def known(path: Path, device: str) -> dict[str, Any]:
    """The document of earlier runs, or a new one; ValueError for a file about something else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        return {"device": device, "parts": {}}
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found, _ = document["device"], document["parts"]
    except (ValueError, TypeError, KeyError):
        raise ValueError(f"{path} holds no results of this program. Name another file.") from None
    if found != device:
        raise ValueError(f"{path} is about {found}, this is {device}. Name another file.")
    return document


def write(path: Path, document: dict[str, Any]) -> None:
    """Put the document there as a whole, or leave what was there."""
    new = path.with_name(f"{path.name}.new")
    try:
        new.write_text(f"{as_text(document)}\n", encoding="utf-8")
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)


def as_text(document: dict[str, Any]) -> str:
    """JSON that people can read."""
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)


# ---- what it was measured with ----------------------------------------------------------------


def now() -> str:
    """The date and the time, in UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def processor(path: Path = Path("/proc/cpuinfo")) -> str:
    """The name of the CPU and how many of them there are."""
    name = platform.processor() or platform.machine()
    if path.exists():
        rows = path.read_text(encoding="utf-8").splitlines()
        name = next((row.split(":")[1].strip() for row in rows if "model name" in row), name)
    return f"{name}, {os.cpu_count()} processors"
