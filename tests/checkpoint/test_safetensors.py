"""Files in the format of safetensors, to and from PyTorch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.checkpoint.test_checkpoint import ARRAYS, NAMES, PLAIN, Run, adam, from_registry, goes_on

pytestmark = pytest.mark.oracle


def torch_network(torch: Any) -> Any:
    nn = torch.nn
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.BatchNorm1d(6), nn.Linear(6, 3)).eval()


def network() -> Any:
    nn = tg.nn
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.BatchNorm1d(6), nn.Linear(6, 3)).eval()


def test_weights_from_pytorch_and_back(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    theirs, ours, path = torch_network(torch), network(), tmp_path / "weights.safetensors"
    x = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    expected = theirs(torch.from_numpy(x)).detach().numpy()
    save_file(theirs.state_dict(), path)
    tg.load(path, ours)
    np.testing.assert_allclose(ours(tg.tensor(x)).tolist(), expected, rtol=1e-5, atol=1e-6)

    for p in ours.parameters():
        p.data = p.data * 2
    tg.save(path, ours)
    theirs.load_state_dict(load_file(path))
    expected = theirs(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(ours(tg.tensor(x)).tolist(), expected, rtol=1e-5, atol=1e-6)


def test_bfloat16_becomes_float32(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    values = torch.tensor([[1.5, -2.25, 3e38]], dtype=torch.bfloat16)
    save_file({"weight": values}, tmp_path / "half.safetensors")
    found = tg.load(tmp_path / "half.safetensors")["weight"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values.float().numpy())


def test_what_numpy_does_not_know_is_refused(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    save_file({"w": torch.zeros(2, dtype=torch.float8_e5m2)}, tmp_path / "f8.safetensors")
    with pytest.raises(tg.CheckpointError, match="w is of F8_E5M2, which NumPy does not know"):
        tg.load(tmp_path / "f8.safetensors")


@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_goes_on_to_the_bit(name: str, tmp_path: Path) -> None:
    goes_on(from_registry(name), tmp_path / "run.safetensors")


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back_as_they_were(name: str, tmp_path: Path) -> None:
    array = ARRAYS[name]
    tg.save(tmp_path / "run.safetensors", a=array, plain=PLAIN)
    found = tg.load(tmp_path / "run.safetensors")
    assert found["plain"] == PLAIN
    assert (found["a"].shape, found["a"].dtype) == (array.shape, array.dtype.newbyteorder("="))
    np.testing.assert_array_equal(found["a"], array)


def test_a_flipped_bit_anywhere(tmp_path: Path) -> None:
    model, path = tg.nn.Linear(2, 1), tmp_path / "w.safetensors"
    tg.save(path, model)
    content, expected = path.read_bytes(), model.weight.tolist()
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        try:
            tg.load(path, model)
        except ValueError as error:
            assert str(error).startswith(f"load: {path} ")
        assert model.weight.tolist() == expected


def test_a_flipped_bit_anywhere_in_what_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    tg.save(path, weight=np.ones(2), epoch=3)
    content = path.read_bytes()
    for place in range(8 + int.from_bytes(content[:8], "little")):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(tg.CheckpointError, match=f"load: {path} "):
            tg.load(path)


def test_numbers_that_it_does_not_hold(tmp_path: Path) -> None:
    text = "save: z is complex128, which no .safetensors file holds; .npz does."
    with pytest.raises(TypeError, match=text):
        tg.save(tmp_path / "run.safetensors", z=np.ones(2, complex))


def test_a_file_that_was_cut(tmp_path: Path) -> None:
    run, path = Run(adam), tmp_path / "run.safetensors"
    tg.save(path, **run.parts)
    content = path.read_bytes()
    for part in (0, 4, 200, len(content) - 1):
        path.write_bytes(content[:part])
        with pytest.raises(tg.CheckpointError, match="is damaged"):
            tg.load(path, **run.parts)


def test_the_package_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ImportError) as caught:
        tg.save(tmp_path / "w.safetensors", tg.nn.Linear(2, 1))
    assert str(caught.value) == (
        "a .safetensors file needs its package: pip install 'tinygrad-opt[safetensors]'. A .npz "
        "file needs none."
    )
