"""The house: which file may know which, what is imported, and how much there is to read."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.host

ROOT = Path(__file__).parents[1] / "tinygrad_opt"
FILES = sorted(ROOT.rglob("*.py"))
PACKAGE = "tinygrad_opt"

# From the ground up; those on one line do not know each other.
HOUSE = """
live locks names whole_file
device observer threads tracing random_numbers
constants homes kernels profile
operation
places arrays autograd dlpack
anomaly
ops
tensor
creation rows
capture derivatives gradcheck_report
gradcheck
nn optim
data checkpoint
teach
cli
__main__
"""
FLOOR = {part: floor for floor, parts in enumerate(HOUSE.splitlines()) for part in parts.split()}


def dotted(path: Path) -> str:
    """ops.fused; a package's name for its __init__."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {dotted(path): path for path in FILES}


def imports(path: Path, inside_functions: bool = True) -> Iterator[str]:
    """Absolute names of what a file imports, as far as they are modules."""
    here = dotted(path).split(".") if dotted(path) else []
    package = here if path.name == "__init__.py" else here[:-1]
    tree = ast.parse(path.read_text())
    nodes = ast.walk(tree) if inside_functions else at_import(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1]
            base += (node.module or "").split(".") if node.module else []
            for alias in node.names:
                inner = ".".join([*base, alias.name])
                yield f"{PACKAGE}." + (inner if inner in MODULES else ".".join(base))


def at_import(tree: ast.AST) -> Iterator[ast.AST]:
    """What runs when the file is imported: no function bodies, nothing for type checkers only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        yield from at_import(node)


def own(names: Iterator[str]) -> set[str]:
    """The ones of this package, without its name."""
    return {n.removeprefix(PACKAGE).lstrip(".") for n in names if n.split(".")[0] == PACKAGE}


every_file = pytest.mark.parametrize("path", FILES, ids=dotted)

# ---- arrows -----------------------------------------------------------------------------------


def test_every_file_has_its_place_in_the_house() -> None:
    assert {name.split(".")[0] for name in MODULES} - {""} == set(FLOOR)


@every_file
def test_no_arrow_points_up(path: Path) -> None:
    part = dotted(path).split(".")[0]
    if not part:
        return  # the package itself names what is public
    for name in own(imports(path)):
        other = name.split(".")[0]
        if other != part:
            assert other in FLOOR or FLOOR[part] > FLOOR["optim"], (
                f"{dotted(path)} imports the root"
            )
            assert FLOOR.get(other, -1) < FLOOR[part], f"{dotted(path)} imports {name}"


def test_no_circle() -> None:
    graph = {
        name: own(imports(path, inside_functions=False)) - {name} for name, path in MODULES.items()
    }
    order = list(graphlib.TopologicalSorter(graph).static_order())  # CycleError where there is one
    assert order.index("device") < order.index("operation") < order.index("tensor")


def test_nn_and_optim_do_not_know_each_other() -> None:
    for part, other in (("nn", "optim"), ("optim", "nn")):
        for path in (ROOT / part).rglob("*.py"):
            assert not {name for name in own(imports(path)) if name.split(".")[0] == other}


# ---- other libraries --------------------------------------------------------------------------


@every_file
def test_cupy_is_imported_in_device_alone(path: Path) -> None:
    tree = ast.parse(path.read_text())
    names = {name.split(".")[0] for name in imports(path)}
    names |= {
        node.args[0].value.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith(("import_module", "__import__"))
        and isinstance(node.args[0], ast.Constant)
    }
    assert ("cupy" in names) == (dotted(path) == "device")


OPTIONAL = {"rich", "matplotlib", "plotly", "numba", "sklearn", "cupy", "marimo", "torch", "PIL"}
OPTIONAL |= {"safetensors", "graphviz", "jupytext", "playwright"}


@every_file
def test_optional_libraries_are_imported_where_they_are_used(path: Path) -> None:
    at_once = {name.split(".")[0] for name in imports(path, inside_functions=False)}
    if dotted(path).startswith("cli"):
        at_once -= {"rich"}  # the command line is loaded by the command alone
    assert not at_once & OPTIONAL


def test_no_other_framework_is_used() -> None:
    for path in FILES:
        used = {name.split(".")[0] for name in imports(path)}
        assert not used & {"torch", "jax", "tensorflow", "tinygrad", "autograd", "scipy"}


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_importing_the_package_loads_numpy_and_nothing_heavy() -> None:
    loaded = set(run(f"import sys, {PACKAGE}; print(*sys.modules)").split())
    roots = {name.split(".")[0] for name in loaded}
    assert "numpy" in roots
    assert not roots & OPTIONAL
    assert not {name for name in loaded if name.startswith(f"{PACKAGE}.cli")}


def test_every_public_name_can_be_had() -> None:
    program = (
        f"import {PACKAGE} as tg\n"
        "names = [n for n in dir(tg) if n[0] != '_']\n"
        "assert all(hasattr(tg, n) for n in names)\n"
        "print(*names)"
    )
    names = set(run(program).split())
    assert names >= {
        "Tensor", "tensor", "zeros", "randn", "manual_seed", "grad", "no_grad", "enable_grad", "op",
        "fused", "vjp", "jvp", "jacobian", "hessian", "hvp", "gradcheck", "gradgradcheck", "exp",
        "matmul", "einsum", "cross_entropy", "nn", "optim", "Device", "DeviceError", "use_device",
        "profile", "capture",
    }  # fmt: skip


# ---- the text of operations -------------------------------------------------------------------

# An array may be on a GPU, so operations compute through xp. These two kinds of NumPy's names may
# stand in ops/: types, and what works on numbers that a caller wrote: widths to pad by, an index.
# checks.py looks into values too, after asking whether the array is NumPy's own.
ALLOWED = {
    "dtype",
    "integer",
    "intp",
    "ndarray",
    "array",
    "broadcast_to",
    "uint32",
    "uint64",
    "int64",
}
ALLOWED_IN_CHECKS = {"dtype", "ndarray", "maximum"}


@pytest.mark.parametrize("path", sorted((ROOT / "ops").glob("*.py")), ids=dotted)
def test_operations_compute_through_xp(path: Path) -> None:
    text = path.read_text()
    used = {
        node.attr
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("np", "numpy")
    }
    assert used <= (ALLOWED_IN_CHECKS if path.name == "checks.py" else ALLOWED)
    assert not {name for name in own(imports(path)) if name.split(".")[0] == "tensor"}


def test_rules_of_operations_know_no_tensor() -> None:
    for path in (ROOT / "ops").glob("*.py"):
        names = {n.id for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Name)}
        assert "Tensor" not in names


# ---- how much there is to read ----------------------------------------------------------------

MUST_READ = ["autograd", "ops/elementwise", "tensor", "optim/optimizer", "optim/adam"]


def lines_of_code(path: Path) -> int:
    """Without blank lines, comments and docstrings."""
    text = path.read_text()
    prose: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(
            node
        ):
            prose.update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    lines = enumerate(text.splitlines(), start=1)
    return sum(bool(s.strip()) and s.strip()[0] != "#" and i not in prose for i, s in lines)


def test_what_one_must_read_stays_short() -> None:
    """The five files that explain training hold under 1,100 lines of code."""
    assert sum(lines_of_code(ROOT / f"{name}.py") for name in MUST_READ) < 1100


@every_file
def test_a_file_begins_with_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))
