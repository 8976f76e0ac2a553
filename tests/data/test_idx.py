"""IDX files, raw and compressed, whole and broken; MNIST from a folder of them."""

from __future__ import annotations

import gzip
import os
import struct

import numpy as np
import pytest

from tinygrad_opt import data
from tinygrad_opt.data import read_idx

pytestmark = pytest.mark.host


def idx(array):
    """A uint8 array as the bytes of an IDX file."""
    header = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 4), (2, 1, 3, 2), (0, 4)])
@pytest.mark.parametrize("compressed", [False, True])
def test_what_was_written_is_read(tmp_path, shape, compressed):
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    path = tmp_path / ("some.gz" if compressed else "some-idx-ubyte")
    path.write_bytes(gzip.compress(idx(array)) if compressed else idx(array))
    read = read_idx(path)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, array)


def test_the_magic_numbers_are_those_of_mnist():
    assert struct.unpack(">I", idx(np.zeros((1, 28, 28)))[:4]) == (2051,)
    assert struct.unpack(">I", idx(np.zeros(1))[:4]) == (2049,)


GOOD = idx(np.arange(12).reshape(3, 4))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "begins with nothing, not with 00 00 08"),
        (b"PK\x03\x04" + GOOD, "begins with 50 4b 03 04, not with 00 00 08"),
        (b"\0\0\x0d\x02" + GOOD[4:], "begins with 00 00 0d 02, not"),
        (b"\0\0\x08\x00" + GOOD[4:], "begins with 00 00 08 00, not"),
        (b"\0\0\x08\xff" + b"\xff" * 2000, "begins with 00 00 08 ff, not"),
        (GOOD[:9], "ends inside its header"),
        (GOOD[:-1], r"declares 12 bytes, \(3, 4\), and holds 11"),
        (GOOD + b"x", r"declares 12 bytes, \(3, 4\), and holds more"),
        (
            struct.pack(">4B3I", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1) + b"x" * 50,
            r"declares 79,228,162,458,924,105,385,300,197,375 bytes, .* more than 1,073,741,824",
        ),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_a_broken_file_is_a_sentence(tmp_path, content, sentence, compressed):
    path = tmp_path / ("broken.gz" if compressed else "broken")
    path.write_bytes(gzip.compress(content) if compressed else content)
    with pytest.raises(ValueError, match=sentence) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def test_a_damaged_archive_is_a_sentence(tmp_path):
    path = tmp_path / "images.gz"
    whole = gzip.compress(idx(np.random.default_rng(0).integers(0, 256, (50, 28, 28))))
    flipped = bytearray(whole)
    flipped[-6] ^= 1  # in the checksum at the end
    for content in (whole[:-200], whole[:-3], bytes(flipped), b"no archive at all"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"images\.gz: damaged or incomplete"):
            read_idx(path)


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_what_cannot_be_read_is_a_sentence(tmp_path, ending):
    pipe, device = tmp_path / f"pipe{ending}", tmp_path / f"device{ending}"
    os.mkfifo(pipe)
    device.symlink_to("/dev/zero")
    for path in (pipe, device):
        with pytest.raises(OSError) as caught:
            read_idx(path)
        assert str(caught.value) == (
            f"read_idx: {path} cannot be read: it is no file but a pipe or a device. Name a file."
        )
    with pytest.raises(OSError, match=r"cannot be read: no name can hold the character NUL\. Name"):
        read_idx(f"a\0{ending}")
    with pytest.raises(FileNotFoundError, match=r"cannot be read: No such file or directory\. Na"):
        read_idx(tmp_path / f"none{ending}")


# ---- four files in a folder -------------------------------------------------------------------


@pytest.fixture(scope="module")
def images():
    """MNIST's sizes with values that compress well: image i is filled with i mod 251."""
    return {
        n: np.broadcast_to(np.arange(n)[:, None, None] % 251, (n, 28, 28)) for n in (60000, 10000)
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory, images):
    """MNIST's four files: one compressed, one named with a dot, as some archives have it."""
    path = tmp_path_factory.mktemp("mnist")
    (path / "train-images-idx3-ubyte").write_bytes(idx(images[60000]))
    (path / "t10k-images.idx3-ubyte").write_bytes(idx(images[10000]))
    (path / "train-labels-idx1-ubyte").write_bytes(idx(np.arange(60000) % 10))
    packed = gzip.compress(idx(np.arange(10000) % 10))
    (path / "t10k-labels-idx1-ubyte.gz").write_bytes(packed)
    return path


def test_mnist_is_read_from_a_folder(folder):
    one = data.load("mnist", folder=folder)
    assert one.x.shape == (70000, 28, 28)
    assert one.x.dtype == np.uint8
    assert (one.n_features, one.n_classes, one.image_shape) == (784, 10, (28, 28))
    assert one.x[60001, 0, 0] == 1
    assert one.y[:3].tolist() == one.y[60000:60003].tolist() == [0, 1, 2]
    train, test = data.split(one)
    assert (len(train), len(test)) == (60000, 10000)
    small, _ = data.prepare(one.part(slice(500)))
    assert small.x.dtype == np.float32
    assert small.x.max() == np.float32(250 / 255)


def test_mnist_is_read_from_the_cache_folder(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TINYGRAD_OPT_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError) as caught:
        data.load("mnist")
    for part in (
        f"no train-images-idx3-ubyte.gz in {tmp_path / 'mnist'}",
        "tinygrad-opt data fetch mnist",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "t10k-labels-idx1-ubyte.gz",
    ):
        assert part in str(caught.value)
    (tmp_path / "mnist").symlink_to(folder)
    assert len(data.load("mnist")) == 70000


def test_fashion_mnist_is_read_from_a_folder_alone(folder, tmp_path):
    one = data.load("fashion_mnist", folder=folder)
    assert one.class_names[9] == "Ankle boot"
    with pytest.raises(FileNotFoundError, match=r"github\.com/zalandoresearch/fashion-mnist"):
        data.load("fashion-mnist", folder=tmp_path)


def test_files_of_another_size_or_with_other_labels_are_refused(folder, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    labels = tmp_path / "train-labels-idx1-ubyte"
    labels.unlink()
    labels.write_bytes(idx(np.zeros(600)))
    with pytest.raises(
        ValueError, match=r"holds \(600,\), and train-labels-idx1-ubyte of mnist holds \(60000,\)"
    ):
        data.load("mnist", folder=tmp_path)
    labels.write_bytes(idx(np.where(np.arange(60000) == 7, 10, 0)))
    with pytest.raises(
        ValueError, match=r"label 10 at position 7 is outside 0\.\.9 for 10 classes"
    ):
        data.load("mnist", folder=tmp_path)
