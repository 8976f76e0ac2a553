"""Saving and going on: everything to the bit, and nothing changed by a file that does not fit."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_opt as tg
from tinygrad_opt import optim
from tinygrad_opt.optim import OPTIMIZERS, lr_scheduler
from tinygrad_opt.optim.lr_scheduler import ScheduleLR

F = tg.nn.functional
GENERATOR = np.random.default_rng(1)
X, Y = GENERATOR.normal(size=(20, 4)).astype(np.float32), GENERATOR.integers(0, 3, 20)
NAMES = [name for name in OPTIMIZERS if name != "sparseadam"]


class Run:
    """All parts of a training, from the same beginning."""

    def __init__(self, make: Any) -> None:
        tg.manual_seed(0)
        layers = (tg.nn.Linear(4, 6), tg.nn.ReLU(), tg.nn.Dropout(0.2), tg.nn.Linear(6, 3))
        self.model = tg.nn.Sequential(*layers)
        self.loader = tg.data.DataLoader((X, Y), batch_size=8)
        self.optimizer = make(self.model)
        schedule = optim.parse("warmup(3) >> cosine(30)")
        self.scheduler = ScheduleLR(self.optimizer, schedule)

    @property
    def parts(self) -> dict[str, Any]:
        names = ("model", "loader", "optimizer", "scheduler")
        return {name: getattr(self, name) for name in names}

    def train(self, updates: int, at: int = -1, then: Any = None) -> list[float]:
        """The losses; after update ``at`` something else is done."""
        losses: list[float] = []
        while True:
            for x, y in self.loader:
                losses.append(self.update(x, y))
                if len(losses) == at:
                    then()
                if len(losses) == updates:
                    return losses

    def update(self, x: Any, y: Any) -> float:
        def closure() -> Any:
            self.optimizer.zero_grad()
            scores = self.model(x)
            loss = F.cross_entropy(scores, y)
            loss.backward()
            return (loss, scores) if isinstance(self.optimizer, optim.SophiaG) else loss

        found = self.optimizer.step(closure)
        self.scheduler.step()
        return float((found[0] if isinstance(found, tuple) else found).item())

    def weights(self) -> list[Any]:
        return [p.tolist() for p in self.model.parameters()]


def from_registry(name: str) -> Any:
    if name == "muon":
        return lambda model: optim.split_matrices(model, optim.Muon, optim.AdamW)
    return lambda model: OPTIMIZERS[name](model.parameters())


def adam(model: Any) -> Any:
    return optim.Adam(model.parameters(), lr=0.01)


WRAPPED = {
    "plain momentum, by names": lambda m: optim.SGD(m.named_parameters(), lr=0.1, momentum=0.9),
    "plain descent": lambda m: optim.SGD(m.parameters(), lr=0.1),
    "lookahead": lambda m: optim.Lookahead(adam(m), k=3),
    "lookahead twice": lambda m: optim.Lookahead(optim.Lookahead(adam(m), k=2), k=3),
    "two groups": lambda m: optim.AdamW(
        [{"params": list(m[0].parameters()), "lr": 0.1}, {"params": list(m[3].parameters())}]
    ),
}


# ---- going on ---------------------------------------------------------------------------------


def goes_on(make: Any, path: Path) -> None:
    whole, resumed = Run(make), Run(make)
    losses = whole.train(14, 7, lambda: tg.save(path, **whole.parts, epoch=3))
    resumed.train(2)  # everything stands elsewhere
    assert tg.load(path, **resumed.parts) == {"epoch": 3}
    assert resumed.train(7) == losses[7:]
    assert resumed.weights() == whole.weights()


@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_goes_on_to_the_bit(name: str, tmp_path: Path) -> None:
    goes_on(from_registry(name), tmp_path / "run.npz")


@pytest.mark.parametrize("name", WRAPPED)
def test_what_is_made_of_optimizers_goes_on_to_the_bit(name: str, tmp_path: Path) -> None:
    goes_on(WRAPPED[name], tmp_path / "run.npz")


def test_step_counts_come_back_where_pytorchs_layout_has_none(tmp_path: Path) -> None:
    run, other = Run(WRAPPED["plain descent"]), Run(WRAPPED["plain descent"])
    run.train(5)
    tg.save(tmp_path / "run.npz", **run.parts)
    tg.load(tmp_path / "run.npz", **other.parts)
    assert other.optimizer.step_count == 5
    assert other.optimizer.state_of(other.model[0].weight)["t"] == 5


def test_another_order_of_parameters_meets_by_name(tmp_path: Path) -> None:
    def backwards(model: Any) -> Any:
        return optim.Adam(list(model.parameters())[::-1], lr=0.01)

    run, other = Run(adam), Run(backwards)
    losses = run.train(9, 5, lambda: tg.save(tmp_path / "run.npz", **run.parts))
    tg.load(tmp_path / "run.npz", **other.parts)
    assert other.train(4) == losses[5:]


def test_an_optimizer_alone_meets_by_position(tmp_path: Path) -> None:
    run, other = Run(adam), Run(adam)
    run.train(3)
    tg.save(tmp_path / "run.npz", optimizer=run.optimizer)
    tg.load(tmp_path / "run.npz", optimizer=other.optimizer)
    assert other.optimizer.state_dict()["state"][0]["step"] == 3


def test_random_numbers_go_on_with_an_optimizer_and_else_stay(tmp_path: Path) -> None:
    run, generator = Run(adam), np.random.default_rng(7)
    tg.save(tmp_path / "run.npz", **run.parts, generator=generator)
    expected = tg.randn(3).tolist(), generator.normal()
    tg.load(tmp_path / "run.npz", model=run.model)
    assert tg.randn(3).tolist() != expected[0]
    tg.load(tmp_path / "run.npz", optimizer=run.optimizer, generator=generator, model=run.model)
    assert (tg.randn(3).tolist(), generator.normal()) == expected


# ---- plain data -------------------------------------------------------------------------------

PLAIN = {
    "number": 3,
    "large": 2**200,
    "float": 0.1,
    "not finite": [float("inf"), -float("inf")],
    "nothing": None,
    "yes": True,
    "pair": (1, ("a", [2.5])),
    "numbered": {0: "a", 1: {"$array": "no array"}},
    "empty": [{}, [], ()],
    "text": 'quotes " and ✓',
}


def test_plain_data_come_back_as_they_were(tmp_path: Path) -> None:
    tg.save(tmp_path / "run.npz", plain=PLAIN, nan=float("nan"))
    found = tg.load(tmp_path / "run.npz")
    assert found["plain"] == PLAIN
    assert type(found["plain"]["pair"]) is tuple
    assert np.isnan(found["nan"])


ARRAYS = {
    "scalar": np.array(3.5),
    "empty": np.zeros((0, 3), np.float32),
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "strided": np.arange(10)[::3],
    "reversed": np.arange(4)[::-1],
    "broadcast": np.broadcast_to(np.float32(2), (3, 2)),
    "part": np.arange(12).reshape(3, 4)[:, 1:3],
    "half": np.array([1.5, -np.inf], np.float16),
    "large endian": np.arange(3, dtype=">i4"),
    "truth": np.array([True, False]),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back_as_they_were(name: str, tmp_path: Path) -> None:
    array = ARRAYS[name]
    tg.save(tmp_path / "run.npz", file=array, allow_pickle=array, **{"a.b": array, "a": {"b": 1}})
    found = tg.load(tmp_path / "run.npz")
    for key in ("file", "allow_pickle", "a.b"):
        assert found[key].dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found[key], array, strict=False)
        assert found[key].shape == array.shape
        assert found[key].flags.writeable


def test_keys_that_look_alike_stay_apart(tmp_path: Path) -> None:
    one, two = np.array([1.0]), np.array([2.0])
    tg.save(tmp_path / "run.npz", a={"b.c": one, "b": {"c": two}})
    found = tg.load(tmp_path / "run.npz")["a"]
    assert (found["b.c"].item(), found["b"]["c"].item()) == (1.0, 2.0)


def test_a_file_can_be_read_without_this_package(tmp_path: Path) -> None:
    run = Run(adam)
    run.train(2)
    tg.save(tmp_path / "run.npz", **run.parts)
    with np.load(tmp_path / "run.npz") as file:
        np.testing.assert_array_equal(file["model.0.weight"], run.model.state_dict()["0.weight"])
        assert file["optimizer.state.0.weight.exp_avg"].shape == (6, 4)
        assert json.loads(file["meta.json"])["version"] == 1


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.npz", "two.npz"):
        run = Run(adam)
        run.train(3)
        tg.save(tmp_path / name, **run.parts)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


# ---- weights alone ----------------------------------------------------------------------------


def test_weights_alone_bear_their_own_names(tmp_path: Path) -> None:
    model, other = Run(adam).model, Run(adam).model
    for p in other.parameters():
        tg.nn.init.zeros_(p)
    tg.save(tmp_path / "weights.npz", model)
    assert list(tg.load(tmp_path / "weights.npz")) == list(model.state_dict())
    assert tg.load(tmp_path / "weights.npz", other) == {}
    assert [p.tolist() for p in other.parameters()] == [p.tolist() for p in model.parameters()]


def test_weights_of_a_whole_checkpoint(tmp_path: Path) -> None:
    run, other = Run(adam), Run(adam)
    run.train(2)
    tg.save(tmp_path / "run.npz", **run.parts)
    assert set(tg.load(tmp_path / "run.npz", other.model)) == {"optimizer", "scheduler", "loader"}
    assert other.weights() == run.weights()


def test_a_file_that_numpy_wrote(tmp_path: Path) -> None:
    model = tg.nn.Linear(2, 1)
    np.savez(tmp_path / "other.npz", weight=np.ones((1, 2)), bias=np.zeros(1))
    tg.load(tmp_path / "other.npz", model)
    assert model.weight.tolist() == [[1.0, 1.0]]


# ---- what does not fit ------------------------------------------------------------------------


def refused(path: Path, run: Run, kind: type[Exception], *words: str, **parts: Any) -> str:
    """The sentence; nothing of the run has changed."""
    before = run.weights(), str(run.optimizer.state_dict()), run.scheduler.state_dict()
    with pytest.raises(kind) as caught:
        tg.load(path, **(parts or run.parts))
    assert before == (run.weights(), str(run.optimizer.state_dict()), run.scheduler.state_dict())
    text = str(caught.value)
    for word in words:
        assert word in text
    assert text.endswith((".", "?"))
    return text


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    run = Run(adam)
    run.train(4)
    tg.save(tmp_path / "run.npz", **run.parts)
    return tmp_path / "run.npz"


def test_another_optimizer(saved: Path) -> None:
    run = Run(lambda model: optim.SGD(model.parameters(), lr=0.1, momentum=0.9))
    refused(saved, run, ValueError, f"load: {saved} does not fit. Its optimizer was Adam,")


def test_a_wrapper_that_was_not_there(saved: Path) -> None:
    refused(saved, Run(WRAPPED["lookahead"]), ValueError, "this is Lookahead(Adam). Build the one")


@pytest.mark.parametrize("around", [lambda one: one, optim.Lookahead])
def test_one_of_two_is_another(around: Any, tmp_path: Path) -> None:
    def two(second: Any) -> Any:
        first = (lambda name, p: name.startswith("0."), optim.Adam)
        rules = [first, (lambda name, p: True, second)]
        return lambda model: around(optim.MultiOptimizer(model.named_parameters(), rules))

    run = Run(two(optim.Adam))
    run.train(4)
    tg.save(tmp_path / "run.npz", **run.parts)
    other = Run(two(optim.Adagrad))
    other.train(2)
    refused(tmp_path / "run.npz", other, ValueError, "was", "MultiOptimizer(Adam, Adagrad)")


def test_states_that_look_alike(saved: Path, tmp_path: Path) -> None:
    adamw = Run(lambda model: optim.AdamW(model.parameters(), lr=0.01))
    refused(saved, adamw, ValueError, "Its optimizer was Adam, and this is AdamW. Build the one")
    saved_by = {"optimizer": optim.Lookahead(adam(adamw.model)), "model": adamw.model}
    tg.save(tmp_path / "lookahead.npz", **saved_by)
    around = {"optimizer": optim.SAM(adam(adamw.model)), "model": adamw.model}
    with pytest.raises(ValueError, match=r"was Lookahead\(Adam\), and this is SAM\(Adam\)\."):
        tg.load(tmp_path / "lookahead.npz", **around)
    for kind, made in (
        ("SequentialLR(LinearLR, StepLR)", sequential),
        ("LambdaLR", lambda o: lr_scheduler.LambdaLR(o, lambda t: 0.9**t)),
        ("MultiplicativeLR", lambda o: lr_scheduler.MultiplicativeLR(o, lambda t: 0.9)),
    ):
        tg.save(tmp_path / "schedule.npz", scheduler=made(adam(adamw.model)))
        words = f"Its scheduler was {kind}, and this is ScheduleLR."
        refused(tmp_path / "schedule.npz", adamw, ValueError, words, scheduler=adamw.scheduler)


def sequential(optimizer: Any) -> Any:
    parts = [lr_scheduler.LinearLR(optimizer), lr_scheduler.StepLR(optimizer, 2)]
    return lr_scheduler.SequentialLR(optimizer, parts, [3])


def test_other_groups(saved: Path, tmp_path: Path) -> None:
    two, one = Run(WRAPPED["two groups"]), Run(lambda m: optim.AdamW(m.parameters()))
    tg.save(tmp_path / "two.npz", **two.parts)
    words = "group 0 is 0.weight, 0.bias, 3.weight, 3.bias, and in the file 0.weight shares lr"
    refused(tmp_path / "two.npz", one, ValueError, words, "Build the groups that were saved.")
    tg.save(tmp_path / "one.npz", **one.parts)
    refused(tmp_path / "one.npz", two, ValueError, "group 0 is 0.weight, 0.bias, and in the file")


def test_names_need_the_model(saved: Path) -> None:
    run = Run(adam)
    words = "in the file its parameters have names, 0.weight the first. Load it together with the"
    refused(saved, run, ValueError, words, optimizer=run.optimizer)


def test_a_loop_goes_on_after_a_file_that_does_not_fit(saved: Path) -> None:
    run, passes = Run(lambda model: optim.SGD(model.parameters())), []
    for _ in range(2):
        passes.append([])
        for x, _ in run.loader:
            passes[-1].append(x.tolist())
            with pytest.raises(ValueError, match="does not fit"):
                tg.load(saved, **run.parts)
    undisturbed = Run(adam).loader
    assert passes == [[x.tolist() for x, _ in undisturbed] for _ in range(2)]


def test_another_model(saved: Path) -> None:
    run = Run(adam)
    run.model = tg.nn.Sequential(tg.nn.Linear(4, 5), tg.nn.Linear(5, 3))
    run.optimizer = adam(run.model)
    refused(saved, run, ValueError, "does not fit. load_state_dict:", "0.weight", "(6, 4)")


def test_other_parameters(saved: Path) -> None:
    run = Run(lambda model: optim.Adam(model[0].parameters()))
    refused(saved, run, ValueError, "which are not here", "3.weight")


def test_another_loader(saved: Path) -> None:
    run = Run(adam)
    run.loader = tg.data.DataLoader((X, Y), batch_size=5)
    refused(saved, run, ValueError, "batch_size 8, this loader has 5")


def test_a_part_that_is_not_there(saved: Path) -> None:
    run = Run(adam)
    text = refused(saved, run, ValueError, model=run.model, average=run.model)
    assert (
        text == f"load: {saved} has no average; it has model, loader, optimizer, scheduler, "
        "random_numbers."
    )


def test_weights_are_no_run(tmp_path: Path) -> None:
    run = Run(adam)
    tg.save(tmp_path / "w.npz", run.model)
    refused(tmp_path / "w.npz", run, ValueError, "holds weights alone")


def test_a_newer_version(saved: Path, tmp_path: Path) -> None:
    from tinygrad_opt.checkpoint.container import read, write

    arrays, text = read(saved)
    assert text is not None
    write(tmp_path / "new.npz", arrays, text.replace('"version": 1', '"version": 2'))
    text = refused(tmp_path / "new.npz", Run(adam), tg.CheckpointError)
    assert text == (
        f"load: {tmp_path / 'new.npz'} is of version 2, and this package reads up to 1. Update "
        "tinygrad-opt."
    )


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9, 0.999])
def test_a_file_that_was_cut(part: float, saved: Path) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(len(content) * part)])
    refused(saved, Run(adam), tg.CheckpointError, f"load: {saved} is damaged", "Take an older one")


def test_a_flipped_bit_anywhere(tmp_path: Path) -> None:
    model = tg.nn.Linear(2, 1)
    tg.save(tmp_path / "w.npz", model)
    content, expected = (tmp_path / "w.npz").read_bytes(), model.weight.tolist()
    noticed = 0
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        (tmp_path / "w.npz").write_bytes(flipped)
        try:
            tg.load(tmp_path / "w.npz", model)
        except tg.CheckpointError as error:
            assert str(error).startswith(f"load: {tmp_path / 'w.npz'} is ")
            noticed += 1
        assert model.weight.tolist() == expected
    assert noticed > len(content) / 2  # dates and the like are nobody's loss


def test_compressed_files_are_not_unpacked(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "bomb.npz", weight=np.zeros((1000, 1000)))
    with pytest.raises(tg.CheckpointError, match="may grow without end"):
        tg.load(tmp_path / "bomb.npz")


def test_sizes_are_compared_before_memory_is_taken(tmp_path: Path) -> None:
    header = b"\x93NUMPY\x01\x00\x76\x00" + (
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }".ljust(117) + b"\n"
    )
    with zipfile.ZipFile(tmp_path / "large.npz", "w") as file:
        file.writestr("weight.npy", header + b"\0" * 80)
    with pytest.raises(tg.CheckpointError, match="says to be larger"):
        tg.load(tmp_path / "large.npz")


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "object.npz", weight=np.array([object], dtype=object))
    with pytest.raises(tg.CheckpointError, match="is no number"):
        tg.load(tmp_path / "object.npz")


# ---- what cannot be saved ---------------------------------------------------------------------


def test_what_is_no_data(tmp_path: Path) -> None:
    with pytest.raises(TypeError) as caught:
        tg.save(tmp_path / "run.npz", thing={"inside": [object()]})
    assert str(caught.value) == (
        "save: thing.inside.0 is a object. A checkpoint holds numbers, text, arrays, lists and "
        "dicts, and what has a state_dict()."
    )
    with pytest.raises(TypeError, match="an array of object; a checkpoint holds numbers only"):
        tg.save(tmp_path / "run.npz", thing=np.array([object()]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["random_numbers", "kinds"])
def test_a_name_that_is_taken(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"save: a part called {name} is always there. Give yours"):
        tg.save(tmp_path / "run.npz", **{name: 5})


def test_the_file_comes_first(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"save: Linear is no path\. The file comes first"):
        tg.save(tg.nn.Linear(2, 1), tmp_path / "w.npz")  # type: ignore[arg-type]


def test_any_text_is_saved(tmp_path: Path) -> None:
    text = "ä 漢 \udc80 \0"
    tg.save(tmp_path / "run.npz", text=text)
    assert tg.load(tmp_path / "run.npz") == {"text": text}


def test_another_ending(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"run.pt is no .npz and no .safetensors; end the name"):
        tg.save(tmp_path / "run.pt", epoch=1)


def test_a_full_disk_leaves_the_old_one(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    before = saved.read_bytes()
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError) as caught:
        tg.save(saved, epoch=4)
    assert str(caught.value) == (
        f"save: cannot write {saved}: No space left on device. What was there before is untouched. "
        "Make room, or name a folder that exists and that you may write into."
    )
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"No such file or directory. Nothing was written."):
        tg.save(tmp_path / "none" / "run.npz", epoch=1)
    with pytest.raises(FileNotFoundError, match=r"cannot read .* Name a file that exists."):
        tg.load(tmp_path / "none.npz")


def test_what_has_no_end_is_not_read(tmp_path: Path) -> None:
    pipe, device = tmp_path / "pipe.npz", tmp_path / "device.npz"
    os.mkfifo(pipe)
    device.symlink_to("/dev/zero")
    for path in (pipe, device):
        with pytest.raises(OSError) as caught:
            tg.load(path)
        assert str(caught.value) == (
            f"load: cannot read {path}: it is no file but a pipe or a device. Name a file that "
            "exists."
        )
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(IsADirectoryError, match=r"folder\.npz: Is a directory\. Name a file"):
        tg.load(tmp_path / "folder.npz")


def test_a_name_that_no_file_can_have() -> None:
    with pytest.raises(OSError, match=r"load: cannot read .*: no name can hold the character NUL"):
        tg.load("a\0.npz")
    with pytest.raises(OSError, match=r"save: cannot write .*: no name can hold the character NUL"):
        tg.save("a\0.npz", epoch=1)


def test_weights_or_parts(tmp_path: Path) -> None:
    run = Run(adam)
    with pytest.raises(ValueError, match="weights alone, or parts by name"):
        tg.save(tmp_path / "run.npz", run.model, epoch=1)
    with pytest.raises(TypeError, match="Adam by position"):
        tg.save(tmp_path / "run.npz", run.optimizer)
