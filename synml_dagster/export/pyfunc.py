"""What MLflow opens a bundle by: `mlflow.pyfunc.load_model`, `mlflow models serve` and Spark UDFs answer as `Scorer` does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synml_dagster.onnx import OnnxModel, RowScorer, Scorer

if TYPE_CHECKING:
    import pandas as pd

LOADER = __name__
"""Named in the bundle's `MLmodel`; a module and no pickle, so that opening a bundle runs no code of its maker."""


class PipelineModel:
    """The pipeline of a bundle, with the interface that MLflow calls.

    Values are converted as in scoring on Spark: text that is a number will do for a number, null, NaN and "" are missing, and a
    column that is not there at all is missing in all rows.
    """

    def __init__(self, path: str) -> None:
        model = OnnxModel.load(path)
        self._scorer = Scorer(model)
        self._by_value = RowScorer(model)
        self._typed = {info.name for info in model.inputs if info.type != "string"}

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return `prediction`, and for classes `probability`: of the positive class, or a list with one for each class.

        Raises
        ------
        DataError
            A value does not fit its column; the message names the first.
        """
        import pandas as pd

        rows = pd.DataFrame(model_input) if not isinstance(model_input, pd.DataFrame) else model_input
        # Text, or values of several types, where numbers or dates are expected: JSON brings dates so.
        if len(rows) and any(rows[name].dtype == object for name in self._typed & set(rows.columns)):
            values = {
                str(name): column.astype(object).where(column.notna(), None).tolist()
                for name, column in rows.items()
            }
            answers = self._by_value.score(self._by_value.read(values, len(rows)))
            import pyarrow as pa

            return pa.table(answers, schema=self._by_value.schema).to_pandas()
        absent = [name for name in self._scorer.columns if name not in rows.columns]
        return self._scorer.score(rows.assign(**dict.fromkeys(absent))).to_pandas()


def _load_pyfunc(path: str) -> PipelineModel:
    """Open the bundle in the folder `path`; MLflow calls this."""
    return PipelineModel(path)
