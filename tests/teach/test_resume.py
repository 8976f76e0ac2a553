"""A training that is stopped, or killed, goes on as if nothing had happened, to the bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_opt as tg
from tinygrad_opt import optim
from tinygrad_opt.optim import lr_scheduler
from tinygrad_opt.teach import History, fit

RANDOM = np.random.default_rng(1)
X, Y = RANDOM.normal(size=(30, 4)).astype(np.float32), RANDOM.integers(0, 3, 30)
UPDATES = 4 * 4  # four batches in a pass, four passes


class Killed(Exception):
    """What a test raises in the middle of a training."""


def adam(model: Any) -> Any:
    return optim.Adam(model.parameters(), lr=0.01)


def network() -> Any:
    return tg.nn.Sequential(
        tg.nn.Linear(4, 6),
        tg.nn.BatchNorm1d(6),
        tg.nn.ReLU(),
        tg.nn.Dropout(0.2),
        tg.nn.Linear(6, 3),
    )


def train(
    make: Callable[[Any], Any] = adam,
    schedule: Callable[[Any], Any] | None = None,
    killed_after: int | None = None,
    whole: bool = True,
    **options: Any,
) -> tuple[History, list[Any]]:
    """The record and the weights; with ``killed_after`` it dies before so many updates are done."""
    tg.manual_seed(0)
    model = network()
    optimizer = make(model)
    count = 0

    def kill(*_: Any) -> None:
        nonlocal count
        if count == killed_after:
            raise Killed
        count += 1

    optimizer.register_step_pre_hook(kill)
    data = tg.data.DataLoader((X, Y), batch_size=8)
    test = tg.data.DataLoader((X[:10], Y[:10]), batch_size=5)
    scheduler = schedule and schedule(optimizer)
    options.setdefault("epochs", 4)
    options.setdefault("test", test)
    history = fit(model, data, optimizer, scheduler=scheduler, **options)
    return history, [np.array(v) for v in model.state_dict().values()]


def same(a: tuple[History, list[Any]], b: tuple[History, list[Any]]) -> None:
    assert a[0] == b[0]
    for x, y in zip(a[1], b[1], strict=True):
        np.testing.assert_array_equal(x, y)


RUNS: dict[str, dict[str, Any]] = {
    "adam": {},
    "momentum by names": {"make": lambda m: optim.SGD(m.named_parameters(), 0.1, momentum=0.9)},
    "schedule-free": {"make": lambda m: optim.AdamWScheduleFree(m.parameters(), lr=0.01)},
    "lookahead": {"make": lambda m: optim.Lookahead(adam(m), k=3)},
    "accumulated": {"make": lambda m: optim.Accumulate(adam(m), k=3)},
    "one cycle": {"schedule": lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=UPDATES)},
    "plateau": {"schedule": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0)},
    "everything noted": {"norms": True, "snapshots": True, "l1": 1e-3, "l2": 1e-3},
    "a budget": {"evaluations": 11},
}


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("every", [None, 3])
def test_a_run_that_died_goes_on(name: str, every: int | None, tmp_path: Path) -> None:
    options = RUNS[name]
    expected = train(**options)
    for place, died_at in enumerate((0, 2, 4)):
        points = tg.Checkpoints(tmp_path / str(place), every)
        with pytest.raises(Killed):
            train(**options, checkpoints=points, killed_after=died_at)
        same(train(**options, checkpoints=points, resume=True), expected)


def test_it_may_die_again_and_again(tmp_path: Path) -> None:
    expected, deaths = train(), 0
    while True:
        try:
            found = train(
                checkpoints=tg.Checkpoints(tmp_path, every=1, keep=1), resume=True, killed_after=1
            )
        except Killed:
            deaths += 1
        else:
            break
    same(found, expected)
    assert deaths == UPDATES - 1


def test_what_is_over_is_over(tmp_path: Path) -> None:
    points = tg.Checkpoints(tmp_path)
    expected = train(checkpoints=points)
    same(train(checkpoints=points, resume=True, killed_after=0), expected)


ENDS: dict[str, tuple[dict[str, Any], int]] = {
    "of its passes": ({}, 16),
    "of its budget": ({"evaluations": 11}, 11),
    "of all hope": ({"make": lambda m: optim.SGD(m.parameters(), lr=1e9)}, 4),
}


@pytest.mark.parametrize("end", ENDS)
def test_every_end_is_saved(end: str, tmp_path: Path) -> None:
    options, updates = ENDS[end]
    points = tg.Checkpoints(tmp_path, every=1000)
    expected = train(**options, checkpoints=points)
    assert [path.name for path in points.paths()] == [f"step-{updates:08d}.npz"]
    same(train(**options, checkpoints=points, resume=True, killed_after=0), expected)


def test_resume_begins_where_there_is_nothing(tmp_path: Path) -> None:
    same(train(checkpoints=tg.Checkpoints(tmp_path), resume=True), train())


def test_more_passes_may_follow(tmp_path: Path) -> None:
    points = tg.Checkpoints(tmp_path)
    train(checkpoints=points, epochs=2)
    found = train(checkpoints=points, epochs=4, resume=True)
    same(found, train())


def test_stopped_by_hand_the_record_is_that_of_the_updates_so_far(tmp_path: Path) -> None:
    expected = train()
    asked = iter(range(100))
    points = tg.Checkpoints(tmp_path)
    history, _ = train(checkpoints=points, stop=lambda: next(asked) == 5)
    assert history.meta["stopped"] == "by hand"
    np.testing.assert_array_equal(history.loss, expected[0].loss[:6])
    assert [path.name for path in points.paths()] == ["step-00000004.npz", "step-00000006.npz"]
    same(train(checkpoints=points, resume=True), expected)


def test_stopped_by_hand_the_weights_are_those_to_evaluate(tmp_path: Path) -> None:
    averaging, asked = RUNS["schedule-free"], iter(range(100))
    points = tg.Checkpoints(tmp_path)
    _, weights = train(**averaging, checkpoints=points, stop=lambda: next(asked) == 3)
    for found, expected in zip(weights, train(**averaging, epochs=1)[1], strict=True):
        np.testing.assert_array_equal(found, expected)
    same(train(**averaging, checkpoints=points, resume=True), train(**averaging))


def test_a_list_of_batches_is_taken_up_in_its_middle(tmp_path: Path) -> None:
    def run(killed: bool = False, **options: Any) -> Any:
        tg.manual_seed(0)
        model = network()
        optimizer = adam(model)
        batches = [(tg.tensor(X[i : i + 8]), tg.tensor(Y[i : i + 8])) for i in range(0, 24, 8)]
        if killed:
            optimizer.register_step_pre_hook(lambda o, *_: die() if o.step_count == 5 else None)
        return fit(model, batches, optimizer, epochs=3, **options)

    def die() -> None:
        raise Killed

    points = tg.Checkpoints(tmp_path, every=2)
    with pytest.raises(Killed):
        run(killed=True, checkpoints=points)
    assert run(checkpoints=points, resume=True) == run()


# ---- the folder -------------------------------------------------------------------------------


def test_the_newest_are_kept(tmp_path: Path) -> None:
    points = tg.Checkpoints(tmp_path / "new" / "folder", every=1, keep=2)
    train(checkpoints=points)
    assert [path.name for path in points.paths()] == ["step-00000015.npz", "step-00000016.npz"]


def test_what_a_killed_save_left_behind_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".step-00000004.npz.1.2.part").write_text("half of a fi")
    (tmp_path / "notes.txt").write_text("mine")
    train(checkpoints=tg.Checkpoints(tmp_path, keep=1))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["notes.txt", "step-00000016.npz"]


def test_a_damaged_one_is_passed_over(tmp_path: Path) -> None:
    expected = train()
    points = tg.Checkpoints(tmp_path)
    train(checkpoints=points)
    newest = points.paths()[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    with pytest.warns(UserWarning, match=r"16.npz is damaged.*The one before is looked at."):
        same(train(checkpoints=points, resume=True), expected)


def test_what_is_no_checkpoint_of_a_run_is_passed_over(tmp_path: Path) -> None:
    expected = train()
    points = tg.Checkpoints(tmp_path)
    train(checkpoints=points)
    (tmp_path / "step-00000017.npz").mkdir()
    tg.save(tmp_path / "step-00000018.npz", tg.nn.Linear(2, 1))
    with pytest.warns(UserWarning) as said:
        same(train(checkpoints=points, resume=True), expected)
    texts = [str(one.message) for one in said]
    assert len(texts) == 2 and "holds weights alone" in texts[0] and "Is a directory" in texts[1]
    assert all(text.endswith("The one before is looked at.") for text in texts)


def test_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    points = tg.Checkpoints(tmp_path)
    with pytest.MonkeyPatch.context() as change:
        change.setattr("tinygrad_opt.checkpoint.VERSION", 2)
        points.save(2, epoch=1)
    points.save(3, epoch=2)
    points.paths()[-1].write_text("damaged")
    with (
        pytest.warns(UserWarning, match="step-00000003.npz is damaged"),
        pytest.raises(tg.CheckpointError, match=r"step-00000002.npz is of version 2, and this"),
    ):
        points.load()
    assert len(points.paths()) == 2


def test_what_was_written_stays_and_what_was_damaged_goes(tmp_path: Path) -> None:
    points = tg.Checkpoints(tmp_path, keep=1)
    for updates in (100, 200, 300):
        tg.Checkpoints(tmp_path).save(updates, epoch=updates)
    (tmp_path / "step-00000300.npz").write_text("damaged")
    with pytest.warns(UserWarning, match="damaged"):
        assert points.load() == {"epoch": 200}
    assert points.save(210, epoch=210).exists()
    assert [path.name for path in points.paths()] == ["step-00000210.npz"]
    assert tg.Checkpoints(tmp_path).load() == {"epoch": 210}


def test_numbers_of_updates_may_become_longer(tmp_path: Path) -> None:
    points = tg.Checkpoints(tmp_path, keep=1)
    for updates in (99_999_999, 100_000_000):
        assert points.save(updates, epoch=updates).exists()
    assert points.load() == {"epoch": 100_000_000}


def test_later_ones_of_another_run_are_not_mixed_with_its_own(tmp_path: Path) -> None:
    tg.Checkpoints(tmp_path).save(300, epoch=3)
    text = r"step-00000300\.npz is later than the 10 updates of this run\. Load it first to go on"
    with pytest.raises(ValueError, match=text):
        tg.Checkpoints(tmp_path).save(10, epoch=0)
    assert tg.Checkpoints(tmp_path).load() == {"epoch": 3}


def test_files_of_other_names_are_never_touched(tmp_path: Path) -> None:
    for name in ("step-1.npz", "step-000000001.npz", "step-00000001.npy", "Step-00000001.npz"):
        (tmp_path / name).write_text("mine")
    points = tg.Checkpoints(tmp_path, keep=1)
    points.save(10, epoch=0)
    points.save(123_456_789, epoch=1)
    assert len(list(tmp_path.iterdir())) == 5 and len(points.paths()) == 1
    assert points.load() == {"epoch": 1}


def test_what_a_run_is_is_said_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="about is said once, by Checkpoints"):
        tg.Checkpoints(tmp_path).save(1, about={"lr": 0.1})
    assert tg.Checkpoints(tmp_path).save(1, updates=3).exists()


def test_where_all_are_damaged_nothing_is_begun_in_silence(tmp_path: Path) -> None:
    (tmp_path / "step-00000016.npz").write_text("nothing")
    with (
        pytest.warns(UserWarning, match="damaged"),
        pytest.raises(tg.CheckpointError, match=r"^Checkpoints: no file in .* is whole\. Begin"),
    ):
        train(checkpoints=tg.Checkpoints(tmp_path), resume=True)


def test_another_run(tmp_path: Path) -> None:
    train(checkpoints=tg.Checkpoints(tmp_path, about={"lr": 0.01, "sizes": (4, 3), "seed": 0}))
    other = tg.Checkpoints(tmp_path, about={"lr": 0.02, "sizes": (4, 3), "batch": 8})
    with pytest.raises(ValueError) as caught:
        train(checkpoints=other, resume=True)
    assert str(caught.value) == (
        f"{tmp_path / 'step-00000016.npz'} is of another run: lr was 0.01 and is 0.02; batch was "
        "None and is 8; seed was 0 and is None. Give what was given then, or another folder."
    )


@pytest.mark.parametrize("stopped_at", [8, 9])
def test_fewer_passes_than_were_begun_are_refused(stopped_at: int, tmp_path: Path) -> None:
    points, begun = tg.Checkpoints(tmp_path, every=1), -(-stopped_at // 4)
    with pytest.raises(Killed):
        train(checkpoints=points, killed_after=stopped_at)
    with pytest.raises(ValueError, match=rf"fit: epochs is 1, and this run has begun pass {begun}"):
        train(checkpoints=points, resume=True, epochs=1)
    same(
        train(checkpoints=points, resume=True, epochs=begun, killed_after=4 * begun - stopped_at),
        train(epochs=begun),
    )


OTHERWISE: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"norms": True}, "norms was False and is True"),
    ({"norms": True}, {}, "norms was True and is False"),
    ({"evaluations": 11}, {"evaluations": 12}, "evaluations was 11 and is 12"),
    ({}, {"snapshots": True}, "snapshots was False and is True"),
    ({"l1": 0.1, "l2": 0.5}, {}, "l1 was 0.1 and is 0.0; l2 was 0.5 and is 0.0"),
    (
        {"schedule": lambda o: lr_scheduler.ExponentialLR(o, 0.9)},
        {},
        "scheduler was 'ExponentialLR' and is None",
    ),
    ({}, {"loss": tg.nn.functional.cross_entropy}, "loss was None and is 'cross_entropy'"),
    (
        {"schedule": lr_scheduler.ReduceLROnPlateau},
        {"schedule": lr_scheduler.ReduceLROnPlateau, "test": None},
        "the scheduler's metric was 'test_loss' and is 'train_loss'",
    ),
]


@pytest.mark.parametrize(("first", "second", "differ"), OTHERWISE)
def test_what_was_begun_in_another_way_is_not_gone_on_with(
    first: dict[str, Any], second: dict[str, Any], differ: str, tmp_path: Path
) -> None:
    points = tg.Checkpoints(tmp_path, every=3)
    with pytest.raises(Killed):
        train(**first, checkpoints=points, killed_after=4)
    with pytest.raises(ValueError) as caught:
        train(**second, checkpoints=points, resume=True, killed_after=0)
    assert str(caught.value) == (
        f"load: {tmp_path / 'step-00000003.npz'} does not fit. fit: this run was begun in another "
        f"way: {differ}. Give what was given then, or another folder."
    )
    same(train(**first, checkpoints=points, resume=True), train(**first))


def test_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^Checkpoints: every 0 and keep 3; both count from 1"):
        tg.Checkpoints(tmp_path, every=0)
    with pytest.raises(ValueError, match=r"keep 0; both count from 1"):
        tg.Checkpoints(tmp_path, keep=0)
    with pytest.raises(ValueError, match=r"^Checkpoints: every '5' and keep 1.5; both count"):
        tg.Checkpoints(tmp_path, every="5", keep=1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"kind is 'pt'; there are 'npz' and 'safetensors'\."):
        tg.Checkpoints(tmp_path, kind="pt")
    with pytest.raises(ValueError, match=r"^fit: resume from where\? Give checkpoints=Check"):
        train(resume=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"file is no folder and cannot be made one: File exists"):
        tg.Checkpoints(tmp_path / "file")
