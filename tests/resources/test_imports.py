"""Drawing the asset graph loads no heavy library."""

from __future__ import annotations

import json
import subprocess
import sys

_SCRIPT = """
import json, sys, time
import dagster
before = time.perf_counter()
import synml_dagster.io_managers, synml_dagster.resources, synml_dagster.spark
seconds = time.perf_counter() - before
heavy = ["pyspark", "dagster_pyspark", "mlflow", "pandas", "pyarrow", "matplotlib", "lightgbm", "fsspec", "sqlalchemy_utils"]
resources = synml_dagster.resources
resources.SparkResource(), resources.MLflowResource(), resources.DataDirectory()
synml_dagster.io_managers.SparkTableIOManager(spark=resources.SparkResource())
synml_dagster.io_managers.BundleIOManager()
print(json.dumps({"loaded": [m for m in heavy if m in sys.modules], "seconds": seconds}))
"""


def test_resources_and_io_managers_load_no_heavy_library():
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT], capture_output=True, text=True, timeout=120, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["loaded"] == []
    assert found["seconds"] < 2  # 0.06 s on a quiet machine
