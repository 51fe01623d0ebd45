"""A trained model of trees that answers by its neutral form, and so needs no library of its family to be opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ModelError
from synml_dagster.learners.base import TrainedModel, learner_of
from synml_dagster.learners.link import Link
from synml_dagster.learners.trees import TreeEnsemble

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from synml_dagster.files import ParquetFiles
    from synml_dagster.learners.tree_models.scores import TreeScorer


@dataclass
class TreeModel(TrainedModel):
    """A model whose text is trees.

    Predictions are sums of the leaves in float64; the library that grew them may sum in float32 and differ in the seventh
    digit.
    """

    def __repr__(self) -> str:
        """Say what it is in one line."""
        return f"{type(self).__name__}({self.objective}, {len(self.features)} features, {self.iterations} {learner_of(self.learner).round_name}s)"

    @property
    def form(self) -> TreeEnsemble:
        """The trees as arrays, read once."""
        known: TreeEnsemble | None = self.__dict__.get("_form")
        if known is None:
            found = learner_of(self.learner).form(self.text)
            assert isinstance(found, TreeEnsemble)
            known = self.__dict__["_form"] = found
        return known

    def importance(self) -> dict[str, float]:
        """Return each feature's gain over all splits, greatest first."""
        total = np.zeros(len(self.features))
        for tree in self.form.trees:
            np.add.at(total, tree.split_feature, np.maximum(tree.split_gain, 0))
        order = np.argsort(-total, kind="stable")
        return {self.features[i]: float(total[i]) for i in order}

    def predict(self, X: NDArray[np.float32], *, raw_score: bool = False) -> NDArray[np.float64]:
        """Return the prediction for each row of `X`, float32 `[n, features]`; see `TrainedModel.predict`."""
        if X.ndim != 2 or X.shape[1] != len(self.features):
            raise ModelError(f"the model takes [n, {len(self.features)}] values and got {list(X.shape)}.")
        raw = self._scorer().raw_scores(np.asarray(X, dtype=np.float32))
        if not raw_score:
            raw = (self.form.link or Link()).apply(raw) + self.label_offset
        return raw[:, 0] if raw.shape[1] == 1 else raw

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

    def _scorer(self) -> TreeScorer:
        from synml_dagster.learners.tree_models.scores import TreeScorer

        known: TreeScorer | None = self.__dict__.get("_scores")
        if known is None:
            known = self.__dict__["_scores"] = TreeScorer(self.form)
        return known
