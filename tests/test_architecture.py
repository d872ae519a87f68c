"""The house rules that a parser can hold: what may import what, who names a backend, how long."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import nstbench

PACKAGE = Path(nstbench.__file__).parent
MODULES = {path: ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}
LONGEST = 45  # lines of a function, its docstring aside

# Floors from the ground up; a module imports only from floors below its own, or from its own
# package. A package's name stands for all its modules.
FLOORS = (
    ("errors", "files", "notation"),
    ("outside", "pictures", "hardware", "winograd"),
    ("arguments", "run.schema", "run.clock", "run.lock"),
    ("engine", "run.machine"),
    ("networks",),
    ("transfer",),
    ("optimizers",),
    ("settings", "help"),
    ("transfer.problem",),
    ("run",),
    ("sweep", "check", "cost"),
    ("benchmark",),
    ("cli",),
)
# Beside the floors: what reads records, and programs of their own on top of the rest.
BESIDE = (
    "", "__main__", "report", "speed", "visualize", "style_transfer", "animate", "again", "export",
    "sheet",
)  # fmt: skip
BACKENDS = {"tensorflow", "jax", "torch"}
# An adapter of a library that is bound to one backend names it; the speed command has rivals.
MAY_NAME_A_BACKEND = ("engine", "optimizers.optax_adapter", "speed")
HEAVY = {*BACKENDS, "keras", "skimage", "hydra", "scipy", "matplotlib", "pandas"}
LONGEST_CLASS = 150  # lines


def name_of(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imported(tree):
    """Dotted names of all modules that a file imports, at the top or inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own(tree):
    """The modules of this package among them."""
    names = {name_of(path) for path in MODULES}
    mine = {name.removeprefix("nstbench.") for name in imported(tree) if "nstbench." in name}
    return {name for name in mine & names if not any(n.startswith(f"{name}.") for n in names)}


def floor(name):
    exact = [i for i, names in enumerate(FLOORS) if name in names]
    whole = [i for i, names in enumerate(FLOORS) if name.split(".")[0] in names]
    return (exact or whole or [None])[0]


def ids(paths):
    return [name_of(path) or "nstbench" for path in paths]


PLACED = [path for path in MODULES if floor(name_of(path)) is not None]


def test_every_module_has_its_place():
    loose = [n for n in map(name_of, MODULES) if floor(n) is None]
    assert [n for n in loose if n.split(".")[0] not in BESIDE] == []


@pytest.mark.parametrize("path", PLACED, ids=ids(PLACED))
def test_imports_point_down(path):
    here = name_of(path)
    for other in own(MODULES[path]):
        same_package = other.split(".")[0] == here.split(".")[0]
        if floor(other) is not None and not (same_package and floor(other) == floor(here)):
            assert floor(other) < floor(here), f"{here} imports {other}"


def test_only_the_engine_names_a_backend():
    naming = {
        name_of(path)
        for path, tree in MODULES.items()
        if any(name.split(".")[0] in BACKENDS for name in imported(tree))
    }
    assert {name for name in naming if not name.startswith(MAY_NAME_A_BACKEND)} == set()


def test_terms_of_the_loss_are_named_in_their_room_alone():
    """Elsewhere they go by whatever name the objective's YAML gives them."""
    words = {"term_content", "term_style", "term_variation", "tv"}
    rooms = ("transfer", "run.migrate", "report.data.migrations", "speed", "style_transfer")
    for path, tree in MODULES.items():
        if not name_of(path).startswith(rooms):
            texts = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)}
            assert not words & {text for text in texts if isinstance(text, str)}, path


def test_the_core_neither_prints_nor_reads_a_clock():
    for path in MODULES:
        if name_of(path).startswith(("transfer.", "optimizers.", "engine.", "networks.")):
            names = {n.id for n in ast.walk(MODULES[path]) if isinstance(n, ast.Name)}
            assert "print" not in names, path
            assert not {"time", "datetime"} & set(imported(MODULES[path])), path
            if "weights" not in path.parts:
                assert "open" not in names, path


def test_the_report_imports_neither_runner_nor_backend():
    for path in MODULES:
        if name_of(path).startswith("report"):
            names = {name.split(".")[0] for name in imported(MODULES[path])}
            assert not names & {*BACKENDS, "keras"}, path
            assert not own(MODULES[path]) & {"run.loop", "sweep.launch", "sweep.worker", "cli"}, (
                path
            )


@pytest.mark.parametrize(
    ("module", "heavy"),
    [("nstbench.cli", HEAVY), ("nstbench", HEAVY), ("nstbench.report", {*BACKENDS, "keras"})],
)
def test_importing_loads_nothing_heavy(module, heavy):
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & heavy


def functions():
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    for path, tree in MODULES.items():
        for node in ast.walk(tree):
            if isinstance(node, kinds):
                yield f"{name_of(path)}.{node.name}", node


def length(node):
    first = node.body[0]
    docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    described = first.end_lineno - first.lineno + 1 if docstring else 0
    return node.end_lineno - node.lineno + 1 - described


def test_functions_are_short():
    assert [name for name, node in functions() if length(node) > LONGEST] == []


def test_classes_are_short():
    long = [
        f"{name_of(path)}.{node.name}"
        for path, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.end_lineno - node.lineno > LONGEST_CLASS
    ]
    assert long == []


def test_no_setting_hides_in_keyword_arguments():
    """Hydra's options and a record's fields are passed on; drawings pass on their library's."""
    hiding = {name for name, node in functions() if node.args.kwarg}
    drawing = ("report.", "pictures.", "style_transfer.", "animate.", "visualize.", "cost.")
    drawing += ("sheet.",)
    passing_on = {"run.session.record", "optimizers.optax_adapter.update"}
    passing_on |= {"optimizers.scipy_adapter.iterated", "optimizers.schedules._call"}
    assert {name for name in hiding if not name.startswith(drawing)} <= passing_on


def test_nothing_mutable_lives_at_the_top_of_a_module():
    """Upper-case tables are constants; a lower-case name bound at the top would be a state."""
    for path, tree in MODULES.items():
        for node in tree.body:
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    text = ast.unparse(target).lstrip("(_")
                    assert text[:1].isupper() or text.startswith("all_"), f"{path.name}: {text}"
