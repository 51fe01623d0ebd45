"""Brings a model to Spark's executors, once each."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from synml_dagster.onnx.worker import Shipment

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from synml_dagster.onnx.model import OnnxModel

EMBEDDED = 8 * 2**20
"""Models up to this many bytes travel inside the task's function, which Spark sends once per executor and query: no file
to manage, and 8 MB unpickle in about 2 ms."""

_SENT: WeakKeyDictionary[SparkSession, dict[str, str]] = WeakKeyDictionary()


def ship(spark: SparkSession, model: OnnxModel) -> Shipment:
    """Return how tasks of `spark` open `model`; large models are sent as files, once per session."""
    from synml_dagster.spark import is_connect, is_local

    if model.size <= EMBEDDED and not model.external_files:
        return Shipment(model.digest, content=model.content)
    if is_local(spark) and not is_connect(spark):
        return Shipment(model.digest, path=str((model.path or _on_disk(model)).resolve()))
    sent = _SENT.setdefault(spark, {})
    if model.digest not in sent:
        # All files that Spark sends along lie in one folder, under their bare names.
        name = f"synml-{model.digest[:16]}"
        folder = _on_disk(model).parent
        weights = {old: f"{name}-{i}.weights" for i, old in enumerate(model.external_files)}
        for old, new in weights.items():
            (folder / old).rename(folder / new)
        (folder / "model.onnx").unlink()
        (folder / f"{name}.onnx").write_bytes(model.with_weights_in(weights))
        for file in (f"{name}.onnx", *weights.values()):
            # One by one: classic Spark takes the second of several for a flag.
            spark.addArtifacts(str(folder / file), file=True)
        sent[model.digest] = f"{name}.onnx"
    return Shipment(model.digest, artifact=sent[model.digest])


def _on_disk(model: OnnxModel) -> Path:
    """Write the model to a folder that lives as long as this process: a query reads it when it runs."""
    folder = Path(tempfile.mkdtemp(prefix="synml-onnx-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    model.save(folder)
    return folder / "model.onnx"
