"""One run of a service over a table: what is new goes to the senders, and the journal and the ledger say what became of it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from synml_dagster.errors import ConfigError, SetupError
from synml_dagster.files.filesystems import filesystem_of
from synml_dagster.files.parquet_files import spark_path
from synml_dagster.services.bounds import Bounds
from synml_dagster.services.journal.journal import LEDGER, answers_schema, recover_all
from synml_dagster.services.journal.place import Place, files_in
from synml_dagster.services.local.sender import LocalSender
from synml_dagster.services.report import Report, report_of
from synml_dagster.services.secrets import sent_key
from synml_dagster.services.sender import Sender
from synml_dagster.spark.messages import first_line
from synml_dagster.spark.task_errors import typed_errors

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

_TRIES = 3
"""Times that a job is begun, where workers were killed: what they had finished is in the journal."""

_ROWS_A_BATCH, _BYTES_ROWS_A_BATCH = 2000, 16
"""Rows that Spark hands to a sender at once: of text, and of bytes."""


class Run:
    """One run.

    Parameters
    ----------
    run
        Its id.
    """

    def __init__(self, spark: SparkSession, bounds: Bounds, run: str) -> None:
        from pyspark.sql.pandas.types import to_arrow_schema

        self.spark, self.bounds = spark, bounds
        self.place = Place.of(bounds.journal, bounds.service, run)
        try:
            fields = _columns(f"value {bounds.value_type}")
            self.schema = answers_schema(to_arrow_schema(fields, timezone="UTC").field("value").type)
        except Exception as problem:
            first = (
                str(problem).strip().splitlines()[0][:200] if str(problem).strip() else type(problem).__name__
            )
            raise ConfigError(
                f"{bounds.service.name}: answer.type {bounds.value_type!r} is no type of a column: {first}"
            ) from problem
        self._ledger_ddl = _columns(LEDGER)
        self.ledger_schema = to_arrow_schema(self._ledger_ddl, timezone="UTC")
        self._ledgers: list[str] = []

    def send(self, wanted: DataFrame, inputs: tuple[str, ...]) -> Report:
        """Send what is not finished yet of `wanted`: a column `key`, and the inputs' columns in the order of `inputs`.

        Raises
        ------
        SetupError
            Workers were lost again and again, or the journal is another run's.
        """
        began = time.time()
        told = self.bounds
        end = began + told.service.policy.deadline
        self.place.create(told.service.model_dump_json(indent=2, by_alias=True, exclude_defaults=True))
        rows, distinct = counted(wanted)
        with sent_key(self.spark, told.service.key, told.senders) as secret, self._batches(wanted):
            for tried in range(1, _TRIES + 1):
                recover_all(self.place, self.schema)
                sender = (LocalSender if told.service.local else Sender)(
                    told.service.model_dump_json(by_alias=True),
                    inputs,
                    self.schema.serialize().to_pybytes(),
                    self.ledger_schema.serialize().to_pybytes(),
                    self.place,
                    told.limits,
                    told.budget,
                    told.senders,
                    end,
                    secret,
                    self._cool_down(),
                )
                # Senders are what divides the limits: an explicit number, which adaptive execution leaves alone.
                todo = self.unfinished(wanted).dropDuplicates(["key"]).repartition(told.senders)
                ledger = f"{self.place.ledger}/try={tried}"
                self._ledgers = [ledger]
                try:
                    with typed_errors():
                        todo.mapInArrow(sender, self._ledger_ddl).write.parquet(ledger)
                    break
                except Exception as problem:
                    if not _worker_lost(problem):
                        raise
                    if tried == _TRIES:
                        raise SetupError(
                            f"services: Spark's workers were lost {_TRIES} times, the last time by: {first_line(problem)[:300]}. What they had finished is in the journal; run again."
                        ) from problem
        return report_of(self.ledger(), rows, distinct, told, time.time() - began)

    def unfinished(self, wanted: DataFrame) -> DataFrame:
        """Return the rows that have no answer in the journal."""
        if not files_in(self.place.answers, ".parquet"):
            return wanted
        return wanted.join(self._read_answers().select("key"), "key", "left_anti")

    def answers(self) -> DataFrame:
        """Return the finished answers of this service, those of earlier runs among them, each key once."""
        return self._read_answers().dropDuplicates(["key"])

    def _read_answers(self) -> DataFrame:
        from pyspark.sql.pandas.types import from_arrow_schema

        found = self.spark.read.schema(from_arrow_schema(self.schema)).option("recursiveFileLookup", "true")
        return found.parquet(spark_path(self.place.answers))

    def ledger(self) -> DataFrame:
        """Return what became of the rows that this run had to send."""
        return self.spark.read.schema(self._ledger_ddl).parquet(*map(spark_path, self._ledgers))

    def told(self, lines: pa.Table) -> None:
        """Take a ledger that was made elsewhere than in tasks."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        made = pa.BufferOutputStream()
        pq.write_table(lines.cast(self.ledger_schema), made)
        filesystem, inside = filesystem_of(self.place.ledger)
        filesystem.makedirs(inside, exist_ok=True)
        filesystem.pipe_file(f"{inside}/ledger.parquet", made.getvalue().to_pybytes())
        self._ledgers = [self.place.ledger]

    def _cool_down(self) -> str | None:
        """The file by which the senders of a key tell each other to wait; a single one needs none."""
        if self.place.remote or self.bounds.senders == 1:
            return None
        key = self.bounds.service.key
        name = hashlib.sha256(f"{key.env if key else ''} {self.bounds.service.url}".encode()).hexdigest()[:16]
        return f"{self.place.folder}/_cooldown-{name}"

    @contextmanager
    def _batches(self, wanted: DataFrame) -> Iterator[None]:
        """Let Spark hand over few rows at once: what waits in a batch is in memory, and images are large."""
        sizes = any(field.dataType.typeName() == "binary" for field in wanted.schema.fields)
        name, rows = (
            "spark.sql.execution.arrow.maxRecordsPerBatch",
            _BYTES_ROWS_A_BATCH if sizes else _ROWS_A_BATCH,
        )
        before = self.spark.conf.get(name, None)
        self.spark.conf.set(name, str(rows))
        try:
            yield
        finally:
            if before is None:
                self.spark.conf.unset(name)
            else:
                self.spark.conf.set(name, before)


def _columns(ddl: str) -> StructType:
    from pyspark.sql.types import StructType

    columns = StructType.fromDDL(ddl)
    assert isinstance(columns, StructType)  # DDL of columns; pyspark's hint knows DDL of any type
    return columns


def counted(wanted: DataFrame) -> tuple[int, int]:
    """Return how many rows there are, and how many distinct inputs among them."""
    from pyspark.sql import functions as sf

    asked = wanted.agg(sf.count("*").alias("rows"), sf.count_distinct("key").alias("distinct"))
    (found,) = asked.collect()
    return found["rows"], found["distinct"]


def _worker_lost(problem: Exception) -> bool:
    text = str(problem)
    return any(
        sign in text
        for sign in (
            "Python worker exited unexpectedly",
            "ExecutorLostFailure",
            "Python worker failed to connect back",
        )
    )
