"""Rules of the house that no linter knows.

- What works on classic Spark works on Spark Connect: `sparkContext`, `rdd`, the JVM and broadcasts are nowhere but in `spark/session.py`.
- No module imports one that imports it, by however many others, within functions or for types alone.
- A package is entered by its face, what `__all__` of its `__init__` names, or by one of its doors, and no private name leaves its package.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
HOUSE = ROOT / "synml_dagster"

BANNED = {"sparkContext", "rdd", "_jvm", "_jdf", "_jsc", "_sc", "broadcast"}
ALLOWED = {"synml_dagster/spark/session.py"}

DOORS: dict[str, str] = {
    # The pipeline is put together of all asset modules, each of which has one `build_...`.
    "assets": "champion evaluation feature_plan features gates groups live_evaluation model"
    " onnx_model raw reasons report scoring shadow stage sweep",
    # What checks and reports share with the measures: which there are, and the tables' columns.
    "balance": "counts disparities fairness",
    # The options and the judgement of each check, for the step that runs it; the challenger in shadow.
    "checks": "answers keys rows_seen shadow shadow_registry spec table_facts",
    # Below the plan, each module is one idea about raw columns, and features/ and onnx/ stand on all of them.
    "columns": "arrow_values match number_format raw same_words text_numbers time_format time_parsing unread values",
    # Words of values, and the partner of a feature, in pictures and on the page; the room of effects, and which values it asks about.
    "explain": "effects effects.grid interactions value_names value_texts",
    # How columns were fitted: for drift, and for labels that are trained without their offset.
    "features": "fitting.precision kinds",
    # How tasks read files by themselves: whoever builds work of its own beside `map_files`.
    "files": "file_splits filesystems mapping parquet_files xxhash",
    # What an asset asks of its own last materialization, and when its work begins.
    "io_managers": "bundle last_output partition_cut place spark_table work",
    # Rooms of families and what is shared between them, for exact explanations, the graph, ensembles, ml and sweeps.
    "learners": "ensemble judging lightgbm lightgbm.model_text one_process.rows onnx tree_models.compiled trees",
    # Graphs while they are built, and scoring as the work of tasks.
    "onnx": "forest graph outputs row_scorer scorer shipping spark_scoring worker",
    "partitions": "run_parts spec",
    # The modules are the face: each draws for one part of the report, and imports matplotlib when it draws.
    "plots": "drift effects evaluation explanations groups search style training",
    # MLflow without Dagster for serving/, the children of a run for sweeps, why a run was asked for, and why it failed.
    "resources": "data_directory mlflow mlflow_children mlflow_store model_registry reason run_tags said_first",
    "services": "batches.allowance batches.client batches.records description engine.outcome",
    # Which version of a source there is, and its files, for the sensor and for tasks that read by themselves.
    "sources": "files format settled version",
    # What all work on Spark shares.
    "spark": "messages options packages barrier_group local_disk quoting sampling session task_errors",
    # How versions lie on disk, for bundles and reports; how tasks write rows by themselves.
    "tables": "catalog plain_folder table task_writes versions",
    # A sweep in its steps, for the asset that runs one.
    "tuning": "aims choice ensemble feature_choice folds guard ledger losses runner trial",
}
"""By package the modules that others import from beside its face. They may change with the house; a face may not."""

WITHOUT_DAGSTER = {("cli", "resources"), ("serving", "resources")}
"""Who goes by doors alone: a face of Dagster's resources is no import for those who know nothing of Dagster."""


def main() -> int:
    """Print each place that breaks a rule, and return how many there are."""
    found, faces, used = 0, _faces(), set[str]()
    trees = {file: ast.parse(file.read_text(encoding="utf-8")) for file in sorted(HOUSE.rglob("*.py"))}
    for file, tree in trees.items():
        name = str(file.relative_to(ROOT))
        broken = [] if name in ALLOWED else list(_not_on_connect(tree))
        for line, said in (*broken, *_past_faces(tree, file, faces, used)):
            print(f"{name}:{line}: {said}")
            found += 1
    if circle := _circle(_imports(trees)):
        print(f"modules import each other in a circle: {' -> '.join(circle)}")
        found += 1
    for door in sorted(
        {f"{package}.{m}" for package, modules in DOORS.items() for m in modules.split()} - used
    ):
        print(f".ci/house.py: nobody goes through the door {door}")
        found += 1
    return found


def _not_on_connect(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in BANNED:
            yield node.lineno, f".{node.attr} belongs in spark/session.py alone"


def _imports(trees: dict[Path, ast.Module]) -> dict[str, set[str]]:
    """Return by module of the house the others that it imports, at whatever place in it."""
    modules = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): tree
        for file, tree in trees.items()
    }
    found: dict[str, set[str]] = {}
    for name, tree in modules.items():
        named = set[str]()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                inner = [f"{node.module}.{alias.name}" for alias in node.names]
                named.update(one if one in modules else str(node.module) for one in inner)
            elif isinstance(node, ast.Import):
                named.update(alias.name for alias in node.names)
        found[name] = (named & modules.keys()) - {name}
    return found


def _circle(imports: dict[str, set[str]]) -> list[str]:
    """Return modules each of which imports the next, back to the first; none where there is no circle."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as problem:
        return list(problem.args[1])[::-1]
    return []


def _faces() -> dict[str, set[str]]:
    """Return by package the names in its `__all__`."""
    found: dict[str, set[str]] = {}
    for face in HOUSE.glob("*/__init__.py"):
        found[face.parent.name] = set()
        for node in ast.parse(face.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and any(getattr(t, "id", "") == "__all__" for t in node.targets):
                found[face.parent.name] = set(ast.literal_eval(node.value))
    return found


def _past_faces(
    tree: ast.Module, file: Path, faces: dict[str, set[str]], used: set[str]
) -> Iterator[tuple[int, str]]:
    """Yield each import from another package that goes past its face, and note the doors that are used."""
    own = file.relative_to(HOUSE).parts[0]
    for node in ast.walk(tree):
        if not (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("synml_dagster.")):
            continue
        package, _, module = str(node.module).removeprefix("synml_dagster.").partition(".")
        if package == own or package not in faces:
            continue
        for name in (alias.name for alias in node.names):
            door = module or name
            if name.startswith("_"):
                yield node.lineno, f"{name} is private to {package}"
            elif name in faces[package] and (own, package) not in WITHOUT_DAGSTER:
                if module:
                    yield (
                        node.lineno,
                        f"{name} is on the face of {package}: import it from synml_dagster.{package}",
                    )
            elif door in DOORS.get(package, "").split():
                used.add(f"{package}.{door}")
            else:
                yield (
                    node.lineno,
                    f"{package}.{door} is no door of {package}: use its face, or say in .ci/house.py why not",
                )


if __name__ == "__main__":
    sys.exit(bool(main()))
