# %% [markdown]
"""# 15 · A fair race

Which optimizer is the best? Most comparisons that one sees are unfair, in one of three ways: all
got the same learning rate, which suits only some; one was tuned with care and the others were not;
or one lucky run was shown.

`teach.race` keeps the rules: the same start, the same budget (counted in gradients), and two
columns. First all at **one rate**, then each at **its own**, the best of the same number of trials
on the same grid.
"""

# %%
import sys
import textwrap

from tinygrad_opt import teach

# 28 rates from 10⁻⁵ to 10, or the 15 in the middle of them
TRIALS, GRID = (15, (1e-3, 1.2915)) if "--quick" in sys.argv else (28, (1e-5, 10.0))


def show(race):
    """Both columns and the words below them."""
    print(f"\n{race.task.name}, {race.task.evaluations} gradients; what is left of the loss")
    print(f"{'':9} {'all at η = 0.1':>18} {'at its own':>12} {'η':>9} {'trials lost':>12}")
    for name, racer in race.racers.items():
        common, own = (race.standing(name, column) for column in ("common", "tuned"))
        lost = f"{racer.diverged} of {len(racer.trials)}"
        print(f"{name:9} {common!s:>18} {own!s:>12} {racer.lr:9.2g} {lost:>12}")
    for line in race.verdict.splitlines():
        print(textwrap.fill(line, 96, initial_indent="- ", subsequent_indent="  "))


# %% [markdown]
"""## A bent valley

Rosenbrock's function, from (−1.2, 1).
"""

# %%
valley = teach.race("rosenbrock", "sgd,momentum,rmsprop,adam", lr=0.1, tune=TRIALS, grid=GRID)
show(valley)

common = {name: valley.standing(name, "common") for name in valley.racers}
own = {name: valley.standing(name, "tuned") for name in valley.racers}
assert common["sgd"].diverged and common["momentum"].diverged, "one rate for all: out at once"
assert not common["rmsprop"].diverged and not common["adam"].diverged
assert min(own, key=lambda name: own[name].final) == "momentum", "its own rate: it ends lowest"
assert min(own, key=lambda name: own[name].arrival) == "rmsprop", "it is first below a thousandth"

# %% [markdown]
"""At η = 0.1 the first two are thrown out in two steps, and one would say that they are useless. At
rates that suit them momentum ends lowest of all. A learning rate is not the same thing to two
rules: look at the lengths of the first steps.

And who wins depends on the question. RMSprop is the first that gets below a thousandth of the
starting loss; momentum gets there later and then goes on to less.

## A ravine, and the order turns round
"""

# %%
ravine = teach.race("ravine", "sgd,adam", lr=0.1, tune=TRIALS, grid=GRID, evaluations=60)
show(ravine)

common, own = (
    {name: ravine.standing(name, column).final for name in ravine.racers}
    for column in ("common", "tuned")
)
assert common["adam"] < 0.1 * common["sgd"], "at one rate Adam is far ahead"
assert own["sgd"] < 0.1 * own["adam"], "at its own, gradient descent is"

# %% [markdown]
"""Neither column is *the* truth. The first says what happens if nobody tunes; the second what is
possible if somebody does, and how broad the good range is: count the trials that were lost.

On data there is luck in every run: first weights, order of the batches. There `race` repeats each
run with five seeds, shows median and range, tunes on data that it does not report, and gives no
ranking to a single seed.

## Try

1. Give the race another common rate, 0.002. Who wins now? Could you make any of the four win?
2. Race on `himmelblau` and on `plateau`. Does any optimizer win everywhere?
3. `print(teach.race("iris", "sgd,momentum,adam", tune=5, evaluations=200))`. Do the ranges overlap?

On the command line:

    tinygrad-opt race rosenbrock --optimizers sgd,momentum,rmsprop,adam --tune 28
"""
