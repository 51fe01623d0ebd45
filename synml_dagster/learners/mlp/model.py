"""A trained multilayer perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ModelError
from synml_dagster.learners.base import TrainedModel
from synml_dagster.learners.mlp.text import read_network
from synml_dagster.learners.network import NetworkForm

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from synml_dagster.files import ParquetFiles


@dataclass
class PerceptronModel(TrainedModel):
    """A multilayer perceptron of rectified units.

    Attributes
    ----------
    text : str
        Its layers, see `synml_dagster.learners.mlp.text`.
    added_loss : list of float
        By feature, the loss that is added on validation rows where its values are shuffled.
    """

    learner: ClassVar[str] = "mlp"
    text_file: ClassVar[str] = "network.json"

    objective: str = "squared error"
    added_loss: list[float] = field(default_factory=list)

    def __repr__(self) -> str:
        """Say what it is in one line."""
        units = [self.form.first.num_outputs, *(len(bias) for bias in self.form.biases)]
        return f"PerceptronModel({self.objective}, {len(self.features)} features, layers of {' and '.join(map(str, units))})"

    @property
    def form(self) -> NetworkForm:
        """The layers as arrays, read once."""
        known: NetworkForm | None = self.__dict__.get("_form")
        if known is None:
            known = self.__dict__["_form"] = read_network(self.text)
        return known

    @property
    def iterations(self) -> int:
        """The epochs that the model was trained for."""
        return int(self.facts.get("epochs kept", 1))

    def importance(self) -> dict[str, float]:
        """Return by feature the loss that shuffling it adds, greatest first; 0 where it adds none."""
        pairs = sorted(zip(self.features, self.added_loss, strict=True), key=lambda pair: -pair[1])
        return {name: float(value) for name, value in pairs}

    def predict(self, X: NDArray[np.float32], *, raw_score: bool = False) -> NDArray[np.float64]:
        """Return the prediction for each row of `X`, float32 `[n, features]`; see `TrainedModel.predict`."""
        if X.ndim != 2 or X.shape[1] != len(self.features):
            raise ModelError(f"the model takes [n, {len(self.features)}] values and got {list(X.shape)}.")
        raw = self.form.raw_scores(np.asarray(X, dtype=np.float32))
        found = raw if raw_score else self.form.link.apply(raw)
        return found[:, 0] if found.shape[1] == 1 else found

    def transform(
        self,
        data: DataFrame | ParquetFiles,
        *,
        outputs: Sequence[str] = ("prediction", "probability"),
        keep: Sequence[str] | None = None,
        spark: SparkSession | None = None,
    ) -> DataFrame:
        """Score `data` on Spark; see `synml_dagster.learners.transform.transform`."""
        from synml_dagster.learners.transform import transform

        return transform(self, data, outputs=outputs, keep=keep, spark=spark)
