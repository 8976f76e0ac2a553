"""Batches: every example once a pass, an order that is seeded, and an exact way to go on."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.helpers import host
from tests.standin import strict_cupy
from tinygrad_opt import Device, Tensor, data
from tinygrad_opt.data import DataLoader
from tinygrad_opt.data.residence import DEPTH
from tinygrad_opt.random_numbers import generator


def _numbered(n=10, **options):
    """Examples 0..n−1 whose target is their number."""
    x = np.arange(n, dtype=np.float32)[:, None] * [1, 10]
    return DataLoader((x.astype(np.float32), np.arange(n)), **options)


def _pass(loader):
    """The numbers of the examples in each batch of one pass."""
    return [y.tolist() for _, y in loader]


def test_batches_are_tensors_whose_rows_belong_together():
    seen = []
    for x, y in _numbered(batch_size=4):
        assert isinstance(x, Tensor)
        assert x.dtype == np.float32
        assert y.dtype == np.int64
        assert not x.requires_grad
        np.testing.assert_array_equal(host(x)[:, 0], host(y))
        np.testing.assert_array_equal(host(x)[:, 1], 10 * host(y))
        seen += y.tolist()
    assert sorted(seen) == list(range(10))
    assert seen != list(range(10))


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({"batch_size": 4}, [4, 4, 2]),
        ({"batch_size": 4, "drop_last": True}, [4, 4]),
        ({"batch_size": 5, "drop_last": True}, [5, 5]),
        ({"batch_size": 1}, [1] * 10),
        ({"batch_size": None}, [10]),
        ({"batch_size": 64}, [10]),
        ({}, [10]),
    ],
)
def test_sizes_of_batches(options, sizes):
    loader = _numbered(**options)
    assert [len(batch) for batch in _pass(loader)] == sizes
    assert len(loader) == len(sizes)


def test_each_pass_has_a_new_order_and_the_seed_decides_all_of_them():
    first, second = _numbered(50, batch_size=50 // 2), _numbered(50, batch_size=50 // 2)
    passes = [_pass(first) for _ in range(3)]
    assert passes[0] != passes[1] != passes[2]
    assert passes == [_pass(second) for _ in range(3)]
    assert passes[0] != _pass(_numbered(50, batch_size=25, seed=1))


def test_the_order_touches_no_other_random_numbers():
    np.random.seed(5)  # noqa: NPY002
    ours, numpys = generator().bit_generator.state, np.random.get_state()[1].copy()  # noqa: NPY002
    _pass(_numbered(batch_size=2))
    assert generator().bit_generator.state == ours
    np.testing.assert_array_equal(np.random.get_state()[1], numpys)  # noqa: NPY002
    tg.manual_seed(1)
    one = _pass(_numbered(batch_size=2))
    tg.manual_seed(2)
    assert one == _pass(_numbered(batch_size=2))


def test_without_shuffle_the_order_is_that_of_the_data():
    loader = _numbered(batch_size=3, shuffle=False)
    assert _pass(loader) == _pass(loader) == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]


def test_a_full_batch_keeps_the_order_of_the_data():
    assert _pass(_numbered(batch_size=None)) == [list(range(10))]


@pytest.mark.parametrize("shuffle", [True, False])
def test_writing_into_a_batch_leaves_the_data_alone(shuffle):
    x = np.ones((6, 2), np.float32)
    for batch, _ in DataLoader((x, np.zeros(6, int)), batch_size=None, shuffle=shuffle):
        batch[:] = 0
    assert x.min() == 1


@pytest.mark.parametrize("batch_size", [1, 3, 4, None])
def test_a_pass_resumes_exactly_from_any_batch(batch_size):
    whole = _numbered(batch_size=batch_size)
    expected = [_pass(whole) for _ in range(4)]
    for stop in range(1, len(whole) + 1):
        loader = _numbered(batch_size=batch_size)
        _pass(loader)
        for count, _ in enumerate(loader, 1):
            if count == stop:
                state = json.loads(json.dumps(loader.state_dict()))
                break
        resumed = _numbered(batch_size=batch_size, seed=9)
        resumed.load_state_dict(state)
        assert resumed.epoch == 2
        assert _pass(resumed) == expected[1][stop:]
        assert _pass(resumed) == expected[2]
        assert _pass(resumed) == expected[3]


def test_a_state_saved_between_passes_begins_the_next():
    loader = _numbered(batch_size=4)
    _pass(loader)
    state = loader.state_dict()
    assert (state["epoch"], state["position"]) == (1, 0)
    resumed = _numbered(batch_size=4)
    resumed.load_state_dict(state)
    assert _pass(resumed) == _pass(loader)
    fresh = _numbered(batch_size=4)
    fresh.load_state_dict(_numbered(batch_size=4).state_dict())
    assert _pass(fresh) == _pass(_numbered(batch_size=4))


def test_a_pass_that_was_broken_off_is_not_repeated():
    loader, whole = _numbered(batch_size=2), _numbered(batch_size=2)
    expected = [_pass(whole) for _ in range(2)]
    next(iter(loader))
    assert _pass(loader) == expected[1]


def test_a_state_of_another_loader_is_refused():
    state = _numbered(batch_size=4).state_dict()
    with pytest.raises(ValueError, match=r"saved with batch_size 4, this loader has 5\. Build it"):
        _numbered(batch_size=5).load_state_dict(state)
    with pytest.raises(ValueError, match=r"saved with examples 10, this loader has 11\."):
        _numbered(11, batch_size=4).load_state_dict(state)
    with pytest.raises(ValueError, match=r"saved with shuffle 1, this loader has 0\."):
        _numbered(batch_size=4, shuffle=False).load_state_dict(state)
    with pytest.raises(ValueError, match=r"epoch 0 and position 9 cannot be: a pass has 3 batches"):
        _numbered(batch_size=4).load_state_dict({**state, "position": 9})
    with pytest.raises(ValueError, match="the saved state lacks seed, epoch"):
        _numbered(batch_size=4).load_state_dict({"position": 0, "batch_size": 4, "examples": 10})


@pytest.mark.parametrize("size", [0, -3, 2.0, "32", True])
def test_impossible_sizes_of_batches_are_refused(size):
    with pytest.raises(
        ValueError, match=r"batch_size is .* Give the number of examples in a batch"
    ):
        _numbered(batch_size=size)


def test_settings_that_leave_no_batch_are_refused():
    with pytest.raises(ValueError, match="10 examples fill no batch of 32, and drop_last leaves"):
        _numbered(batch_size=32, drop_last=True)
    with pytest.raises(ValueError, match=r"seed is -1; it counts from 0"):
        _numbered(seed=-1)


def test_bad_data_is_refused_when_the_loader_is_built():
    x, y = np.ones((4, 2), np.float32), np.zeros(4, int)
    with pytest.raises(ValueError, match=r"DataLoader: x of shape \(4, 2\) and y of shape \(3,\)"):
        DataLoader((x, y[:3]))
    with pytest.raises(ValueError, match=r"DataLoader: x of shape \(0, 2\) holds no examples"):
        DataLoader((x[:0], y[:0]))
    with pytest.raises(ValueError, match=r"DataLoader: x\[2, 1\] is nan\. Leave example 2 out"):
        bad = x.copy()
        bad[2, 1] = np.nan
        DataLoader((bad, y))
    with pytest.raises(
        ValueError, match=r"DataLoader: label -2 at position 3 is negative\. Labels"
    ):
        DataLoader((x, np.array([0, 1, 0, -2])))
    with pytest.raises(
        TypeError, match=r"DataLoader: give a Dataset or a pair \(x, y\), not a nda"
    ):
        DataLoader(x)


def test_tensors_lists_and_data_sets_are_taken():
    x, y = next(iter(DataLoader(([[0.5], [1.5]], [0, 1]), shuffle=False)))
    assert (x.dtype, y.dtype) == (np.float32, np.int64)
    x, y = next(iter(DataLoader((x, y), batch_size=1, shuffle=False)))
    assert (x.tolist(), y.tolist()) == ([[0.5]], [0])
    x, y = next(iter(DataLoader(data.load("iris"), batch_size=8)))
    assert (x.shape, y.shape) == ((8, 4), (8,))


def test_the_loader_follows_the_device(on_device):
    assert _numbered().device is on_device
    assert _numbered(device="cpu").device is Device("cpu")


@pytest.mark.on("cpu")
def test_the_loader_follows_the_environment(monkeypatch):
    monkeypatch.setenv("TINYGRAD_OPT_DEVICE", "nowhere")
    with pytest.raises(ValueError, match="'nowhere' is unknown"):
        _numbered()


def test_it_says_what_it_is(on_device):
    assert repr(_numbered(batch_size=4)) == (
        f"DataLoader(10 examples, 3 batches of 4, shuffled, seed 0, {on_device})"
    )


# ---- where the examples are kept --------------------------------------------------------------


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("batch_size", [1, 3, 10, None])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "bool"])
def test_batches_are_the_same_wherever_the_examples_are_kept(batch_size, shuffle, dtype):
    rng = np.random.default_rng(0)
    x, y = (rng.random((10, 3, 2)) * 3).astype(dtype), np.arange(10)
    same = {"batch_size": batch_size, "shuffle": shuffle}
    kept = [
        DataLoader((x, y), **same),
        DataLoader((x, y), keep_on="host", **same),
        DataLoader((x, y), device="cpu", **same),
    ]
    for _ in range(2 * DEPTH):
        for batches in zip(*kept, strict=True):
            for one, two, three in zip(*batches):
                assert one.dtype == two.dtype == three.dtype
                np.testing.assert_array_equal(host(one), host(three))
                np.testing.assert_array_equal(host(two), host(three))


@pytest.mark.parametrize("keep_on", ["device", "host"])
def test_a_batch_stays_what_it_is_while_others_come(keep_on):
    batches = list(_numbered(64, batch_size=4, keep_on=keep_on))
    seen = [n for _, y in batches for n in y.tolist()]
    assert sorted(seen) == list(range(64))
    assert [int(n) for x, _ in batches for n in host(x)[:, 0]] == seen


@pytest.mark.on("standin")
def test_a_pass_uploads_its_order_once_and_waits_for_nothing():
    loader = _numbered(64, batch_size=4)
    with strict_cupy.watch() as traffic:
        for _ in loader:
            pass
    assert (len(traffic.uploads), traffic.syncs) == (1, [])


@pytest.mark.on("standin")
def test_from_the_host_each_batch_is_uploaded_and_nothing_waits():
    loader = _numbered(64, batch_size=4, keep_on="host")
    with strict_cupy.watch() as traffic:
        for _ in loader:
            pass
    assert (len(traffic.uploads), traffic.syncs) == (2 * len(loader), [])


class SlowGPU:
    """It makes its copies in the order in which they were asked for, so many batches late."""

    def __init__(self, behind):
        self.behind, self.copies, self.made, self.waits = behind, [], 0, 0

    def make(self, count):
        for target, source in self.copies[self.made : max(count, 0)]:
            target._host[...] = source
            self.made += 1

    def event(self, **_):
        return Moment(self)


class Moment:
    """An event in its queue."""

    def __init__(self, gpu):
        self.gpu, self.place = gpu, 0

    def record(self):
        self.place = len(self.gpu.copies)
        self.gpu.make(self.place - 2 * self.gpu.behind)  # an x and a y each

    @property
    def done(self):
        return self.gpu.made >= self.place

    def synchronize(self):
        self.gpu.waits += 1
        self.gpu.make(self.place)


@pytest.mark.on("standin")
@pytest.mark.parametrize("behind", range(DEPTH + 3))
def test_no_buffer_is_filled_before_the_gpu_has_fetched_it(monkeypatch, behind):
    gpu = SlowGPU(behind)
    monkeypatch.setattr(strict_cupy.cupy.cuda, "Event", gpu.event)
    monkeypatch.setattr(
        strict_cupy.ndarray, "set", lambda array, source: gpu.copies.append((array, source))
    )
    loader = _numbered(64, batch_size=4, keep_on="host")
    batches = list(loader)
    waits = gpu.waits
    gpu.make(len(gpu.copies))
    for x, y in batches:
        np.testing.assert_array_equal(host(x)[:, 0], host(y))
    assert sorted(n for _, y in batches for n in y.tolist()) == list(range(64))
    assert bool(waits) == (behind >= DEPTH)
    gpu.made = 0
    del loader
    assert gpu.made == len(gpu.copies), "its buffers are others' only once they have been fetched"


@pytest.mark.on("standin")
def test_a_batch_goes_to_the_second_gpu_from_the_host():
    for x, y in _numbered(batch_size=4, keep_on="host", device="cuda:1"):
        assert x._data.device.id == y._data.device.id == 1
        np.testing.assert_array_equal(host(x)[:, 0], host(y))


def test_the_place_to_keep_examples_is_one_of_two():
    with pytest.raises(
        ValueError, match=r"keep_on is 'gpu'; the examples are kept on the 'device'"
    ):
        _numbered(keep_on="gpu")
