"""What scaffolders of components share: the name of what they write, and an executor where there is none."""

from __future__ import annotations

from typing import Any

from dagster.components import ScaffoldRequest

_EXECUTOR = '''\
"""Steps run one after another in one process.

Each process of its own would start a Spark of its own: on one machine that costs more than it gains. With Spark Connect or
a cluster (SPARK_REMOTE, SPARK_MASTER), delete this file and independent steps run beside each other.
"""

import dagster as dg


@dg.definitions
def executor() -> dg.Definitions:
    return dg.Definitions(executor=dg.in_process_executor)
'''


def name_of(request: ScaffoldRequest[Any], prefix: str) -> str:
    """Return the folder's name as one of Dagster's, with `prefix` before it where it does not begin with a letter."""
    name = "".join(c if c.isalnum() and c.isascii() else "_" for c in request.target_path.name)
    return name if name[:1].isalpha() else f"{prefix}_{name}"


def write_executor(request: ScaffoldRequest[Any]) -> None:
    """Write an executor beside what is scaffolded, unless the code location speaks of one anywhere: two would not load."""
    package = request.target_path.parent
    while (package.parent / "__init__.py").exists():
        package = package.parent
    files = [*package.rglob("*.py"), *(request.project_root or package).glob("*.py")]
    if any("executor" in file.read_text(encoding="utf-8", errors="replace") for file in files):
        return
    executor = request.target_path.parent / "executor.py"
    executor.write_text(_EXECUTOR, encoding="utf-8")
    print(f"Steps run in one process: {executor} says why, and when to delete it.")
