"""The packaged files are what their table says, and a damaged one is refused."""

from __future__ import annotations

import hashlib
import importlib
import pathlib
import shutil

import numpy as np
import pytest

from tinygrad_opt import data
from tinygrad_opt.data import packaged

pytestmark = pytest.mark.host

NAMES = ("digits", "iris", "wine", "breast_cancer", "diabetes")

CLASSES = {
    "digits": [178, 182, 177, 183, 181, 182, 181, 179, 174, 180],
    "iris": [50, 50, 50],
    "wine": [59, 71, 48],
    "breast_cancer": [212, 357],
}
SHAPES = {
    "digits": (1797, 8, 8),
    "iris": (150, 4),
    "wine": (178, 13),
    "breast_cancer": (569, 30),
    "diabetes": (442, 10),
}


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the packaged files, for tests that damage them."""
    folder = tmp_path / "files"
    shutil.copytree(str(packaged.FOLDER), folder)
    monkeypatch.setattr(packaged, "FOLDER", folder)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_shapes_dtypes_and_names_of_features(name):
    one = data.load(name)
    assert one.x.shape == SHAPES[name]
    assert one.x.dtype == (np.uint8 if name == "digits" else np.float32)
    assert one.y.shape == (len(one),)
    assert len(one.feature_names) == (0 if name == "digits" else one.n_features)
    assert len(set(one.feature_names)) == len(one.feature_names)
    assert one.description


@pytest.mark.parametrize("name", CLASSES)
def test_each_class_has_its_known_number_of_examples(name):
    one = data.load(name)
    assert one.y.dtype == np.int64
    assert np.bincount(one.y).tolist() == CLASSES[name]
    assert one.task == "classification"
    assert one.n_outputs == one.n_classes == len(CLASSES[name])


def test_ranges_of_values():
    digits, diabetes = data.load("digits"), data.load("diabetes")
    assert (digits.x.min(), digits.x.max()) == (0, 16)
    assert (data.load("wine").x.max(), data.load("breast_cancer").x.max()) == (1680, 4254)
    assert data.load("breast_cancer").x.min() == 0
    assert (diabetes.y.min(), diabetes.y.max()) == (25, 346)
    assert diabetes.y.dtype == np.float32
    assert diabetes.task == "regression"
    assert diabetes.n_outputs == 1
    assert abs(diabetes.x).max() < 0.2
    np.testing.assert_allclose(diabetes.x.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(np.square(diabetes.x).sum(axis=0), 1, atol=1e-5)


def test_the_files_together_are_small():
    assert sum(path.stat().st_size for path in pathlib.Path(packaged.FOLDER).iterdir()) < 150_000


def test_the_readme_records_the_checksum_of_every_file():
    readme = (packaged.FOLDER / "README.md").read_text(encoding="utf-8")
    for name in NAMES:
        content = (packaged.FOLDER / f"{name}.npz").read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        assert packaged.SHA256[name] == digest
        assert f"`{name}.npz`" in readme
        assert digest in readme


def test_every_load_gives_arrays_of_its_own():
    first, second = data.load("iris"), data.load("iris")
    first.x[:] = 0
    assert second.x.min() > 0


def _truncated(content):
    return content[:-100]


def _altered(content):
    return content[:500] + bytes([content[500] ^ 1]) + content[501:]


@pytest.mark.parametrize("damage", [_truncated, _altered, lambda content: b""])
def test_a_damaged_file_is_refused_with_the_fix(copy, damage):
    path = copy / "wine.npz"
    path.write_bytes(damage(path.read_bytes()))
    for read in (lambda: data.load("wine"), data.verify):
        with pytest.raises(ValueError, match=r"wine\.npz is damaged.*Reinstall: pip install"):
            read()
    assert len(data.load("iris")) == 150


def test_a_missing_file_is_refused_with_the_fix(copy):
    (copy / "iris.npz").unlink()
    with pytest.raises(ValueError, match=r"iris\.npz cannot be read .*Reinstall: pip install"):
        data.load("iris")


def test_an_npz_that_was_exchanged_is_refused(copy):
    np.savez_compressed(copy / "iris.npz", x=np.ones((3, 4)), y=np.zeros(3, int))
    with pytest.raises(ValueError, match="its SHA-256 is not the one recorded"):
        data.load("iris")


@pytest.mark.oracle
@pytest.mark.parametrize("name", NAMES)
def test_it_equals_scikit_learns_copy(name):
    datasets = importlib.import_module("sklearn.datasets")
    theirs = getattr(datasets, f"load_{name}")()
    ours = data.load(name)
    x = theirs.images if name == "digits" else theirs.data.astype(np.float32)
    np.testing.assert_array_equal(ours.x, x)
    np.testing.assert_array_equal(ours.y, theirs.target)
    if name != "digits":
        assert ours.feature_names == tuple(theirs.feature_names)
    if name != "diabetes":
        assert ours.class_names == tuple(map(str, theirs.target_names))
