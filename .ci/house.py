"""Rules of the house that no linter knows: what works on classic Spark works on Spark Connect.

`sparkContext`, `rdd`, the JVM and broadcasts are nowhere but in `spark/session.py`.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

BANNED = {"sparkContext", "rdd", "_jvm", "_jdf", "_jsc", "_sc", "broadcast"}
ALLOWED = {"synml_dagster/spark/session.py"}


def main() -> int:
    """Print each place that breaks the rule, and return how many there are."""
    root, found = Path(__file__).parents[1], 0
    for file in sorted((root / "synml_dagster").rglob("*.py")):
        name = str(file.relative_to(root))
        if name in ALLOWED:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in BANNED:
                print(f"{name}:{node.lineno}: .{node.attr} belongs in spark/session.py alone")
                found += 1
    return found


if __name__ == "__main__":
    sys.exit(bool(main()))
