"""What a training learns from: the columns by role, and how their rows get to the ranks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import ConfigError, DataError, did_you_mean
from synml_dagster.files.file_splits import even_cuts
from synml_dagster.learners.lightgbm.data.bins import bins_of_rows, bins_of_shares, bins_of_vectors
from synml_dagster.learners.lightgbm.data.blocks import worth_sparse
from synml_dagster.learners.lightgbm.data.spark_rows import (
    VALID,
    check_columns,
    check_marks,
    check_numeric,
    check_vector,
    is_vector,
    rank_columns,
    to_ranks,
    vector_width,
)
from synml_dagster.learners.lightgbm.data.totals import find_rows, summed_up
from synml_dagster.learners.lightgbm.objectives import starts_from_mean
from synml_dagster.learners.lightgbm.worker.bagging_seeds import block_of, wants_mixed_rows
from synml_dagster.spark.quoting import quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import StructType

    from synml_dagster.files import ParquetFiles
    from synml_dagster.files.file_splits import FileSplit

MULTICLASS = ("multiclass", "softmax", "multiclassova", "multiclass_ova", "ova", "ovr")
_CLASSIFIES = ("binary", *MULTICLASS)
_RANKS = ("lambdarank", "rank_xendcg", "xendcg", "xe_ndcg", "xe_ndcg_mart", "xendcg_mart")


@dataclass(frozen=True)
class Ready:
    """Rows on their way: either shares that ranks read by themselves, or a frame with a partition a rank.

    Where there are several ranks, `find_bins` takes the size of the sample and returns the bins of all rows.
    """

    frame: DataFrame | None = None
    shares: list[FileSplit] | None = None
    valid_share: FileSplit | None = None
    columns: tuple[str, ...] = ()
    total_rows: int | None = None
    find_bins: Callable[[int], bytes] | None = None
    start: float | None = None


@dataclass(frozen=True)
class TrainingData:
    """The columns of a training by role, checked against the table."""

    spark: SparkSession
    data: DataFrame | ParquetFiles
    validation: DataFrame | ParquetFiles | None
    label: str
    features: tuple[str, ...]
    weight: str | None
    group: str | None
    init: tuple[str, ...]
    categorical: tuple[str, ...]
    label_type: str
    classes: tuple[str, ...] | None
    marks: str | None = None
    vector: str | None = None
    stored: float | None = None
    offset: float = 0.0

    @property
    def validated(self) -> bool:
        """Whether there are validation rows."""
        return self.validation is not None or self.marks is not None

    @property
    def label_is_text(self) -> bool:
        """Whether the label is a string, so that its classes have to be numbered."""
        return self.label_type == "string"

    @property
    def sparse(self) -> bool:
        """Whether rows stay the sparse vectors that they are; others become one float a feature."""
        return self.stored is not None and worth_sparse(self.stored, len(self.features))

    @property
    def values_a_row(self) -> float:
        """How many numbers of four bytes a row's features take in memory."""
        return 2 * self.stored if self.stored is not None and self.sparse else len(self.features)

    @property
    def extras(self) -> tuple[str, ...]:
        """The columns beside the features, in the order in which ranks get them."""
        names = ["label", *(["weight"] if self.weight else []), *(["group"] if self.group else [])]
        return (*names, *(f"init{i}" for i in range(len(self.init))))

    def class_count(self) -> int:
        """Return how many classes the label has: one more than its greatest value where it is a number."""
        if self.classes is not None:
            return len(self.classes)
        from pyspark.sql import functions as sf

        greatest = self._frame(self.data).select(sf.max(sf.col(quoted(self.label)).cast("double"))).first()
        if greatest is None or greatest[0] is None:
            raise DataError(f"label: column {self.label!r} holds no value.")
        return int(greatest[0]) + 1

    @contextlib.contextmanager
    def prepared(self, ranks: int, params: Mapping[str, Any]) -> Iterator[Ready]:
        """Give the rows to `ranks` ranks; what was cached for that is let go at the end.

        `params` are LightGBM's: they decide whether ranks must hold the rows in order, or a mixture of them.
        """
        if self._reads_files(ranks) and (ranks == 1 or not wants_mixed_rows(params)):
            yield self._shares(ranks, params)
            return
        marked = self._marked()
        if ranks == 1:
            yield Ready(frame=to_ranks(marked, 1, self.group is not None))
            return
        kept = marked.persist()
        try:
            train = kept.where(f"not {VALID}")
            counts, start = summed_up(train, params, self.offset)
            block, total = block_of(params), sum(rows for _, rows in counts)
            ordered = block > 1 and total > 0 and self.group is None
            first_rows = find_rows(counts, even_cuts(total, ranks, block)[1:-1]) if ordered else None
            frame = to_ranks(kept, ranks, self.group is not None, first_rows)
            find_bins = partial(self._bins_of_rows, train, total, params)
            yield Ready(frame=frame, total_rows=total, find_bins=find_bins, start=self._start(start))
        finally:
            kept.unpersist()

    def _reads_files(self, ranks: int) -> bool:
        from synml_dagster.files import ParquetFiles, files_reachable

        if self.marks or self.vector or (self.group and ranks > 1):
            return False
        if not isinstance(self.data, ParquetFiles):
            return False
        if self.validation is not None and not isinstance(self.validation, ParquetFiles):
            return False
        known = files_reachable(self.spark, self.data)
        return known and (self.validation is None or files_reachable(self.spark, self.validation))

    def _bins_of_rows(self, train: DataFrame, rows: int, params: Mapping[str, Any], size: int) -> bytes:
        find = bins_of_vectors if self.sparse else bins_of_rows
        return find(train, len(self.features), rows, size, params)

    def _bins_of_files(self, row_groups: list[list[int]], params: Mapping[str, Any], size: int) -> bytes:
        from synml_dagster.files import ParquetFiles
        from synml_dagster.files.file_splits import plan_file_splits
        from synml_dagster.spark import task_slots

        assert isinstance(self.data, ParquetFiles)
        shares = plan_file_splits(self.data, task_slots(self.spark) or 8, row_groups=row_groups)
        bins = bins_of_shares(self.spark, shares, self.features, size, params)
        if bins is not None:
            return bins
        rows = sum(share.rows for share in shares)
        return self._bins_of_rows(self._selected(self.data, self.features), rows, params, size)

    def _start(self, found: float | None) -> float | None:
        """Initial scores of the table's own come first."""
        return None if self.init else found

    def _shares(self, ranks: int, params: Mapping[str, Any]) -> Ready:
        from synml_dagster.files import ParquetFiles
        from synml_dagster.files.file_splits import plan_file_splits

        assert isinstance(self.data, ParquetFiles)
        row_groups = self.data.row_groups()
        shares = plan_file_splits(self.data, ranks, block_of(params), row_groups)
        valid = plan_file_splits(self.validation, 1)[0] if isinstance(self.validation, ParquetFiles) else None
        columns = (*self.features, self.label, *([self.weight] if self.weight else []))
        columns = (*columns, *([self.group] if self.group else []), *self.init)
        if ranks == 1:
            return Ready(shares=shares, valid_share=valid, columns=columns)
        start = None
        if starts_from_mean(params) and not self.init:
            _, start = summed_up(self._selected(self.data, ()), params, self.offset)
        find_bins = partial(self._bins_of_files, row_groups, params)
        return Ready(None, shares, valid, columns, sum(s.rows for s in shares), find_bins, start)

    def _marked(self) -> DataFrame:
        """The columns that ranks take, and VALID, which is true on validation rows."""
        from pyspark.sql import functions as sf

        no = sf.lit(False)
        if self.marks:
            mark = sf.coalesce(sf.col(quoted(self.marks)), no).alias(VALID)
            return self._selected(self.data, self.features, mark)
        train = self._selected(self.data, self.features, no.alias(VALID))
        if self.validation is None:
            return train
        held_out = self._selected(self.validation, self.features, sf.lit(True).alias(VALID))
        return train.unionByName(held_out)

    def _selected(
        self, data: DataFrame | ParquetFiles, features: tuple[str, ...], *more: Column
    ) -> DataFrame:
        frame = self._frame(data)
        columns = rank_columns(
            frame,
            features,
            self.vector,
            self.label,
            self.weight,
            self.group,
            self.init,
            self.label_is_text,
            self.sparse,
        )
        return frame.select(*columns, *more)

    def _frame(self, data: DataFrame | ParquetFiles) -> DataFrame:
        from synml_dagster.files import ParquetFiles

        return data.dataframe(self.spark) if isinstance(data, ParquetFiles) else data


def training_data(
    data: DataFrame | ParquetFiles,
    *,
    spark: SparkSession | None,
    label: str,
    features: Sequence[str] | str,
    weight: str | None,
    init_score: str | Sequence[str] | None,
    group: str | None,
    validation: DataFrame | ParquetFiles | str | None,
    categorical: Sequence[str],
    objective: str,
) -> TrainingData:
    """Check the roles against the table and number a text label's classes.

    Raises
    ------
    ConfigError, DataError
    """
    from synml_dagster.files import ParquetFiles
    from synml_dagster.spark.session import active_session

    session = spark or (active_session() if isinstance(data, ParquetFiles) else data.sparkSession)
    marks = validation if isinstance(validation, str) else None
    held_out = None if isinstance(validation, str) else validation
    vector = features if isinstance(features, str) else None
    stored: float | None = None
    if vector is not None:
        features, stored = _places(vector, session, data, held_out)
    if not features:
        raise ConfigError("features: at least one column is needed.")
    if len(set(features)) != len(features):
        twice = next(name for name in features if list(features).count(name) > 1)
        raise ConfigError(f"features: {twice!r} is named twice.")
    for name in categorical:
        if name not in features:
            raise ConfigError(
                f"categorical: {name!r} is not among the features.{did_you_mean(name, features)}"
            )
    if label in (features if vector is None else [vector]):
        raise ConfigError(f"features: the label {label!r} is among them; the model would learn to copy it.")
    if objective in _RANKS and group is None:
        raise ConfigError(
            f"objective {objective!r} needs group: the column that says which query a row belongs to."
        )
    init = () if init_score is None else (init_score,) if isinstance(init_score, str) else tuple(init_score)
    schema = _schema(data)
    if marks is not None:
        check_marks(schema, marks)
    sides = [("data", schema), *([("validation", _schema(held_out))] if held_out is not None else [])]
    for side, kind in sides:
        if vector is None:
            check_columns(kind, features, f"features of {side}")
            check_numeric(kind, features, f"features of {side}")
        check_columns(kind, [c for c in (label, weight, group, *init) if c], side)
        check_numeric(kind, [c for c in (weight, *init) if c], side)
    label_type = schema[label].dataType.simpleString()
    classes: tuple[str, ...] | None = None
    if label_type == "string":
        if objective not in _CLASSIFIES:
            raise DataError(
                f"label: column {label!r} is a string and objective {objective!r} wants a number."
            )
        frame = data.dataframe(session) if isinstance(data, ParquetFiles) else data
        rows = frame.select(quoted(label)).distinct().limit(100_001).collect()
        classes = tuple(sorted(r[0] for r in rows if r[0] is not None))
        _check_classes(classes, objective, label)
    elif label_type == "boolean" and objective in _CLASSIFIES:
        classes = ("false", "true")
    else:
        check_numeric(schema, [label], "label")
    return TrainingData(
        session,
        data,
        held_out,
        label,
        tuple(features),
        weight,
        group,
        init,
        tuple(categorical),
        label_type,
        classes,
        marks,
        vector,
        stored,
    )


def _places(
    vector: str,
    spark: SparkSession,
    data: DataFrame | ParquetFiles,
    validation: DataFrame | ParquetFiles | None,
) -> tuple[list[str], float | None]:
    """Name the places of a column that holds all features; where both tables hold vectors, say how many values a row of
    `data` stores.
    """
    from synml_dagster.files import ParquetFiles

    widths, stored, vectors = [], [], True
    for side in (data, validation):
        if side is None:
            continue
        frame = side.dataframe(spark) if isinstance(side, ParquetFiles) else side
        check_vector(frame.schema, vector)
        width, values = vector_width(frame, vector)
        widths.append(width)
        stored.append(values)
        vectors = vectors and is_vector(frame.schema, vector)
    if len(set(widths)) > 1:
        raise DataError(
            f"features: rows of column {vector!r} hold {widths[0]} values in data and {widths[1]} in validation."
        )
    return [f"{vector}_{i}" for i in range(widths[0])], stored[0] if vectors else None


def _schema(data: DataFrame | ParquetFiles) -> StructType:
    """Files tell their schema by a footer, without a Spark job."""
    from synml_dagster.files import ParquetFiles

    if not isinstance(data, ParquetFiles):
        return data.schema
    from pyspark.sql.pandas.types import from_arrow_schema

    return from_arrow_schema(data.schema())


def _check_classes(classes: tuple[str, ...], objective: str, label: str) -> None:
    if len(classes) < 2 or len(classes) > 100_000:
        raise DataError(
            f"label: column {label!r} has {len(classes)} distinct values; a classifier needs 2 to 100000."
        )
    if objective == "binary" and len(classes) != 2:
        raise DataError(
            f"label: column {label!r} has {len(classes)} classes ({', '.join(classes[:5])} ...); objective 'binary' wants 2. Use 'multiclass'."
        )
