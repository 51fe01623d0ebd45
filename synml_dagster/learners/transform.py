"""Any trained model applied to a features table on Spark, by what its neutral form answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from synml_dagster.errors import ConfigError, did_you_mean
from synml_dagster.learners.link import Link
from synml_dagster.learners.raw_scores import RawScores, scorer_of
from synml_dagster.learners.registry import learner_module

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import DataType, StructType

    from synml_dagster.files import ParquetFiles
    from synml_dagster.learners.form import Form

OUTPUTS = ("prediction", "probability", "raw_score")


class FormOfText(Protocol):
    """What is asked of a trained model: its family makes the form of its text once more where rows are."""

    learner: ClassVar[str]
    text: str
    features: list[str]
    label_offset: float

    @property
    def form(self) -> Form:
        """The model in its neutral form."""


def transform(
    model: FormOfText,
    data: DataFrame | ParquetFiles,
    *,
    outputs: Sequence[str] = ("prediction", "probability"),
    keep: Sequence[str] | None = None,
    spark: SparkSession | None = None,
) -> DataFrame:
    """Score `data` on Spark, one thread a task.

    Parameters
    ----------
    data
        Holds the model's features.
    outputs
        Columns to add, of: `prediction` (the number of the class, or the value); `probability` (double: of the second class;
        an array for more than two; left out of models that do not classify); `raw_score` (double, or an array).
    keep
        Columns of `data` to keep; all by default.
    spark
        The session for files; the active one by default.

    Raises
    ------
    ConfigError
        An output or a column is not known, or the table has a column of an output's name.
    """
    from pyspark.sql import types as T

    from synml_dagster.files import ParquetFiles, map_files
    from synml_dagster.spark.session import active_session

    form = model.form
    wanted = checked_outputs(outputs, OUTPUTS, form.classifies)
    if isinstance(data, ParquetFiles):
        session = spark or active_session()
        frame = data.dataframe(session)
    else:
        session, frame = data.sparkSession, data
    columns = frame.columns
    kept = list(columns if keep is None else keep)
    known = set(columns)
    for name in [*kept, *model.features]:
        if name not in known:
            raise ConfigError(f"the table has no column {name!r}.{did_you_mean(name, columns)}")
    number: Any = T.DoubleType()
    scores = T.ArrayType(number) if form.num_outputs > 1 else number
    kinds = {
        "prediction": T.IntegerType() if form.classifies else number,
        "probability": scores,
        "raw_score": scores,
    }
    schema = scored_schema(frame, kept, {name: kinds[name] for name in wanted})
    make = _Scored(model.learner, model.text, len(kept), tuple(wanted), model.label_offset)
    return map_files(session, data, [*kept, *model.features], make, schema)


def checked_outputs(outputs: Sequence[str], known: Sequence[str], classifies: bool) -> list[str]:
    """Return the outputs to make: all but the probabilities of a model that does not classify.

    Raises
    ------
    ConfigError
        One is not among those that are `known`.
    """
    for name in outputs:
        if name not in known:
            raise ConfigError(f"outputs: there is no {name!r}.{did_you_mean(name, known)}")
    return [name for name in outputs if name != "probability" or classifies]


def scored_schema(frame: DataFrame, kept: Sequence[str], outputs: Mapping[str, DataType]) -> StructType:
    """Return the schema of the columns to keep, and behind them the outputs by name.

    Raises
    ------
    ConfigError
        A column to keep has an output's name.
    """
    from synml_dagster.spark.quoting import quoted

    schema = frame.select(*[quoted(name) for name in kept]).schema
    for name, kind in outputs.items():
        if name in kept:
            raise ConfigError(f"the table already has a column {name!r}. Leave it out of keep, or rename it.")
        schema = schema.add(name, kind)
    return schema


@lru_cache(maxsize=2)
def _opened(learner: str, text: str) -> tuple[RawScores, Link, bool]:
    """Return what scores rows, its link and whether it tells classes apart."""
    form = learner_module(learner).LEARNER.form(text)
    return scorer_of(form), form.link or Link(), form.classifies


@dataclass(frozen=True)
class _Scored:
    """Batches of the columns to keep and, behind them, the features."""

    learner: str
    text: str
    kept: int
    outputs: tuple[str, ...]
    offset: float = 0.0

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        import pyarrow as pa

        scorer, link, classifies = _opened(self.learner, self.text)
        columns = [batch.column(i) for i in range(batch.num_columns)]
        X = np.zeros((batch.num_rows, scorer.num_features), np.float32)
        for i, column in enumerate(columns[self.kept :]):
            X[:, i] = column.to_numpy(zero_copy_only=False)
        raw = scorer.raw_scores(X)
        answers = link.apply(raw) + self.offset
        one = scorer.num_outputs == 1
        made = []
        for name in self.outputs:
            values = raw if name == "raw_score" else answers
            if name == "prediction" and classifies:
                numbers = (answers[:, 0] > 0.5) if one else answers.argmax(axis=1)
                made.append(pa.array(numbers.astype(np.int32)))
            elif one:
                made.append(pa.array(values[:, 0]))
            else:
                flat = pa.array(np.ascontiguousarray(values).ravel())
                made.append(
                    pa.ListArray.from_arrays(
                        np.arange(0, values.size + 1, values.shape[1], dtype=np.int32), flat
                    )
                )
        every = [*columns[: self.kept], *made]
        return pa.RecordBatch.from_arrays(every, names=[str(i) for i in range(len(every))])
