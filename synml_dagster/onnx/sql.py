"""A model as a function of Spark SQL."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import ConfigError, did_you_mean
from synml_dagster.onnx.scorer import Scorer
from synml_dagster.onnx.shipping import ship
from synml_dagster.onnx.worker import Place, ScoreTask, freeze

if TYPE_CHECKING:
    from pyspark.sql import Column, SparkSession

    from synml_dagster.onnx.model import OnnxModel


def register_function(
    spark: SparkSession,
    name: str,
    model: OnnxModel,
    *,
    output: str | None = None,
    inputs: Mapping[str, str | Sequence[str]] | None = None,
    provider: str = "auto",
) -> list[str]:
    """Make `model` callable from SQL as `name(column, ...)`, on classic Spark and Connect.

    Parameters
    ----------
    spark
        The session that gets the function, until it ends.
    name
        The function's name.
    model
        What scores.
    output
        The answer wanted, as in `Scorer`'s `outputs`; the first one (`prediction`) when None.
    inputs, provider
        As for `score`.

    Returns
    -------
    list of str
        The arguments, in order: the columns that the model takes.

    Examples
    --------
    >>> register_function(spark, "churn", model, output="probability")  # doctest: +SKIP
    ['age', 'city']
    >>> spark.sql("SELECT id, churn(age, city) FROM customers")  # doctest: +SKIP
    """
    from pyspark.sql.pandas.types import from_arrow_type

    if not name.isidentifier():
        raise ConfigError(f"name {name!r} cannot name an SQL function; use letters, digits and underscores.")
    probe = Scorer(model, provider="cpu" if provider == "auto" else provider, inputs=inputs)
    answers = probe.schema.names
    if output is not None and not model.is_pipeline and output not in answers:
        raise ConfigError(
            f"output {output!r} is not among {', '.join(answers)}.{did_you_mean(output, answers)}"
        )
    wanted = output or answers[0]
    options: dict[str, Any] = {"outputs": [wanted], "inputs": inputs}
    kind = Scorer(model, provider="cpu", **options).schema.field(wanted).type
    arguments = probe.columns
    task = ScoreTask(
        shipment=ship(spark, model),
        options=tuple((key, freeze(value)) for key, value in options.items() if value is not None),
        provider=provider,
        kept=(),
        names=tuple(Place(column, i) for i, column in enumerate(arguments)),
    )
    spark.udf.register(name, _function(task, from_arrow_type(kind)))
    return arguments


def _function(task: ScoreTask, kind: Any) -> Callable[..., Column]:
    """Return the Spark function; Arrow's own since pyspark 4.1, which spares the way through pandas."""
    from pyspark.sql import functions as sf

    def over_arrow(*columns: Any) -> Any:
        import pyarrow as pa

        return _answer(task, [c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in columns])

    def over_pandas(*columns: Any) -> Any:
        import pyarrow as pa

        arrays = [
            pa.StructArray.from_pandas(c.to_dict("records")) if c.ndim > 1 else pa.array(c, from_pandas=True)
            for c in columns
        ]
        return _answer(task, arrays).to_pandas()

    if hasattr(sf, "arrow_udf"):
        with warnings.catch_warnings():
            # Type hints, which it would rather have, cannot say "any number of columns".
            warnings.simplefilter("ignore", UserWarning)
            return sf.arrow_udf(over_arrow, kind, sf.ArrowUDFType.SCALAR)
    return sf.pandas_udf(over_pandas, kind, sf.PandasUDFType.SCALAR)


def _answer(task: ScoreTask, columns: list[Any]) -> Any:
    import pyarrow as pa

    batch = pa.RecordBatch.from_arrays(columns, names=[place.name for place in task.names])
    return task.scorer().score(batch).column(0)
