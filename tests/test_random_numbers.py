"""Random numbers: one seed for everything, and a stream that can be computed from any place on."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_opt as tg
from tests.helpers import host
from tests.simultaneous import at_once, in_thread
from tinygrad_opt.nn import functional as F
from tinygrad_opt.random_numbers import (
    PER_BLOCK,
    Stream,
    generator,
    manual_seed,
    stream,
    undisturbed,
)

WORD = 2**64 - 1


def philox4x64(counter: list[int], key: list[int]) -> list[int]:
    """Ten rounds, as in the paper, in integers without a limit."""
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2E7470EE14C6C93 * c[0], 0xCA5A826395121157 * c[2]
        c = [(b >> 64) ^ c[1] ^ k[0], b & WORD, (a >> 64) ^ c[3] ^ k[1], a & WORD]
        k = [(k[0] + 0x9E3779B97F4A7C15) & WORD, (k[1] + 0xBB67AE8584CAA73B) & WORD]
    return c


@pytest.mark.host
def test_the_rounds_give_the_published_answer() -> None:
    """The first known answer that the authors of Philox publish with their code."""
    assert [hex(word) for word in philox4x64([0] * 4, [0] * 2)] == [
        "0x16554d9eca36314c",
        "0xdb20fe9d672d0fdc",
        "0xd7e772cee186176b",
        "0x7e68b68aec7ba23b",
    ]


@pytest.mark.host
@pytest.mark.parametrize("first", [0, 5, 10**12])
def test_a_stream_is_philox_of_the_place(first: int) -> None:
    numbers = Stream(3)
    wanted = []
    for block in range(first, first + 3):
        for word in philox4x64([block + 1, 0, 0, 0], numbers.key.tolist()):
            wanted += [word & 0xFFFFFFFF, word >> 32]
    assert numbers.numbers(first, 21).tolist() == wanted[:21]


@pytest.mark.host
def test_a_stream_can_be_read_again_and_from_any_place_on() -> None:
    numbers = Stream(3)
    whole = numbers.numbers(0, 64)
    assert numbers.numbers(0, 64).tolist() == whole.tolist()
    assert numbers.numbers(2, 9).tolist() == whole[16:25].tolist()
    assert numbers.numbers(4, 8).tolist() == whole[32:40].tolist()


@pytest.mark.host
def test_reserved_numbers_do_not_overlap() -> None:
    numbers = Stream(0)
    assert [numbers.reserve(n) for n in (8, 9, 1, 0, 3)] == [0, 1, 3, 4, 4]


@pytest.mark.host
def test_a_seed_restarts_both_and_neither_disturbs_the_other() -> None:
    manual_seed(5)
    first, drawn = stream().numbers(0, 4).tolist(), generator().random(3).tolist()
    manual_seed(5)
    assert generator().random(3).tolist() == drawn
    assert stream().numbers(stream().reserve(4), 4).tolist() == first
    manual_seed(6)
    assert stream().numbers(0, 4).tolist() != first


def dropped(device: str, dtype: str) -> list[np.ndarray]:
    """Two dropouts of a layout that is not contiguous, and the gradients that come back."""
    manual_seed(11)
    x = tg.tensor(np.arange(1, 1036, dtype=dtype).reshape(5, 207), device=device)
    x.requires_grad_()
    first = F.dropout(x.T, 0.3)
    second = F.dropout(first, 0.5)
    second.backward(tg.ones(207, 5, dtype=dtype, device=device))
    return [host(first), host(second), host(x.grad)]


@pytest.mark.on("standin", "kernels", "cuda")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_masks_are_the_same_on_every_device(dtype: str) -> None:
    for here, there in zip(dropped("cpu", dtype), dropped("cuda", dtype), strict=True):
        np.testing.assert_array_equal(here, there)


def test_the_share_that_is_dropped() -> None:
    kept = host(F.dropout(tg.ones(100_000), 0.3)) > 0
    assert abs(kept.mean() - 0.7) < 0.006  # four standard deviations


def test_gradients_of_gradients_go_through_the_same_mask() -> None:
    x = tg.tensor([1.0, 2.0, 3.0, 4.0], dtype="float64", requires_grad=True)
    y = F.dropout(x, 0.5)
    (g,) = tg.grad((y * y).sum(), [x], create_graph=True)
    g.sum().backward()
    kept = host(y) != 0
    np.testing.assert_array_equal(host(x.grad), np.where(kept, 2 * 2.0**2, 0))


# ---- nothing drawn ----------------------------------------------------------------------------


@pytest.mark.parametrize("reseeded", [False, True])
def test_numbers_go_on_as_if_none_had_been_drawn_in_between(reseeded: bool) -> None:
    def some() -> list[object]:
        return [tg.rand(3).tolist(), F.dropout(tg.ones(30), 0.5).tolist(), stream().reserve(9)]

    manual_seed(4)
    some()
    expected = some()
    manual_seed(4)
    some()
    own = generator()
    with pytest.raises(KeyboardInterrupt), undisturbed():
        if reseeded:
            manual_seed(1)
        some()
        raise KeyboardInterrupt
    assert generator() is own
    assert some() == expected


# ---- threads ----------------------------------------------------------------------------------


def drawn_by(seed: int | None) -> list[object]:
    if seed is not None:
        manual_seed(seed)
    return [tg.rand(2).tolist(), F.dropout(tg.ones(30), 0.5).tolist(), stream().reserve(9)]


def test_a_thread_that_calls_manual_seed_draws_from_a_source_of_its_own() -> None:
    expected = drawn_by(3)
    manual_seed(4)
    before = drawn_by(None)
    manual_seed(4)
    assert in_thread(lambda: drawn_by(3)) == expected
    assert drawn_by(None) == before  # nothing was drawn here


def test_a_thread_without_a_seed_draws_from_the_source_of_the_main_thread() -> None:
    expected = [drawn_by(5), drawn_by(None)]
    manual_seed(5)
    own = generator()
    assert [in_thread(lambda: drawn_by(None)), drawn_by(None)] == expected
    assert in_thread(generator) is own


@pytest.mark.host
def test_what_threads_draw_from_one_source_is_given_out_once() -> None:
    manual_seed(6)
    numbers = stream()

    def draw() -> list[int]:
        return [numbers.reserve(PER_BLOCK) for _ in range(500)]

    assert sorted(block for blocks in at_once([draw] * 4) for block in blocks) == [*range(2000)]


@pytest.mark.host
def test_numbers_are_those_of_their_place_whoever_reads_beside() -> None:
    numbers = stream()
    expected = [numbers.numbers(i, 8).tolist() for i in range(20)]

    def read() -> list[list[int]]:
        return [numbers.numbers(i, 8).tolist() for i in range(20)]

    for _ in range(20):
        assert at_once([read] * 4) == [expected] * 4


@pytest.mark.host
def test_a_source_is_made_once_however_many_ask_for_it_first() -> None:
    for _ in range(100):
        manual_seed(7)
        assert len(set(map(id, at_once([stream] * 4)))) == 1


def test_nothing_is_drawn_in_a_thread_either() -> None:
    def draw() -> list[object]:
        with undisturbed():
            drawn_by(1)
        return drawn_by(None)

    expected = drawn_by(8)
    manual_seed(8)
    assert in_thread(draw) == expected  # from the shared source, which the thread still has
    assert in_thread(lambda: (manual_seed(8), draw())[1]) == expected
