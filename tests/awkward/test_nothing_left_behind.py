"""What the libraries below would leave in the temporary folder and in the home is not there after a run."""

from __future__ import annotations

import os
import subprocess
import sys

_CODE = """
from pathlib import Path
from onnx import helper
from synml_dagster.onnx.runtime import open_session
from synml_dagster.resources.mlflow_store import create_store

one = [helper.make_tensor_value_info(n, 1, [1]) for n in "xy"]
graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", one[:1], one[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
open_session(model.SerializeToString(), threads=1, providers=["CPUExecutionProvider"])
create_store(Path("store") / "mlflow.db")
"""


def test_neither_locks_nor_telemetry_are_left_behind(tmp_path):
    places = {name: tmp_path / name for name in ("TMPDIR", "HOME", "work")}
    for place in places.values():
        place.mkdir()
    # A home of its own is one without the kept empty store, as on a new host.
    own = {k: v for k, v in os.environ.items() if k not in ("XDG_CACHE_HOME", "ORT_DISABLE_TELEMETRY")}
    own |= {"TMPDIR": str(places["TMPDIR"]), "HOME": str(places["HOME"])}
    own["PYTHONPATH"] = os.pathsep.join(sys.path)
    subprocess.run([sys.executable, "-c", _CODE], cwd=places["work"], env=own, check=True, timeout=120)
    assert list(places["TMPDIR"].iterdir()) == []
    assert not (places["HOME"] / ".cache" / "Microsoft").exists()
    assert (places["work"] / "store" / "mlflow.db").exists()
