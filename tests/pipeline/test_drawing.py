"""Drawing the graph is quick, because it loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys

HEAVY = [
    "pyspark",
    "lightgbm",
    "mlflow",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "optuna",
    "numba",
    "pandas",
    "pyarrow",
]


def loaded_after(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(' '.join(m for m in {HEAVY!r} if m in sys.modules))"
    return set(
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        ).stdout.split()
    )


def test_the_definitions_of_a_pipeline_load_nothing_heavy():
    code = (
        "from synml_dagster import MLPipeline\n"
        "MLPipeline(name='p', source='a.csv', label='b', automation={'on_new_data': 'score', 'score': '0 1 * * *'})"
        ".definitions().resolve_asset_graph()"
    )
    assert loaded_after(code) == set()


def test_the_compute_packages_load_no_dagster():
    code = "import synml_dagster.onnx, synml_dagster.learners.lightgbm, synml_dagster.explain, synml_dagster.tuning"
    script = f"{code}\nimport sys\nprint('dagster' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "False"
