"""Fair races: the reference numbers, the seven rules, and what is refused."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from tests.helpers import host
from tinygrad_opt import optim
from tinygrad_opt.random_numbers import generator, manual_seed
from tinygrad_opt.teach import SURFACES, History, Race, race
from tinygrad_opt.teach.race import NetworkTask, SurfaceTask, get_task

pytestmark = pytest.mark.on("cpu")  # the two tasks run elsewhere, where it says so
everywhere = pytest.mark.on("cpu", "standin", "kernels", "cuda")

SEVEN = ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adadelta", "adam"]


@pytest.fixture(scope="module")
def rosenbrock() -> Race:
    """The race of seven over 28 rates from 1e-5, but for the nine lowest, nobody's best."""
    return race("rosenbrock", SEVEN, tune=19, grid=(1e-3, 10.0))


# ---- the reference numbers --------------------------------------------------------------------

# Loss at lr 0.1 or the step at which it diverged, loss at the best of 28 rates, that rate.
ROSENBROCK = {
    "sgd": ("diverged, step 2", 0.159, 4.6e-3),
    "momentum": ("diverged, step 2", 8.6e-4, 2.8e-3),
    "nesterov": ("diverged, step 1", 4.6e-3, 1.7e-3),
    "adagrad": (3.73, 0.106, 1.3),
    "rmsprop": (0.556, 7.4e-3, 0.17),
    "adadelta": (8.57, 1.43, 10.0),
    "adam": (0.998, 1.7e-2, 0.77),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SEVEN)
def test_seven_rules_on_rosenbrock_end_where_they_are_known_to(rosenbrock: Race, name: str) -> None:
    common, best, rate = ROSENBROCK[name]
    racer, standing = rosenbrock.racers[name], rosenbrock.standing(name, "common")
    if isinstance(common, str):
        assert str(standing) == common
    else:
        assert standing.final == pytest.approx(common, rel=6e-3)
    assert rosenbrock.standing(name, "tuned").final == pytest.approx(best, rel=2e-2)
    assert racer.lr == pytest.approx(rate, rel=3e-2)
    assert racer.at_edge == (name == "adadelta")
    assert len(racer.trials) == 19


@pytest.mark.slow
def test_the_verdict_on_rosenbrock_names_both_winners_and_says_why(rosenbrock: Race) -> None:
    assert list(rosenbrock.ranks("common")) == ["rmsprop", "adam", "adagrad", "adadelta"]
    common, tuned, why, beside, *rest = rosenbrock.verdict.splitlines()
    assert common.startswith("With one rate for all, 0.1, rmsprop wins: loss − minimum 0.5562")
    assert common.endswith("sgd, momentum and nesterov diverge.")
    assert tuned.startswith("With its own rate each, the best of 19, rmsprop wins: 0.001 of the")
    assert "after 8 gradients" in tuned and "(momentum ends lower: 0.0008621)" in tuned
    assert "slope is 232.9, a rate of 0.1 makes a first step of 23.29 by sgd" in why
    assert "21.5 times too large for sgd" in beside and "too small for adam" in beside
    assert rest == ["adadelta: edge of the grid. A better rate may lie beyond it: widen the grid."]


def test_adam_beats_gradient_descent_in_the_ravine_until_both_are_tuned() -> None:
    found = race("ravine", ["sgd", "adam"], tune=28, evaluations=60)
    finals = {
        column: [found.standing(name, column).final for name in ("sgd", "adam")]
        for column in ("common", "tuned")
    }
    assert finals["common"] == [pytest.approx(0.0645, rel=1e-3), pytest.approx(0.0038, rel=2e-2)]
    assert finals["tuned"] == [pytest.approx(6.1e-6, rel=1e-2), pytest.approx(8.4e-4, rel=1e-2)]
    assert found.ranks("common") == {"adam": 1, "sgd": 2}
    assert found.ranks("tuned") == {"sgd": 1, "adam": 2}


# ---- the rules of a fair race -----------------------------------------------------------------


@everywhere
def test_everybody_starts_with_the_same_weights_and_sees_the_same_batches() -> None:
    found = race("iris", ["sgd", "adam", "lion"], lr=1e-9, tune=1, seeds=2, evaluations=9)
    sgd, *others = found.racers.values()
    for other in others:
        for mine, theirs in zip(sgd.common, other.common, strict=True):
            np.testing.assert_allclose(mine.loss, theirs.loss, rtol=1e-5)
    assert not np.allclose(sgd.common[0].loss, sgd.common[1].loss)


@everywhere
@pytest.mark.parametrize("task", ["rosenbrock", "iris"])
def test_the_budget_is_counted_in_gradients(task: str) -> None:
    found = race(task, ["sgd", "lbfgs"], lr=1e-3, tune=1, seeds=1, evaluations=60)
    sgd, lbfgs = (racer.common[0] for racer in found.racers.values())
    assert len(sgd) == sgd.evaluations[-1] == 60
    assert len(lbfgs) < lbfgs.evaluations[-1] <= 60


def test_everybody_tries_the_same_rates_and_the_common_one_among_them() -> None:
    found = race("bowl", ["sgd", "adam"], lr=0.3, tune=4, grid=(1e-3, 1.0), evaluations=20)
    tried = [[rate for rate, _ in racer.trials] for racer in found.racers.values()]
    assert tried[0] == tried[1] == pytest.approx([1e-3, 1e-2, 0.1, 0.3, 1.0])
    assert found.standing("sgd", "tuned").final <= found.standing("sgd", "common").final


def test_networks_are_tuned_on_examples_and_a_seed_that_are_not_reported() -> None:
    task = get_task("iris")
    assert isinstance(task, NetworkTask)
    assert [len(part) for part in (*task.splits[0], task.test)] == [96, 24, 30]
    seen: list[tuple[float, bytes]] = []

    def watched(params: Any, lr: float) -> optim.Optimizer:
        params = list(params)
        seen.append((lr, host(params[0]).tobytes()))
        return optim.SGD(params, lr=lr)

    race("iris", {"watched": watched}, lr=0.5, tune=2, grid=(0.1, 1.0), seeds=2, evaluations=4)
    tuning, reported = seen[2:11], [*seen[:2], *seen[11:]]
    assert [lr for lr, _ in tuning] == [0.1] * 3 + [0.5] * 3 + [1.0] * 3
    assert len({weights for _, weights in tuning}) == 3
    assert not {weights for _, weights in tuning} & {weights for _, weights in reported}
    assert len({weights for _, weights in reported}) == 2


def test_a_network_is_reported_by_median_and_range_and_told_apart_where_that_can_be() -> None:
    found = race("moons", ["sgd", "adam"], lr=0.03, tune=3, seeds=3, evaluations=60)
    for name, racer in found.racers.items():
        assert len(racer.common) == len(racer.tuned) == 3
        losses = [history.metrics["test_loss"][-1][1] for history in racer.common]
        assert found.standing(name, "common").final == sorted(losses)[1]
    assert found.ranks("common") == {"adam": 1, "sgd": 2}
    row = found.table()[0]
    assert "…" in row["at lr 0.03"] and "(" in row["at its own lr"]
    assert "Test accuracy at its own rate: sgd 0." in found.verdict


def test_too_close_to_call_is_said() -> None:
    twins = {"one": "sgd", "other": lambda params, lr: optim.SGD(params, lr=lr)}
    found = race("iris", twins, tune=1, seeds=2, evaluations=6)
    assert found.ranks("common") == {"one": 1, "other": 1}
    assert "wins" not in found.verdict and "win:" not in found.verdict
    assert "one and other are too close to call: their ranges overlap." in found.verdict


def test_one_seed_is_no_ranking_where_luck_plays_a_part() -> None:
    found = race("iris", ["sgd", "adam"], tune=1, seeds=1, evaluations=6)
    assert found.ranks("common") == found.ranks("tuned") == {}
    assert found.verdict.startswith("one seed: no ranking.")
    assert "wins" not in found.verdict
    assert {row["#"] for row in found.table()} == {"–"}


@everywhere
def test_a_surface_needs_one_run_unless_the_rule_draws_numbers() -> None:
    found = race("bowl", ["sgd", "sgld"], tune=2, evaluations=10)
    assert [len(racer.common) for racer in found.racers.values()] == [1, 5]
    assert [racer.random for racer in found.racers.values()] == [False, True]
    assert race("bowl", ["sgd"], tune=1, seeds=1, evaluations=3).ranks("common") == {"sgd": 1}


def test_to_pass_by_the_target_is_not_to_arrive() -> None:
    task = get_task("bowl", target=0.5)
    gaps = [9.0, 1.0, 8.0, 4.0, 3.0]
    record = History(
        step=np.arange(4), loss=np.array(gaps[:4]), evaluations=np.arange(1, 5), final_loss=3.0
    )
    assert task.arrival(record) == 3
    assert get_task("bowl", target=0.1).arrival(record) == math.inf


def test_what_is_left_below_rounding_counts_alike() -> None:
    found = race("bowl", ["sgd", "rmsprop"], lr=0.45, tune=1, target=1e-300, evaluations=60)
    left = [found.standing(name, "common").final for name in ("sgd", "rmsprop")]
    assert left[0] != left[1] and max(left) < 1e-12
    assert found.ranks("common") == {"sgd": 1, "rmsprop": 1}
    assert {row["at lr 0.45"] for row in found.table()} == {"<1e-12"}


def test_a_run_that_diverges_is_no_number() -> None:
    found = race("rosenbrock", ["sgd", "adam"], lr=1.0, tune=2, grid=(10.0, 100.0))
    sgd = found.racers["sgd"]
    assert found.table()[0]["at lr 1"] == "diverged, step 1"
    assert (sgd.lr, sgd.tuned, sgd.diverged) == (None, [], 3)
    assert "sgd diverges at every rate that was tried." in found.verdict
    assert "sgd" not in found.ranks("common") and found.ranks("common") == {"adam": 1}


def test_one_that_cannot_run_says_why_and_the_others_go_on() -> None:
    def broken(params: Any, lr: float) -> optim.Optimizer:
        raise RuntimeError("out of\n  luck")

    found = race(
        "bowl", {"broken": broken, "sophiag": "sophiag", "sgd": "sgd"}, tune=2, evaluations=5
    )
    assert found.racers["broken"].sentence == "out of luck"
    assert "sophiag cannot run: trace: SophiaG needs logits" in found.verdict
    assert found.ranks("common") == {"sgd": 1}
    assert found.table()[0]["at lr 0.1"] == found.table()[0]["time"] == "–"
    assert [row["lost"] for row in found.table()] == ["cannot run", "cannot run", "1 of 3"]


def test_one_that_fails_at_some_rates_runs_at_the_others() -> None:
    def fragile(params: Any, lr: float) -> optim.Optimizer:
        if lr > 0.05:
            raise ArithmeticError(f"lr {lr:g} is beyond me")
        return optim.SGD(params, lr=lr)

    found = race("bowl", {"fragile": fragile}, tune=2, grid=(0.01, 1.0), evaluations=9)
    racer = found.racers["fragile"]
    assert (racer.common, racer.lr, racer.diverged, racer.failed) == ([], 0.01, 0, 2)
    assert found.ranks("tuned") == {"fragile": 1}
    assert "fragile fails at some rates: lr 1 is beyond me" in found.verdict


def test_of_many_racers_the_verdict_names_the_extremes() -> None:
    names = ["sgd", "momentum", "adagrad", "rmsprop", "adadelta", "adam", "adamw", "nadam"]
    found = race("bowl", names, tune=2, evaluations=5)
    why = found.verdict.splitlines()[2]
    assert "slope is 6, a rate of 0.1 makes a first step of" in why
    assert "1 by rmsprop and 0.0003162 by adadelta." in why and "momentum" not in why


def test_rules_that_need_more_than_a_surface_race_on_networks() -> None:
    found = race("iris", ["muon", "sophiag", "sparseadam"], tune=1, seeds=1, evaluations=12)
    muon, sophia, sparse = found.racers.values()
    assert len(muon.common[0]) == len(sophia.common[0]) == 12
    assert "sparse" in sparse.sentence and not sparse.common


# ---- tasks and records ------------------------------------------------------------------------


def test_a_function_is_a_task_with_a_start_and_if_known_a_minimum() -> None:
    def bent(w: Any) -> Any:
        return ((w - 1) ** 4).sum() + 5

    known = race(bent, ["adam"], start=[2.0, 3.0], minimum=5.0, tune=2, evaluations=40)
    assert (known.task.name, known.task.unit) == ("bent", "loss − minimum")
    assert known.standing("adam", "common").final == pytest.approx(
        known.racers["adam"].common[0].final_gap
    )
    unknown = race(bent, ["adam", "sgd"], start=[2.0, 3.0], tune=2, lr=0.01, evaluations=40)
    assert unknown.task.unit == "loss" and unknown.task.goal == ""
    assert "target" not in unknown.table()[0]
    assert "wins: loss " in unknown.verdict


def test_a_surface_may_be_walked_from_elsewhere() -> None:
    found = race("bowl", ["sgd"], start=[3.0, -2.0, 1.0], tune=1, evaluations=3)
    record = found.racers["sgd"].common[0]
    assert record.w is not None and record.w[0].tolist() == [3.0, -2.0, 1.0]
    assert isinstance(found.task, SurfaceTask) and found.task.surface.name == "bowl"
    again = race(SURFACES["bowl"], ["sgd"], start=[3.0, -2.0, 1.0], tune=1, evaluations=3)
    assert again.racers["sgd"].common == found.racers["sgd"].common


def test_names_are_found_in_any_spelling_and_each_races_once() -> None:
    found = race("bowl", "gd, SGD,heavy-ball", tune=1, evaluations=3)
    assert list(found.racers) == ["sgd", "momentum"]


def test_the_same_seed_gives_the_same_race() -> None:
    first, second, other = (
        race("iris", ["adam"], tune=2, seeds=2, evaluations=8, seed=seed) for seed in (3, 3, 4)
    )
    assert first.racers["adam"].tuned == second.racers["adam"].tuned
    assert first.racers["adam"].trials == second.racers["adam"].trials
    assert first.racers["adam"].tuned != other.racers["adam"].tuned


def test_the_document_is_strict_and_holds_the_records() -> None:
    found = race("rosenbrock", ["sgd", "adam"], tune=3, evaluations=8)
    document = json.loads(found.to_json(), parse_constant=pytest.fail)
    assert document["schema"] == "tinygrad_opt.race/1" and document["verdict"] == found.verdict
    for name, racer in found.racers.items():
        for column in ("common", "tuned"):
            runs = document["racers"][name][column]["runs"]
            assert [History.from_json(json.dumps(run)) for run in runs] == racer.runs(column)
    lines = found.to_csv().splitlines()
    assert lines[0] == "optimizer,column,lr,run,evaluations,loss − minimum"
    assert lines[1].startswith("sgd,common,0.1,0,0,24.19999")


def test_after_every_racer_there_is_a_race_so_far() -> None:
    seen: list[tuple[int, list[str], str]] = []
    race(
        "bowl",
        ["sgd", "adam"],
        tune=1,
        evaluations=3,
        on_racer=lambda done, so_far: seen.append((done, list(so_far.racers), str(so_far))),
    )
    assert [(done, names) for done, names, _ in seen] == [(1, ["sgd"]), (2, ["sgd", "adam"])]
    assert seen[0][2].startswith("bowl: loss − minimum after 3 gradients.\ntarget: gradients until")
    assert "optimizer  at lr 0.1" in seen[0][2]


@pytest.fixture(params=[1, 2])
def unfinished(request: pytest.FixtureRequest) -> Race:
    """A race of three that is interrupted when so many have finished."""
    kept: list[Race] = []

    def interrupt(done: int, so_far: Race) -> None:
        if done == request.param:
            kept.append(so_far)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        race("bowl", ["sgd", "adam", "lion"], tune=1, evaluations=3, on_racer=interrupt)
    return kept[0]


def test_a_race_that_is_not_over_says_who_is_missing_and_has_no_winner(unfinished: Race) -> None:
    first, common, tuned, *_ = unfinished.verdict.splitlines()
    assert "win" not in unfinished.verdict
    if len(unfinished.racers) == 1:
        assert first == "This race is not over: adam and lion have not finished."
        assert common.startswith("With one rate for all, 0.1, sgd runs alone: loss − minimum ")
    else:
        assert first == "This race is not over: lion has not finished."
        assert common.startswith("With one rate for all, 0.1, sgd leads: loss − minimum ")
    assert tuned.startswith("With its own rate each, the best of 1, sgd ")


def test_those_that_are_missing_stand_in_table_and_files(unfinished: Race) -> None:
    missing = ["sgd", "adam", "lion"][len(unfinished.racers) :]
    rows = {row.pop("optimizer"): row for row in unfinished.table()}
    assert list(rows) == ["sgd", "adam", "lion"]
    for name in missing:
        assert rows[name].pop("lost") == "not run" and set(rows[name].values()) == {"–"}
    assert json.loads(unfinished.to_json())["missing"] == unfinished.missing == missing
    lines = unfinished.to_csv().splitlines()
    assert lines[-len(missing) :] == [f"{name},,,,," for name in missing]


def test_nobody_wins_a_race_alone() -> None:
    found = race("bowl", ["sgd"], tune=1, evaluations=3)
    assert found.missing == [] and "win" not in found.verdict
    assert found.verdict.startswith("With one rate for all, 0.1, sgd runs alone: loss − minimum ")


def test_what_makes_no_race_is_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"there is no task 'rosenbrok'\. Did you mean 'rosenbr"):
        race("rosenbrok", ["sgd"])
    with pytest.raises(ValueError, match=r"there is no optimizer 'adm'\. Did you mean 'adam'"):
        race("bowl", ["adm"])
    with pytest.raises(ValueError, match="there are no optimizers"):
        race("bowl", [])
    with pytest.raises(ValueError, match="only surfaces know where to start"):
        race(lambda w: w.sum(), ["sgd"])
    with pytest.raises(ValueError, match="0 evaluations are no budget"):
        race("bowl", ["sgd"], evaluations=0)
    for wrong in ({"lr": 0.0}, {"tune": 0}, {"seeds": 0}, {"grid": (1.0, 0.1)}, {"seed": -1}):
        with pytest.raises(ValueError, match="make no race"):
            race("bowl", ["sgd"], **wrong)


@pytest.mark.parametrize(
    ("task", "options", "says"),
    [
        ("rosenbrock", {"start": [3.0]}, "rosenbrock takes 2 numbers, not 1"),
        ("rosenbrock", {"hidden": (3,)}, "hidden is an option of data sets"),
        ("iris", {"start": [3.0]}, "start is an option of surfaces"),
        ("iris", {"target": math.nan}, "target is nan"),
        ("iris", {"target": -1.0}, "target is -1.0"),
        ("saddle", {"target": 0.1}, "the minimum, which is not known of saddle"),
    ],
)
def test_options_that_the_task_does_not_have_are_refused(
    task: str, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        race(task, ["sgd"], **options)


def test_an_option_that_nobody_has_is_refused_with_the_nearest() -> None:
    with pytest.raises(TypeError, match=r"no option 'hiden'\. Did you mean 'hidden'"):
        race("iris", ["sgd"], hiden=(3,))


def test_a_race_leaves_the_random_numbers_as_they_were() -> None:
    manual_seed(3)
    race("iris", ["sgd"], tune=1, seeds=2, evaluations=4)
    drawn = generator().random()
    manual_seed(3)
    assert drawn == generator().random()


def test_a_rate_is_said_to_suit_only_where_the_reported_runs_confirm_it() -> None:
    def stubborn(params: Any, lr: float) -> optim.Optimizer:
        return optim.SGD(params, lr=0.1)

    found = race("iris", {"stubborn": stubborn}, tune=3, seeds=2, evaluations=12)
    row = found.table()[0]
    assert row["lr"].endswith("(unsure)") or found.racers["stubborn"].lr == found.lr
    assert "times too" not in found.verdict
