"""Exercises can be solved, say nothing wrong of what is right, and know what is wrong."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.teach.solutions import EXAMPLES, SOLUTIONS, filled, unsolved, written
from tinygrad_opt.teach.exercises import (
    EXERCISES,
    Formula,
    Hint,
    Mistake,
    check,
    check_file,
    copy_exercise,
    verdicts,
)
from tinygrad_opt.teach.exercises.break_it import BROKEN

pytestmark = pytest.mark.host

FORMULAS = {name: one for name, one in EXERCISES.items() if isinstance(one, Formula)}

every_exercise = pytest.mark.parametrize("name", EXERCISES)
every_formula = pytest.mark.parametrize("name", FORMULAS)
every_mistake = pytest.mark.parametrize(
    ("exercise", "mistake"),
    [(exercise, mistake) for exercise in FORMULAS.values() for mistake in exercise.mistakes],
    ids=lambda one: one.name,
)


def hint_for(name: str, body: str) -> str:
    """What is said about a function with this body, or "" where nothing is."""
    try:
        check(name, written(name, body))
    except Hint as hint:
        return str(hint)
    return ""


def dedented(text: str) -> str:
    return "\n".join("        " + line.strip() for line in text.splitlines())


# ---- the files --------------------------------------------------------------------------------


def test_there_is_one_file_for_every_exercise() -> None:
    assert [path.name for path in sorted(EXAMPLES.glob("*.py"))] == sorted(
        exercise.file for exercise in EXERCISES.values()
    )
    assert list(SOLUTIONS) == list(EXERCISES)


@every_exercise
def test_the_file_declares_the_exercise_and_its_function_and_leaves_a_hole(name: str) -> None:
    exercise, text = EXERCISES[name], unsolved(name)
    assert f'EXERCISE = "{name}"\n' in text
    assert f"def {name}({', '.join(exercise.arguments)}):\n" in text
    assert f"def test_{name}():" in text
    assert f"tinygrad-opt check {exercise.file}\n" in text and f"pytest {exercise.file}\n" in text
    first, *others = verdicts(exercise, written(name, "        pass"))
    assert first.hint.startswith(("It gives nothing yet", "There are no inputs for 'square' yet."))
    assert {other.passed for other in others} == {None}


@every_exercise
def test_it_can_be_solved(name: str) -> None:
    found = verdicts(EXERCISES[name], written(name, SOLUTIONS[name]))
    assert [one for one in found if not one.passed] == []
    assert len(found) >= 4


@every_formula
def test_the_formula_that_mistakes_are_edits_of_is_the_librarys(name: str) -> None:
    assert all(one.passed for one in verdicts(FORMULAS[name], FORMULAS[name].with_mistakes()))


# ---- known mistakes ---------------------------------------------------------------------------


@every_mistake
def test_a_known_mistake_gets_its_own_hint(exercise: Formula, mistake: Mistake) -> None:
    with pytest.raises(Hint) as hint:
        check(exercise.name, exercise.with_mistakes(mistake))
    assert str(hint.value).endswith(f": {mistake.hint}")


@every_formula
def test_mistakes_have_names_of_their_own(name: str) -> None:
    names = [mistake.name for mistake in FORMULAS[name].mistakes]
    assert len(set(names)) == len(names) >= 9


def test_two_mistakes_at_once_get_both_hints() -> None:
    adam = FORMULAS["adam"]
    some = {mistake.name: mistake for mistake in adam.mistakes}
    two = some["uphill"], some["ε inside the root"]
    with pytest.raises(Hint) as hint:
        check("adam", adam.with_mistakes(*two))
    assert " Also: ".join(mistake.hint for mistake in two) in str(hint.value)


@every_formula
def test_any_two_mistakes_are_never_taken_for_right(name: str) -> None:
    exercise = FORMULAS[name]
    for two in itertools.combinations(exercise.mistakes[:4], 2):
        try:
            mistaken = exercise.with_mistakes(*two)
        except LookupError:
            continue
        with pytest.raises(Hint):
            check(name, mistaken)


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("momentum", "p = p + lr * (mu * b + g)\nreturn p, mu * b + g", "goes uphill"),
        ("momentum", "b = mu * b + (1 - mu) * g\nreturn p - lr * b, b", "a running sum"),
        ("momentum", "p = p - lr * b\nb = mu * b + g\nreturn p, b", "First bring b up to date"),
        ("momentum", "b = mu * b + lr * g\nreturn p - b, b", "η went into b"),
        (
            "rmsprop",
            "v = alpha * v + (1 - alpha) * g**2\nreturn p - lr * g / np.sqrt(v + eps), v",
            "ε stands inside the root",
        ),
        (
            "rmsprop",
            "v = alpha * v + (1 - alpha) * np.abs(g)\nreturn p - lr * g / (v + eps), v",
            "v should be 0.36 and is 0.06; there p = 3, g = 6, v = 0, lr = 0.1, alpha = 0.99",
        ),
        (
            "adam",
            "m = beta1 * m + (1 - beta1) * g\nv = beta2 * v + (1 - beta2) * g * g\n"
            "return p - lr * m / (np.sqrt(v) + eps), m, v",
            "The bias correction is missing",
        ),
        (
            "adam",
            "m = beta1 * m + (1 - beta1) * g\nv = beta2 * v + (1 - beta2) * g * g\n"
            "rate = lr * np.sqrt(1 - beta2**t) / (1 - beta1**t)\n"
            "return p - rate * m / (np.sqrt(v) + eps), m, v",
            "ε is added before v is corrected",
        ),
        (
            "adam",
            "m = beta1 * m + (1 - beta1) * g\nv = beta2 * v + (1 - beta2) * g ^ 2\nreturn p, m, v",
            "A power is written **",
        ),
        (
            "rmsprop",
            "v = alpha * v + (1 - alpha) * g**2\nreturn p - lr * (g / (v**0.5 + eps) + 1e-9), v",
            "p should be 2.00000001667 and is 2.00000001657;",
        ),
        ("momentum", "b = mu * b - lr * g\nreturn p + b, b", "the form of Keras"),
        ("relu_backward", "return g * (x >= 0)", "x > 0, not x ≥ 0"),
        ("relu_backward", "return (x > 0)", "multiplies it by the arriving g"),
        ("linear_backward", "return g @ w.T, g.T @ x, g.sum(0)", "transpose is forgotten"),
        ("linear_backward", "return g @ w, x.T @ g, g.sum(0)", "as w is, (K, D)"),
        (
            "cross_entropy_backward",
            "e = np.exp(logits - logits.max(1, keepdims=True))\n"
            "return e / e.sum(1, keepdims=True) / len(labels)",
            "1 is not subtracted at the label",
        ),
        (
            "cross_entropy_backward",
            "e = np.exp(logits)\ns = e / e.sum(1, keepdims=True)\n"
            "return (s - np.eye(s.shape[1])[labels]) / len(s)",
            "exp(1000) is infinite",
        ),
        (
            "cross_entropy_backward",
            "e = np.exp(logits - logits.max(1))\nreturn e / e.sum(1)",
            "could not be broadcast together with shapes (2,3) (2,). The shapes: logits (2, 3)",
        ),
        ("warmup_cosine", "return min(1.0, (t + 1) / (warmup + 1))", "should be 0.5 and is 1"),
    ],
)
def test_a_mistake_in_a_students_own_words_is_seen(name: str, body: str, said: str) -> None:
    assert said in hint_for(name, dedented(body))


# ---- wrong derivatives ------------------------------------------------------------------------

found = written("break_it", SOLUTIONS["break_it"])


# ---- mistakes of form -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("momentum", "b = mu * b + g\nreturn p - lr * b", "It gives one value. Asked for are 2"),
        ("momentum", "b = mu * b + g\nreturn [p - lr * b, b]", "It gives a list. Asked for are 2"),
        ("momentum", "b = mu * b + g\nreturn p - lr * b, b, g", "It gives 3 values. Asked for are"),
        ("momentum", "b = mu * b + g\nreturn b, p - lr * b", "their order is not: return p, b."),
        ("momentum", "return 'p', 'b'", "p is of the type str"),
        ("momentum", "return [p], b", "p is of the type list"),
        ("momentum", "return print, b", "p is of the type builtin_function_or_method"),
        (
            "momentum",
            "import tinygrad_opt as tg\nreturn tg.tensor(p), b",
            "p is a Tensor. Compute with NumPy",
        ),
        ("momentum", "return np.float32(p), b", "p is float32, though float64 went in"),
        (
            "momentum",
            "b = mu * b + h\nreturn p, b",
            "Line 28, `b = mu * b + h`, stops with NameError: name 'h' is not defined.",
        ),
        (
            "momentum",
            "raise SystemExit",
            "Line 28, `raise SystemExit`, stops with SystemExit.",
        ),
        (
            "momentum",
            "return momentum(p, g, b, lr, mu)",
            "The function calls itself, again and again.",
        ),
        (
            "momentum",
            "b *= mu\nb += g\nreturn p - lr * b, b",
            "what goes in stays as it is: b changes inside.",
        ),
        (
            "momentum",
            "b = mu * b + g\np -= lr * b\nreturn p, b",
            "what goes in stays as it is: p changes inside.",
        ),
        (
            "momentum",
            "b *= mu\nb += g\np -= lr * b\nreturn p, b",
            "what goes in stays as it is: p, b change inside.",
        ),
        ("relu_backward", "return np.where(x > 0, g, 7.0 * (g <= 0))", "should be 0 and is 7;"),
        (
            "rmsprop",
            "import math\nv = alpha * v + (1 - alpha) * g * g\n"
            "return p - lr * g / (math.sqrt(v) + eps), v",
            "math.sqrt take one number; np.sqrt takes arrays",
        ),
        ("relu_backward", "return g if x > 0 else 0", "An `if` decides once for a whole array"),
        ("relu_backward", "return g, x", "It gives 2 values. Asked for is one: return dx."),
        ("relu_backward", "return (g * (x > 0)).sum()", "dx has the shape () and should have (4,)"),
        (
            "relu_backward",
            "return np.ones_like(g)",
            "dx at [1] should be -2 and is 1; there g = -2, x = 5.",
        ),
        (
            "linear_backward",
            "return g @ w, g.T @ x, g.T @ g[0]",
            "db at [1] should be 2 and is 0; there",
        ),
        (
            "linear_backward",
            "return g.dot(w), x.T.dot(g).T + 0 * (w @ g), g.sum(0)",
            "The shapes: g (5, 3), x (5, 4), w (3, 4).",
        ),
    ],
)
def test_a_mistake_of_form_is_said(name: str, body: str, said: str) -> None:
    assert said in hint_for(name, dedented(body))


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_what_is_broken_passes_at_its_blind_inputs_and_says_what_is_special(broken) -> None:
    with pytest.raises(Hint) as hint:
        check("break_it", lambda name: broken.blind if name == broken.name else found(name))
    assert str(hint.value) == (
        f"{broken.name}: gradcheck objects: There gradcheck has nothing to object to. "
        f"{broken.nudge}"
    )


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (None, "There are no inputs for 'product' yet."),
        (1.0, "It cannot be computed there: "),
        (([1.0, 2.0], [1.0, 2.0, 3.0]), "It cannot be computed there: "),
        (("a", "b"), "It cannot be computed there: "),
        ((np.inf, 1.0), "There even the right derivative fails"),
    ],
)
def test_inputs_that_do_not_fit_are_said(inputs, said: str) -> None:
    with pytest.raises(Hint) as hint:
        check("break_it", lambda name: inputs if name == "product" else found(name))
    assert str(hint.value).startswith(f"product: gradcheck objects: {said}")


def test_other_arguments_are_noticed() -> None:
    with pytest.raises(Hint, match=r"called as momentum\(p, g, b, lr, mu\), in this order"):
        check("momentum", lambda p, g, b: (p, b))


def test_a_function_of_numpys_is_called_like_any_other() -> None:
    with pytest.raises(Hint, match="dx"):
        check("relu_backward", np.multiply)


def test_an_unknown_exercise_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"no exercise 'momentun'. Did you mean 'momentum'\?"):
        check("momentun", print)


# ---- whole files ------------------------------------------------------------------------------


def save(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_pytest_shows_the_hint_alone_and_passes_a_solution(tmp_path: Path) -> None:
    save(tmp_path / "ex03_momentum.py", unsolved("momentum"))
    save(tmp_path / "ex07_warmup_cosine.py", filled("warmup_cosine", SOLUTIONS["warmup_cosine"]))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short"]
    done = subprocess.run(
        [*command, *map(str, sorted(tmp_path.glob("ex*.py")))], capture_output=True, text=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 1
    assert "1 failed, 1 passed" in done.stdout
    assert "Hint: momentum(…) gives p and b: It gives nothing yet." in done.stdout
    assert "checking.py:" not in done.stdout


def test_a_file_is_known_by_what_it_declares_and_not_by_its_name(tmp_path: Path) -> None:
    text = "print('hello')\n" + filled("relu_backward", SOLUTIONS["relu_backward"])
    checked = check_file(save(tmp_path / "homework.py", text))
    assert checked.solved and checked.exercise == "relu_backward"
    assert checked.printed == "hello\n"
    lines = str(checked).splitlines()
    assert lines[0] == "relu_backward: the backward pass of ReLU"
    assert lines[1] == "  ✓ relu_backward(…) gives dx"
    assert lines[-1] == "Solved."


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("    # Your turn", "    import os; os._exit(0)\n    #"), "ended the program before"),
        (("def relu_backward(g, x):", "def relu_backward(g, x)"), "Line 23, `def relu_backward(g"),
        (("def relu_backward(g, x):", "def relu(g, x):"), "no function relu_backward any more"),
        (("import numpy as np", "import nunpy as np"), "ModuleNotFoundError: No module named 'nu"),
    ],
)
def test_a_file_that_cannot_be_checked_says_why(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    text = unsolved("relu_backward").replace(*change)
    checked = check_file(save(tmp_path / "homework.py", text))
    assert not checked.solved
    assert said in checked.trouble and said in str(checked)


def test_a_file_with_the_name_of_a_module_hides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "helper.py", "rate = 1\n")
    save(tmp_path / "random.py", "import helper\n" + filled("momentum", SOLUTIONS["momentum"]))
    assert check_file("random.py").solved
    assert sorted(path.name for path in tmp_path.iterdir()) == ["helper.py", "random.py"]


def test_an_endless_loop_ends(tmp_path: Path) -> None:
    text = filled("relu_backward", "        while True:\n            print(g)\n")
    checked = check_file(save(tmp_path / "homework.py", text), seconds=2)
    assert checked.trouble.startswith("It did not come to an end in 2 seconds.")


def test_much_that_is_printed_is_cut(tmp_path: Path) -> None:
    text = 'EXERCISE = "adam"\nprint("." * 100_000)\n'
    checked = check_file(save(tmp_path / "homework.py", text))
    assert checked.printed == "." * 2000
    assert "There is no function adam any more." in checked.trouble


def test_a_file_that_is_no_exercise_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no file"):
        check_file(tmp_path / "nowhere.py")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        check_file(tmp_path)
    with pytest.raises(ValueError, match="is no exercise: no line says which"):
        check_file(save(tmp_path / "a.py", "print(1)\n"))
    (tmp_path / "b.py").write_bytes(b"\xff\x00EXERCISE")
    with pytest.raises(ValueError, match="is no exercise: no line says which"):
        check_file(tmp_path / "b.py")
    with pytest.raises(ValueError, match=r"no exercise 'adem'. Did you mean 'adam'\?"):
        check_file(save(tmp_path / "c.py", 'EXERCISE = "adem"\n'))


@every_exercise
def test_a_copy_is_the_file_with_the_hole_and_never_goes_over_another(
    name: str, tmp_path: Path
) -> None:
    path = copy_exercise(name, tmp_path)
    assert path.read_text(encoding="utf-8") == unsolved(name)
    save(path, "a solution")
    with pytest.raises(FileExistsError, match="may hold your solution"):
        copy_exercise(name, tmp_path)
    assert path.read_text() == "a solution"
    with pytest.raises(OSError, match=r"cannot write .* Name a folder that exists"):
        copy_exercise(name, tmp_path / "nowhere")
