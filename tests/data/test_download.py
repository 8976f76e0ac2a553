"""Fetching, with a stand-in for the network: mirrors in turn, checksums, nothing half-written."""

from __future__ import annotations

import hashlib
import http.client
import io
import urllib.error

import pytest

from tinygrad_opt import data
from tinygrad_opt.data import download
from tinygrad_opt.data.download import MIRRORS, File

pytestmark = pytest.mark.host

CONTENT = {name: name.encode() * 10 for name in download.MNIST}


@pytest.fixture
def network(monkeypatch, tmp_path):
    """What the mirrors answer by address, and a list of what was asked for."""

    class Network(dict):
        asked: list[str] = []

        def open(self, url, timeout):
            assert timeout > 0
            self.asked.append(url)
            answer = self.get(url, urllib.error.URLError("no route to host"))
            if isinstance(answer, Exception):
                raise answer
            return io.BytesIO(answer)

    answers = Network()
    answers.asked = []
    monkeypatch.setattr("urllib.request.urlopen", answers.open)
    monkeypatch.setenv("TINYGRAD_OPT_DATA", str(tmp_path / "cache"))
    known = {n: File(len(c), hashlib.sha256(c).hexdigest()) for n, c in CONTENT.items()}
    monkeypatch.setattr(download, "MNIST", known)
    return answers


def _serve(network, mirror, content=CONTENT):
    network.update({mirror + name: answer for name, answer in content.items()})


def test_four_files_are_fetched_from_the_first_mirror(network, tmp_path):
    _serve(network, MIRRORS[0])
    paths = data.fetch("mnist")
    assert [path.parent for path in paths] == [tmp_path / "cache" / "mnist"] * 4
    assert {path.name: path.read_bytes() for path in paths} == CONTENT
    assert network.asked == [MIRRORS[0] + name for name in CONTENT]
    assert sorted(path.name for path in paths[0].parent.iterdir()) == sorted(CONTENT)


def test_a_folder_of_ones_own_can_be_given(network, tmp_path):
    _serve(network, MIRRORS[0])
    assert data.fetch("mnist", tmp_path / "here" / "there")[0].parent == tmp_path / "here" / "there"


def test_what_is_there_already_is_not_fetched_again(network):
    _serve(network, MIRRORS[0])
    first = data.fetch("mnist")[2]
    network.asked.clear()
    data.fetch("mnist")
    assert network.asked == []
    first.write_bytes(b"damaged")
    data.fetch("mnist")
    assert network.asked == [MIRRORS[0] + first.name]
    assert first.read_bytes() == CONTENT[first.name]


@pytest.mark.parametrize(
    "answer",
    [
        urllib.error.HTTPError("", 404, "Not Found", None, io.BytesIO()),
        TimeoutError("timed out"),
        http.client.IncompleteRead(b"half"),
        b"another file",
        b"",
    ],
)
def test_the_second_mirror_stands_in_for_the_first(network, answer):
    _serve(network, MIRRORS[0], dict.fromkeys(CONTENT, answer))
    _serve(network, MIRRORS[1])
    assert {path.name: path.read_bytes() for path in data.fetch("mnist")} == CONTENT
    assert network.asked[:2] == [mirror + next(iter(CONTENT)) for mirror in MIRRORS]


def test_a_failure_names_both_mirrors_and_the_way_by_hand(network, tmp_path):
    name = next(iter(CONTENT))
    network[MIRRORS[1] + name] = b"another file"
    with pytest.raises(OSError, match=f"fetch: {name} could not be had") as caught:
        data.fetch("mnist")
    for part in (
        f"{MIRRORS[0]}{name}: <urlopen error no route to host>",
        f"{MIRRORS[1]}{name}: its SHA-256 is not that of MNIST's file",
        f"put them into {tmp_path / 'cache' / 'mnist'}",
        "load('mnist', folder=...)",
    ):
        assert part in str(caught.value)
    assert list((tmp_path / "cache" / "mnist").iterdir()) == []


def test_an_endless_answer_is_not_read_to_its_end(network, monkeypatch):
    class Endless(io.BytesIO):
        def read(self, size=-1):
            assert 0 < size <= 1000
            return b"x" * size

    monkeypatch.setattr("urllib.request.urlopen", lambda url, timeout: Endless())
    with pytest.raises(OSError, match="its SHA-256 is not that of MNIST's file"):
        data.fetch("mnist")


def test_an_interrupted_write_leaves_nothing_behind(network, tmp_path, monkeypatch):
    _serve(network, MIRRORS[0])

    def replace(part, path):
        assert str(part).endswith(".part")
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", replace)
    with pytest.raises(KeyboardInterrupt):
        data.fetch("mnist")
    assert list((tmp_path / "cache" / "mnist").iterdir()) == []


def test_only_mnist_is_fetched(network):
    with pytest.raises(ValueError, match=r"'fashion_mnist' cannot be fetched.*folder=\.\.\.\)"):
        data.fetch("fashion_mnist")
    assert network.asked == []


def test_verify_looks_at_packaged_and_at_fetched_files(network):
    packaged = ["digits.npz", "iris.npz", "wine.npz", "breast_cancer.npz", "diabetes.npz"]
    assert data.verify() == packaged
    _serve(network, MIRRORS[0])
    path = data.fetch("mnist")[0]
    assert data.verify() == packaged + list(CONTENT)
    path.write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"is damaged.*Fetch it again: tinygrad-opt data fetch"):
        data.verify()


def test_the_cache_folder_is_the_environments_or_in_the_home(monkeypatch, tmp_path):
    monkeypatch.setenv("TINYGRAD_OPT_DATA", str(tmp_path))
    assert data.cache_folder() == tmp_path
    monkeypatch.setenv("TINYGRAD_OPT_DATA", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data.cache_folder() == tmp_path / ".cache" / "tinygrad_opt"


def test_the_recorded_files_are_mnists():
    assert [file.size for file in download.MNIST.values()] == [9_912_422, 28_881, 1_648_877, 4_542]
    assert all(len(file.sha256) == 64 for file in download.MNIST.values())
