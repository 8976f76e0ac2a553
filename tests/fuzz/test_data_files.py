"""IDX and CSV files from strangers, and names of data sets: an array, a table, or a sentence.

Order: IDX · CSV · names and folders.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_opt as tg
from tests.fuzz.strangers import Refused, bounded, damaged, outcome
from tinygrad_opt.data import DATASETS, download, read_csv, read_idx

pytestmark = pytest.mark.host

EXAMPLES = [
    pytest.param(120, id="few"),
    pytest.param(5000, id="many", marks=pytest.mark.slow),
]
MB = 1_000_000


# ---- IDX --------------------------------------------------------------------------------------

IDX = struct.pack(">4B2I", 0, 0, 8, 2, 6, 20) + bytes(range(120))


@pytest.mark.parametrize("name", ["some-idx-ubyte", "some.gz"])
def test_every_byte_of_an_idx_file_flipped_in_turn(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    content = gzip.compress(IDX) if name.endswith("gz") else IDX
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 0xFF
        path.write_bytes(flipped)
        found = outcome(read_idx, path)
        if isinstance(found, Refused):
            assert found.startswith(f"{path}: "), found
        elif name.endswith("gz"):  # a checksum stands in it
            assert found.tobytes() == IDX[12:]


@pytest.mark.parametrize("examples", EXAMPLES)
def test_accidents_of_idx_files(examples: int, tmp_path: Path) -> None:
    @bounded(examples)
    @given(damaged(IDX) | st.binary(max_size=100), st.booleans())
    def meet(content: bytes, compressed: bool) -> None:
        path = tmp_path / ("some.gz" if compressed else "some-idx-ubyte")
        path.write_bytes(gzip.compress(content, 1) if compressed else content)
        found = outcome(read_idx, path)
        assert isinstance(found, Refused) or found.dtype == np.uint8

    meet()


@pytest.mark.parametrize("examples", EXAMPLES)
def test_accidents_of_compressed_files(examples: int, tmp_path: Path) -> None:
    path = tmp_path / "some.gz"

    @bounded(examples)
    @given(damaged(gzip.compress(IDX)))
    def meet(content: bytes) -> None:
        path.write_bytes(content)
        outcome(read_idx, path)

    meet()


def header(*axes: int) -> bytes:
    return struct.pack(f">4B{len(axes)}I", 0, 0, 8, len(axes), *axes)


@pytest.mark.parametrize("name", ["some-idx-ubyte", "some.gz"])
@pytest.mark.parametrize(
    "axes",
    [
        (2**31, 2**31),
        (2**32 - 1,) * 4,
        (2**30,),
        (0, 2**32 - 1),
        (2**32 - 1, 2**32 - 1, 2**32 - 1, 0),
    ],
)
def test_a_size_that_is_declared_takes_no_memory(
    axes: tuple[int, ...], name: str, tmp_path: Path
) -> None:
    path, content = tmp_path / name, header(*axes)
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    assert isinstance(outcome(read_idx, path, memory=3 * MB), Refused)


def test_a_small_file_that_grows_without_end(tmp_path: Path) -> None:
    """Compressed zeros behind a small header, and zeros that a large header declares."""
    path = tmp_path / "some.gz"
    squeeze = zlib.compressobj(9, wbits=31)
    zeros = b"".join(squeeze.compress(bytes(MB)) for _ in range(100)) + squeeze.flush()
    path.write_bytes(gzip.compress(header(10)) + zeros)
    assert "holds more" in outcome(read_idx, path, memory=3 * MB)


def test_what_is_no_file(tmp_path: Path) -> None:
    assert "some.gz" in outcome(read_idx, tmp_path / "some.gz")
    assert str(tmp_path) in outcome(read_idx, tmp_path)


# ---- CSV --------------------------------------------------------------------------------------

CSV = b'a,b,"kind"\r\n1,2.5,red\r\n-3e2,.5,blue\r\n4,5,red\n'
LETTERS = st.text("01.-e,;\t\n\r\"' ainfé\0x٣_", max_size=60)


@pytest.mark.parametrize("examples", EXAMPLES)
def test_accidents_of_tables(examples: int, tmp_path: Path) -> None:
    path = tmp_path / "some.csv"

    @bounded(examples)
    @given(damaged(CSV) | st.binary(max_size=100) | LETTERS.map(str.encode))
    def meet(content: bytes) -> None:
        path.write_bytes(content)
        found = outcome(read_csv, path)
        if isinstance(found, Refused):
            assert found.startswith("read_csv: "), found
        else:
            assert np.isfinite(found.x).all() and len(found.x) == len(found.y)

    meet()


TABLES = {
    "nothing": b"",
    "zeros": bytes(1000),
    "a zero in a cell": b"a,b\n1,\0\n2,3\n",
    "UTF-16": "a,b\n1,2\n".encode("utf-16"),
    "Latin-1": "größe,b\n1,2\n3,4\n".encode("latin-1"),
    "half a letter": b"a,b\n1,\xc3",
    "a number that is none": b"a,b\n1,nan\n2,1\n3,2\n",
    "an infinite number": b"a,b\n1,2\ninf,1\n",
    "more than a float32 holds": b"a,b\n1,2\n1e39,1\n",
    "a very long number": b"a,b\n" + b"9" * 50_000 + b",1\n2,2\n",
    "a very long cell": b"a,b\n" + b"x" * 200_000 + b",1\n2,2\n",
    "a quote without end": b'a,b\n"1,2\n' + b"3,4\n" * 50_000,
    "a very long name": b"y" * 100_000 + b"," + b"y" * 100_000 + b"\n1,2\n3,x\n",
    "a line too short": b"a,b\n" + b"1,2\n" * 1000 + b"1\n",
    "a line too long": b"a,b\n1,2\n" + b"," * 100_000,
    "one column": b"1\n2\n",
    "the same name twice": b"a,a\n1,2\n",
    "one line": b"a,b\n",
    "one target": b"1,1\n2,1\n",
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_is_none(name: str, tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    path.write_bytes(TABLES[name])
    found = outcome(read_csv, path, memory=10 * MB)
    assert isinstance(found, Refused) and found.startswith(f"read_csv: {path}"), found
    assert len(found) < 700, len(found)


@pytest.mark.parametrize("line_end", ["\r", "\n", "\r\n"])
def test_a_long_cell_and_mixed_line_ends(line_end: str, tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    path.write_bytes(f"a,b\r1,0.5{line_end}2,1.25\n3,9.5\r\n".encode())
    assert read_csv(path).x.tolist() == [[1], [2], [3]]


def test_very_many_columns(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    names = ",".join(f"c{i}" for i in range(20_000))
    path.write_text(f"{names}\n" + ",".join(["1"] * 20_000) + "\n" + ",".join(["2"] * 20_000))
    assert read_csv(path).x.shape == (2, 19_999)
    sentence = outcome(partial(read_csv, path, target="price"))
    assert len(sentence) < 700, len(sentence)


def test_a_table_takes_a_small_multiple_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    path.write_text("1,2,3,4,5,6,7,8\n" * 30_000 + "1,2,3,4,5,6,7,9\n")
    found = outcome(read_csv, path, memory=60 * path.stat().st_size)
    assert found.x.shape == (30_001, 7)


@pytest.mark.parametrize("name", ["some.csv", "a/b.csv"])
def test_a_folder_or_nothing_in_place_of_a_table(name: str, tmp_path: Path) -> None:
    (tmp_path / "some.csv").mkdir()
    assert outcome(read_csv, tmp_path / name).startswith("read_csv: ")


# ---- names and folders ------------------------------------------------------------------------

NAMES = ["../../etc/passwd", "/etc/passwd", "~", "a\0b", " line", "LINE", "breast-cancer"]


@pytest.mark.parametrize("examples", [pytest.param(60, id="few")])
def test_any_name_of_a_data_set(examples: int) -> None:
    @bounded(examples)
    @given(st.text(max_size=30) | st.sampled_from(NAMES))
    def meet(name: str) -> None:
        found = outcome(tg.data.load, name)
        is_one = name.lower().replace("-", "_") in DATASETS
        assert is_one or found.startswith("load: there is no data set"), found

    meet()
    assert len(outcome(tg.data.load, "x" * MB)) < 700


@pytest.mark.parametrize("name", [None, 3, ["digits"], b"digits"])
def test_what_is_no_name(name: Any) -> None:
    assert outcome(tg.data.load, name).startswith("load: ")


@pytest.mark.parametrize("name", ["../mnist", "mnist/..", "/tmp", "", "MNIST\0"])
def test_names_are_no_paths_to_fetch(name: str, tmp_path: Path) -> None:
    assert outcome(download.fetch, name, tmp_path / "data").startswith("fetch: ")
    assert not (tmp_path / "data").exists()


def test_what_was_fetched_replaces_a_link_and_follows_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link with the name of a file of MNIST's does not make fetch write elsewhere."""
    home, elsewhere = tmp_path / "data", tmp_path / "precious"
    home.mkdir()
    elsewhere.write_bytes(b"precious")
    for file in download.MNIST:
        (home / file).symlink_to(elsewhere)
    monkeypatch.setattr(download, "_download", lambda url, size: b"new")
    right = {file: download.File(3, _sha256(b"new")) for file in download.MNIST}
    monkeypatch.setattr(download, "MNIST", right)
    download.fetch("mnist", home)
    assert elsewhere.read_bytes() == b"precious"
    assert sorted(p.name for p in home.iterdir()) == sorted(right)
    assert all(p.read_bytes() == b"new" and not p.is_symlink() for p in home.iterdir())


def _sha256(content: bytes) -> str:
    import hashlib

    return hashlib.sha256(content).hexdigest()


def test_a_mirror_that_sends_something_else_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_download", lambda url, size: b"evil")
    assert "its SHA-256 is not that of MNIST's file" in outcome(download.fetch, "mnist", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert outcome(download.fetch, "mnist", tmp_path / "file").startswith("fetch: ")
