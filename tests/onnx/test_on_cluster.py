"""A model whose weights are in files of their own reaches the executors of a real cluster of several workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.cluster import standalone_cluster, stop

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent
WEIGHTS = np.array([[1, 10], [2, 20]], np.float32)
SHIFT = np.array([0.5, -0.5], np.float32)


@pytest.fixture
def model(tmp_path):
    """`Y = X W + b`, with a file for each of the two."""
    nodes = [helper.make_node("MatMul", ["X", "W"], ["XW"]), helper.make_node("Add", ["XW", "b"], ["Y"])]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2]) for name in ("X", "Y")]
    constants = [numpy_helper.from_array(WEIGHTS, "W"), numpy_helper.from_array(SHIFT, "b")]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], constants)
    whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save_model(
        whole,
        str(tmp_path / "model.onnx"),
        save_as_external_data=True,
        all_tensors_to_one_file=False,
        size_threshold=0,
    )
    assert len(list(tmp_path.iterdir())) == 3
    return tmp_path


@pytest.mark.parametrize("kind", ["classic", "connect"])
def test_weights_in_several_files_reach_all_executors(model, kind):
    with standalone_cluster(workers=2, cores=1) as cluster:
        address, server = cluster.start_connect_server() if kind == "connect" else (cluster.master, None)
        try:
            ran = subprocess.run(
                [sys.executable, "-m", "tests.onnx.scoring_on_cluster", address, str(model)],
                cwd=ROOT,
                env=os.environ | {"PYSPARK_PYTHON": sys.executable},
                capture_output=True,
                text=True,
                timeout=300,
            )
        finally:
            if server:
                stop(server)
    assert ran.returncode == 0, ran.stderr[-3000:]
    answers = np.array(json.loads(ran.stdout.strip().splitlines()[-1]))
    a = np.arange(1000.0)
    np.testing.assert_allclose(answers, np.c_[a, np.c_[a, np.ones(1000)] @ WEIGHTS + SHIFT], rtol=1e-6)
