"""Saves and loads fitted stages beside pyspark.ml's own metadata: the model's files as rows, on any filesystem of Spark's."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReadable, MLReader, MLWriter

from synml_dagster.errors import ModelError

Stage = TypeVar("Stage", bound=MLReadable[Any])


class ModelWriter(MLWriter):
    """Writes a fitted stage."""

    def __init__(self, instance: Any) -> None:
        super().__init__()
        self.instance = instance

    def saveImpl(self, path: str) -> None:
        """Write the parameters and the model's files."""
        DefaultParamsWriter.saveMetadata(self.instance, path, self.sparkSession)
        with tempfile.TemporaryDirectory(prefix="synml-ml-") as folder:
            self.instance.model.save(folder)
            rows = [(f.name, f.read_text(encoding="utf-8")) for f in sorted(Path(folder).iterdir())]
        frame = self.sparkSession.createDataFrame(rows, "name string, content string")
        frame.coalesce(1).write.parquet(f"{path}/model")


class ModelReader(MLReader[Stage]):
    """Reads what `ModelWriter` wrote."""

    def __init__(self, stage: Callable[[Any], Stage], name: str) -> None:
        super().__init__()
        self.stage, self.name = stage, name

    def load(self, path: str) -> Stage:
        """Return the stage.

        Raises
        ------
        ModelError
            There is no such model, or it is of another class.
        """
        from synml_dagster.learners.lightgbm import LightGBMModel

        metadata = DefaultParamsReader.loadMetadata(path, self.sparkSession)
        if metadata["class"].rpartition(".")[2] != self.name:
            raise ModelError(f"{path!r} holds a {metadata['class']}, not a {self.name}.")
        with tempfile.TemporaryDirectory(prefix="synml-ml-") as folder:
            for row in self.sparkSession.read.parquet(f"{path}/model").collect():
                (Path(folder) / Path(row["name"]).name).write_text(row["content"], encoding="utf-8")
            model = LightGBMModel.load(folder)
        stage: Any = self.stage(model)
        stage._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(stage, metadata)
        return stage
