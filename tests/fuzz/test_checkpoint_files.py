"""Checkpoints from strangers: the content that was saved, or a sentence; and nothing else changed.

Order: every byte in turn · accidents · .npz with lies in it · .safetensors · a true checksum.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_opt as tg
from tests.fuzz.strangers import Refused, bounded, damaged, outcome
from tinygrad_opt import random_numbers
from tinygrad_opt.checkpoint.container import _checksum, write
from tinygrad_opt.checkpoint.tree import Arrays

pytestmark = pytest.mark.on("cpu")

KINDS = ["npz", pytest.param("safetensors", marks=pytest.mark.oracle)]


class Small:
    """A model and its optimizer after a few updates."""

    def __init__(self, updates: int = 2) -> None:
        tg.manual_seed(updates)
        self.model = tg.nn.Linear(3, 2)
        self.optimizer = tg.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)
        for _ in range(updates):
            self.optimizer.zero_grad()
            (self.model(tg.ones((1, 3))) ** 2).sum().backward()
            self.optimizer.step()

    @property
    def parts(self) -> dict[str, Any]:
        return {"model": self.model, "optimizer": self.optimizer}

    def bits(self) -> list[Any]:
        weights = [value.tobytes() for value in map(np.asarray, self.model.state_dict().values())]
        state = [entry["momentum_buffer"].tobytes() for entry in self.momenta()]
        return [*weights, *state, self.optimizer.step_count, repr(random_numbers.state_dict())]

    def momenta(self) -> list[Any]:
        return list(self.optimizer.state_dict()["state"].values())


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "run.npz"
    tg.save(path, **Small().parts)
    return path


def all_or_nothing(path: Path, content: bytes, whole: list[Any], other: Small) -> Small:
    """Loading gives what was saved, or a sentence and what was there; who is to try next."""
    path.write_bytes(content)
    before = other.bits()
    found = outcome(partial(tg.load, path, **other.parts))
    if isinstance(found, Refused):
        assert found.startswith(f"load: {path} "), found
        assert other.bits() == before
        return other
    assert other.bits() == whole
    return Small(updates=1)


# ---- every byte in turn -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("flip", [0x01, pytest.param(0xFF, marks=pytest.mark.slow)])
def test_every_byte_flipped_in_turn(kind: str, flip: int, tmp_path: Path) -> None:
    path, run = tmp_path / f"run.{kind}", Small()
    tg.save(path, **run.parts)
    whole, content = run.bits(), path.read_bytes()
    other = Small(updates=1)
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= flip
        other = all_or_nothing(path, bytes(flipped), whole, other)


@pytest.mark.parametrize("kind", KINDS)
def test_cut_anywhere(kind: str, tmp_path: Path) -> None:
    path, run = tmp_path / f"run.{kind}", Small()
    tg.save(path, **run.parts)
    whole, content = run.bits(), path.read_bytes()
    other = Small(updates=1)
    for end in range(0, len(content), 17):
        other = all_or_nothing(path, content[:end], whole, other)


# ---- accidents --------------------------------------------------------------------------------


def meets_accidents(kind: str, folder: Path, examples: int) -> None:
    path, run = folder / f"run.{kind}", Small()
    tg.save(path, **run.parts)
    whole, content = run.bits(), path.read_bytes()

    @bounded(examples)
    @given(damaged(content) | st.binary(max_size=200))
    def meet(found: bytes) -> None:
        all_or_nothing(path, found, whole, Small(updates=1))

    meet()


@pytest.mark.parametrize("kind", KINDS)
def test_accidents(kind: str, tmp_path: Path) -> None:
    meets_accidents(kind, tmp_path, 150)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_accidents(kind: str, tmp_path: Path) -> None:
    meets_accidents(kind, tmp_path, 5000)


# ---- .npz with lies in it ---------------------------------------------------------------------


def npy(header: str, content: bytes = b"", version: bytes = b"\1\0") -> bytes:
    """An array file with this header."""
    length = struct.pack("<H" if version == b"\1\0" else "<I", len(header.encode()))
    return b"\x93NUMPY" + version + length + header.encode() + content


def archive(*members: tuple[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as found:
        for name, content in members:
            found.writestr(name, content)
    return file.getvalue()


def described(descr: str = "'<f4'", shape: str = "(2,)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"


EIGHT = bytes(8)
ARRAYS = {
    "objects": npy(described("'|O'"), EIGHT),
    "fields": npy(described("[('a', '<f4')]"), EIGHT),
    "text": npy(described("'<U2'"), EIGHT),
    "dates": npy(described("'<M8[s]'", "(1,)"), EIGHT),
    "no such type": npy(described("'<f3'"), EIGHT),
    "a subarray": npy(described("('<f4', (2,))", "(1,)"), EIGHT),
    "an enormous shape": npy(described(shape="(2147483648, 2147483648)"), EIGHT),
    "an enormous number": npy(described(shape=f"({'9' * 5000},)"), EIGHT),
    "a negative shape": npy(described(shape="(-2, -1)"), EIGHT),
    "an overflowing shape": npy(described(shape="(4294967296, 4294967296, 0)")),
    "seventy axes": npy(described(shape=f"({'1, ' * 70})"), bytes(4)),
    "a shape of Python 2": npy(described(shape="(2L,)"), EIGHT),
    "an unknown escape": npy(described(r"'\d4'"), EIGHT),
    "an expression": npy(described(shape="(9**9**9,)"), EIGHT),
    "deep brackets": npy("(" * 9000, EIGHT),
    "deep signs": npy(described(shape=f"({'-' * 9000}2,)"), EIGHT),
    "a call": npy("__import__('os').abort()", EIGHT),
    "a header beyond the end": b"\x93NUMPY\2\0\xff\xff\xff\xff{}",
    "a version to come": npy(described(), EIGHT, b"\x09\0"),
    "no array": b"hello",
    "nothing": b"",
}


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_that_lies(name: str, tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    path.write_bytes(archive(("w.npy", ARRAYS[name])))
    found = outcome(tg.load, path, memory=10_000_000)
    assert isinstance(found, Refused) and found.startswith(f"load: {path} is damaged, or is no "), (
        found
    )


def test_a_file_of_numpys_second_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    path.write_bytes(archive(("w.npy", npy(described("'>i2'", "(2, 2)"), EIGHT, b"\2\0"))))
    assert tg.load(path)["w"].tolist() == [[0, 0], [0, 0]]


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    zeros = npy(described(shape="(7500000,)"), bytes(30_000_000))
    for compression in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        path.write_bytes(archive(("w.npy", zeros), compression=compression))
        found = outcome(tg.load, path, memory=10_000_000)
        assert isinstance(found, Refused) and "may grow without end" in found


def test_many_members_over_the_same_bytes(tmp_path: Path) -> None:
    """A bomb without compression: the directory names the same array a thousand times."""
    path, one = tmp_path / "run.npz", npy(described(shape="(25000,)"), bytes(100_000))
    whole = archive(("000.npy", one))
    start = whole.index(b"PK\1\2")
    entry, end = whole[start : whole.index(b"PK\5\6")], bytearray(whole[whole.index(b"PK\5\6") :])
    entries = b"".join(entry.replace(b"000.npy", b"%03d.npy" % i) for i in range(1000))
    end[8:16] = struct.pack("<HHI", 1000, 1000, len(entries))
    path.write_bytes(whole[:start] + entries + end)
    found = outcome(tg.load, path, memory=10_000_000)
    assert isinstance(found, Refused) and "says to be larger than it is" in found


def test_an_encrypted_member(tmp_path: Path) -> None:
    path, content = tmp_path / "run.npz", bytearray(archive(("w.npy", npy(described(), EIGHT))))
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    assert "encrypted" in outcome(tg.load, path)


@pytest.mark.parametrize("name", ["../../out", "/etc/out", "..\\out", "a\0b", "C:\\out"])
def test_names_are_names_and_no_paths(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (folder / "run.npz").write_bytes(archive((f"{name}.npy", npy(described(), EIGHT))))
    outcome(tg.load, folder / "run.npz")
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["run.npz"]


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    content = archive(("né.npy", b"")).replace("é".encode(), b"\x80\x80")
    (tmp_path / "run.npz").write_bytes(content)
    found = outcome(tg.load, tmp_path / "run.npz")
    assert isinstance(found, Refused)
    assert "is damaged: what should be text in it is none. Take an older one." in found


def test_two_members_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    path.write_bytes(archive(("a.npy", b"1"), ("b.npy", b"2")).replace(b"b.npy", b"a.npy"))
    assert "two things of one name" in outcome(tg.load, path)


# ---- .safetensors -----------------------------------------------------------------------------

ONE = '"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}'
HEADERS = {
    "no JSON": "hello",
    "a list": "[]",
    "deep lists": "[" * 100_000,
    "deep objects": '{"a":' * 100_000,
    "offsets beyond the end": '{"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 9000]}}',
    "offsets that turn back": '{"w": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}}',
    "negative offsets": '{"w": {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}}',
    "offsets that overlap": f"{{{ONE}, {ONE.replace('w', 'v')}}}",
    "an unknown type": '{"w": {"dtype": "F31", "shape": [2], "data_offsets": [0, 8]}}',
    "another shape": '{"w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}',
    "an enormous shape": (
        '{"w": {"dtype": "F32", "shape": [4294967296, 4294967296], "data_offsets": [0, 8]}}'
    ),
    "a shape of 2**64": '{"w": {"dtype": "F32", "shape": [18446744073709551616]}}',
    "no offsets": '{"w": {"dtype": "F32", "shape": [2]}}',
    "other metadata": f'{{"__metadata__": {{"meta.json": 3}}, {ONE}}}',
    "metadata without a sum": f'{{"__metadata__": {{"meta.json": "{{}}"}}, {ONE}}}',
}


def tensors(header: bytes, content: bytes = EIGHT) -> bytes:
    return struct.pack("<Q", len(header)) + header + content


@pytest.mark.oracle
@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_lies(name: str, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    path.write_bytes(tensors(HEADERS[name].encode()))
    found = outcome(tg.load, path, memory=20_000_000)
    assert isinstance(found, Refused) and found.startswith(f"load: {path} is damaged"), found


@pytest.mark.oracle
@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<Q", 2**63) + bytes(8),
        struct.pack("<Q", 2**64 - 1),
        b"\1",
        b"",
        tensors(b"\xff\xfe{}"),
        tensors(b'{"\xff": {}}'),
    ],
)
def test_a_length_that_lies_and_bytes_that_are_no_text(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    path.write_bytes(content)
    assert isinstance(outcome(tg.load, path, memory=10_000_000), Refused)


# ---- a true checksum --------------------------------------------------------------------------


def forged(path: Path, arrays: Arrays, text: str) -> Path:
    """A file whose checksum is right, whatever is in it."""
    write(path, arrays, text)
    return path


PARTS = {
    "deep lists": "[" * 100_000 + "]" * 100_000,
    "a long number": "9" * 5000,
    "a float that is none": '{"$float": "x"}',
    "a float that is a list": '{"$float": []}',
    "an array that is not there": '{"$array": "model.w"}',
    "an array without a name": '{"$array": {}}',
    "a dict without pairs": '{"$dict": [[1]]}',
    "a dict with lists as keys": '{"$dict": [[[], 1]]}',
    "a tuple of a number": '{"$tuple": 3}',
    "not a number": "NaN",
}
MODEL = {**{name: f'{{"model": {part}}}' for name, part in PARTS.items()}, "a list": "[1]"}


@pytest.mark.parametrize("name", MODEL)
def test_a_tree_that_lies(name: str, tmp_path: Path) -> None:
    text = f'{{"format": "tinygrad_opt.checkpoint", "version": 1, "parts": {MODEL[name]}}}'
    path = forged(tmp_path / "run.npz", {}, text)
    model = tg.nn.Linear(3, 2)
    before = model.weight.tolist()
    found = outcome(partial(tg.load, path, model=model))
    assert isinstance(found, Refused) and found.startswith(f"load: {path} "), found
    assert model.weight.tolist() == before


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "3", '"x"', '{"format": {}}', "\ud800", "{" * 9]
)
def test_a_text_that_is_none(text: str, tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    text_, sum_ = text.encode("utf-8", "surrogatepass"), "0"
    if text != "\ud800":
        sum_ = _checksum({}, text)
    path.write_bytes(archive(("meta.json", text_), ("sha256", sum_.encode())))
    assert isinstance(outcome(tg.load, path), Refused)


STRANGE = [None, True, -1, 1e300, 10**30, "x", "", [], {}, [[1]], {"$float": "nan"}, {"$tuple": []}]


def places(said: Any) -> list[tuple[Any, ...]]:
    """The paths to all that stands in a tree."""
    inside = dict(enumerate(said)) if isinstance(said, list) else said
    if not isinstance(inside, dict):
        return []
    return [(key, *rest) for key, value in inside.items() for rest in [(), *places(value)]]


def test_strange_values_in_any_place(saved: Path, tmp_path: Path) -> None:
    """All parts or none, wherever the nonsense stands."""
    with np.load(saved) as file:
        arrays = {name: file[name] for name in file.files if name not in ("meta.json", "sha256")}
    with zipfile.ZipFile(saved) as file:
        text = file.read("meta.json").decode()
    wheres = places(json.loads(text)["parts"])
    assert len(wheres) > 20
    for number, where in enumerate(wheres):
        meta = json.loads(text)
        inner = meta["parts"]
        for key in where[:-1]:
            inner = inner[key]
        inner[where[-1]] = STRANGE[number % len(STRANGE)]
        path = forged(tmp_path / "strange.npz", arrays, json.dumps(meta))
        other = Small(updates=1)
        before = other.bits()
        found = outcome(partial(tg.load, path, **other.parts))
        if isinstance(found, Refused):
            assert found.startswith(f"load: {path} "), found
            assert other.bits() == before, (where, found)


@pytest.mark.parametrize(
    "where, value",
    [
        (("optimizer", "state"), "x"),
        (("optimizer", "state"), []),
        (("optimizer", "step_count"), None),
        (("optimizer", "step_count"), -1),
        (("optimizer", "state", "weight", "step"), -1),
        (("random_numbers",), None),
    ],
)
def test_counts_and_states_that_are_none(
    where: tuple[str, ...], value: Any, saved: Path, tmp_path: Path
) -> None:
    with np.load(saved) as file:
        arrays = {name: file[name] for name in file.files if name not in ("meta.json", "sha256")}
    with zipfile.ZipFile(saved) as file:
        meta = json.loads(file.read("meta.json"))
    inner = meta["parts"]
    for key in where[:-1]:
        inner = inner[key]
    assert where[-1] in inner
    inner[where[-1]] = value
    other, path = Small(updates=1), forged(tmp_path / "strange.npz", arrays, json.dumps(meta))
    before = other.bits()
    assert isinstance(outcome(partial(tg.load, path, **other.parts)), Refused)
    assert other.bits() == before


@pytest.mark.parametrize(
    "weight",
    [
        np.zeros((2, 3), np.complex64),
        np.full((2, 3), 1e300),
        np.full((2, 3), np.nan, np.float32),
        np.zeros((2, 3), bool),
        np.zeros((3, 2), np.float32),
        np.zeros((), np.float32),
        np.zeros((0, 3), np.float32),
        np.zeros((2, 3), np.longdouble),
    ],
)
def test_weights_of_strange_kinds(weight: np.ndarray[Any, Any], tmp_path: Path) -> None:
    path, model = tmp_path / "w.npz", tg.nn.Linear(3, 2)
    np.savez(path, weight=weight, bias=np.zeros(2, np.float32))
    before = model.weight.tolist()
    found = outcome(tg.load, path, model)
    assert not isinstance(found, Refused) or model.weight.tolist() == before
