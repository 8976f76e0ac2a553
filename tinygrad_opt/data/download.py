"""Fetching MNIST: from two mirrors in turn, checked before it counts, kept in a cache folder."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from ..names import shortened
from ..whole_file import put

MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)


class File(NamedTuple):
    """What is known about a file before it is fetched."""

    size: int
    sha256: str


MNIST = {
    "train-images-idx3-ubyte.gz": File(
        9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    ),
    "train-labels-idx1-ubyte.gz": File(
        28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
    ),
    "t10k-images-idx3-ubyte.gz": File(
        1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
    ),
    "t10k-labels-idx1-ubyte.gz": File(
        4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
    ),
}


def cache_folder() -> Path:
    """Where fetched files are kept: ``$TINYGRAD_OPT_DATA``, else ``~/.cache/tinygrad_opt``."""
    return Path(os.environ.get("TINYGRAD_OPT_DATA") or "~/.cache/tinygrad_opt").expanduser()


def fetch(name: str, folder: str | Path | None = None) -> list[Path]:
    """Fetch what is not there yet of MNIST's four files and return where they are.

    A file counts once it is whole and has its SHA-256; until then it is called ``*.part``. OSError,
    naming both mirrors and the way by hand, where no mirror gave the right file.
    """
    if name != "mnist":
        raise ValueError(
            f"fetch: {shortened(name)} cannot be fetched, only 'mnist'. For 'fashion_mnist' no "
            "checksums are recorded: put its files into a folder and write load('fashion_mnist', "
            "folder=...)."
        )
    home = Path(folder).expanduser() if folder else cache_folder() / name
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(_no_place(home, error)) from None
    for file in MNIST:
        if not _is_right(home, file):
            _fetch_one(home, file)
    return [home / file for file in MNIST]


def verify_fetched() -> list[str]:
    """Read MNIST's files in the cache folder and return the names of those that are there.

    ValueError for one that is damaged.
    """
    home = cache_folder() / "mnist"
    there = [file for file in MNIST if (home / file).exists()]
    for file in there:
        if not _is_right(home, file):
            raise ValueError(
                f"verify: {home / file} is damaged: its SHA-256 is not MNIST's. "
                "Fetch it again: tinygrad-opt data fetch mnist"
            )
    return there


def _is_right(home: Path, file: str) -> bool:
    try:
        return hashlib.sha256((home / file).read_bytes()).hexdigest() == MNIST[file].sha256
    except FileNotFoundError:
        return False


def _fetch_one(home: Path, file: str) -> None:
    reasons = []
    for mirror in MIRRORS:
        try:
            content = _download(mirror + file, MNIST[file].size)
        except OSError as error:
            reasons.append(f"{mirror}{file}: {error}")
            continue
        if hashlib.sha256(content).hexdigest() == MNIST[file].sha256:
            _write(home / file, content)
            return
        reasons.append(f"{mirror}{file}: its SHA-256 is not that of MNIST's file")
    raise OSError(
        f"fetch: {file} could not be had.\n  " + "\n  ".join(reasons) + "\n"
        f"Download MNIST's four files in any other way and put them into {home}, or write "
        "load('mnist', folder=...)."
    )


def _download(url: str, size: int) -> bytes:
    """What stands at an address, but hardly more than size; OSError where nothing does."""
    from http.client import HTTPException  # with ssl and email behind them; few runs need these
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=30) as answer:
            content: bytes = answer.read(size + 1)
            return content
    except HTTPException as error:
        raise OSError(f"{type(error).__name__} {error}") from error


def _write(path: Path, content: bytes) -> None:
    """A file that is there whole or not at all."""
    try:
        put(path, content)
    except OSError as error:
        raise OSError(_no_place(path, error)) from None


def _no_place(path: Path, error: OSError) -> str:
    return (
        f"fetch: cannot write {path}: {error.strerror or error}. Make room, or name a folder that "
        "you may write into."
    )
