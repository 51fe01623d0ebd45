"""Where a table comes from: a file in any Spark format, a catalog table, a JDBC query or Spark SQL."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from synml_dagster.errors import SourceError, did_you_mean
from synml_dagster.redaction import redacted, secret_values, without_secrets
from synml_dagster.sources.format import BARE, guess_format, has_glob, local_path, log_beside
from synml_dagster.sources.listing import spark_path
from synml_dagster.spark.messages import database_reason, first_line
from synml_dagster.spark.options import SparkOptions
from synml_dagster.spark.packages import driver_options, package_for

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


_PLACES = ("path", "table", "jdbc", "sql")


class Source(BaseModel):
    """One of `path`, `table`, `jdbc` or `sql`, with the reader's format and options; or an `asset`, with or without one of these.

    A plain string is a path. The format is guessed from the path's suffix where it is absent.

    Examples
    --------
    >>> Source.model_validate("data/adult.csv").resolved_format()
    'csv'
    >>> Source(sql="SELECT * FROM sales WHERE year = 2026").kind
    'sql'
    >>> Source(asset="warehouse/telemetry").describe()
    'asset warehouse/telemetry'
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    path: str | None = Field(
        default=None, description="A file, a folder or a glob, local or on an object store."
    )
    format: str | None = Field(
        default=None, description="Spark's name of the format (csv, parquet, json, orc, delta, iceberg ...)."
    )
    options: SparkOptions = Field(
        default_factory=dict, description="Options of Spark's reader, as Spark names them."
    )
    table: str | None = Field(default=None, description="A table of Spark's catalog: `db.table`.")
    jdbc: str | None = Field(
        default=None,
        description="A JDBC address; `options` then holds `dbtable` or `query`, `driver`, `user` ...",
    )
    sql: str | None = Field(default=None, description="A query in Spark SQL.")
    asset: str | None = Field(
        default=None,
        description="Key of another Dagster asset, of this or another code location: `warehouse/telemetry`. Its rows are "
        "where its materializations say; or say it by path, table, jdbc or sql beside it.",
    )
    version_query: str | None = Field(
        default=None,
        description="SQL whose first value changes when the data does, for the sensor, where files cannot tell: the database's own SQL with jdbc, else Spark's.",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str | Path) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        """Say that a plain string will do: editors and `dg check yaml` judge by this schema."""
        return {"anyOf": [{"type": "string", "description": "A path."}, handler(core_schema)]}

    @field_validator("path", mode="before")
    @classmethod
    def _path_as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, Path) else value

    @field_validator("asset", mode="before")
    @classmethod
    def _key_as_text(cls, value: Any) -> Any:
        """Dagster writes a key as a list, too."""
        parts = list(value) if isinstance(value, list | tuple) else None
        if parts and all(isinstance(part, str) and part and "/" not in part for part in parts):
            return "/".join(parts)
        return value

    @field_validator("asset")
    @classmethod
    def _is_a_key(cls, value: str | None) -> str | None:
        if value is not None and not all(part and part == part.strip() for part in value.split("/")):
            raise ValueError(
                f"source.asset is an asset's key, its parts joined by '/', such as warehouse/telemetry, but got {value!r}"
            )
        return value

    @model_validator(mode="after")
    def _exactly_one(self) -> Source:
        given = [k for k in _PLACES if getattr(self, k)]
        if len(given) != 1 and not (self.asset and not given):
            have = f"has {' and '.join(given)}" if given else "has none of them"
            beside = " beside source.asset, or none" if self.asset else ", or an asset"
            raise ValueError(
                f"source needs exactly one of path, table, jdbc and sql{beside}; this one {have}"
            )
        if self.asset and self.version_query:
            raise ValueError(
                "source.version_query says when rows change, and of source.asset its materializations do; leave one of them out"
            )
        if self.format and given and not self.path:
            raise ValueError(f"source.format={self.format!r} goes with source.path, not with {given[0]}")
        if self.jdbc and not ({"dbtable", "query"} & self.options.keys()):
            raise ValueError("source.jdbc needs source.options.dbtable or source.options.query")
        return self

    @property
    def kind(self) -> str:
        """Which of asset, path, table, jdbc and sql this source is."""
        return "asset" if self.asset else str(self.place)

    @property
    def place(self) -> str | None:
        """Which of path, table, jdbc and sql says where the rows are; None of an asset that says it by its materializations."""
        return next((k for k in _PLACES if getattr(self, k)), None)

    def without_asset(self) -> Source:
        """Return the place alone: what is read once Dagster has been asked about the asset."""
        return self.model_copy(update={"asset": None})

    def resolved_format(self) -> str | None:
        """Return Spark's name of the format of a `path` source, None for the other kinds."""
        return (self.format or guess_format(self.path)) if self.path else None

    def describe(self) -> str:
        """Return the source in a few words, without the options, which may hold passwords."""
        if self.asset:
            where = f" in {self.without_asset().describe()}" if self.place else ""
            return f"asset {self.asset}{where}"
        if self.path:
            said = f"{self.resolved_format()} {self.path}"
        elif self.jdbc:
            said = f"jdbc {self.options.get('dbtable') or 'query'} of {self.jdbc}"
        else:
            said = f"{self.kind} {getattr(self, self.kind)}"
        return redacted(said, self.secrets)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values of options whose names say that they are secret; what is shorter than a password is not looked for."""
        return secret_values(self.options)

    def under(self, folder: str | Path) -> Source:
        """Return this source with a relative local path taken from `folder`."""
        if not self.path or "://" in self.path or Path(self.path).is_absolute():
            return self
        return self.model_copy(update={"path": str((Path(folder) / self.path).resolve())})


def read_source(
    spark: SparkSession,
    source: Source,
    *,
    known: Mapping[str, str] | None = None,
    notes: list[str] | None = None,
) -> DataFrame:
    """Open `source` as a DataFrame; of other files than CSV nothing but the schema is read yet.

    Parameters
    ----------
    known
        Spark's types that columns of CSV files are known to have, from a plan or from an earlier run: text stays text, and a
        number with fractions one, whatever the values of today's file. The others become numbers, truth values and dates where
        all their values are such.
    notes
        What was guessed and which records were left out is added here.

    Raises
    ------
    SourceError
        The file, table or query is not there or cannot be read; the message says where was looked. Or it is an asset
        whose place Dagster alone knows.
    """
    if source.place is None:
        raise SourceError(
            f"source: where the rows of {source.describe()} are, Dagster alone knows; outside of it give path, table, jdbc or sql"
        )
    check_path(source)
    try:
        if source.table:
            # Catalogs remember tables, and a session that lives long would not see what others have written since.
            spark.catalog.refreshTable(source.table)
            frame = spark.read.options(**source.options).table(source.table)
        elif source.sql:
            frame = spark.sql(source.sql)
        elif source.jdbc:
            frame = open_jdbc(spark, source.jdbc, source.options)
        else:
            name = source.resolved_format()
            if name is None:
                raise SourceError(
                    f"source: nothing in {source.path!r} tells its format. Say source.format: csv, parquet, json, orc, delta ..."
                )
            if name in BARE and (own := log_beside(source.path or "")):
                raise SourceError(
                    f"source: {source.path!r} is a {own} table, whose files also hold rows that were removed from it. "
                    f"Say source.format: {own}, not {name}"
                )
            options = dict(source.options)
            said: list[str] = [] if notes is None else notes
            if name == "csv":
                from synml_dagster.sources.csv import read_csv

                frame = read_csv(spark, source.path or "", options, known=known or {}, notes=said)
            elif name == "parquet" and not options:
                from synml_dagster.sources.parquet import read_parquet

                frame = read_parquet(spark, source.path or "", said)
            elif name == "json":
                from synml_dagster.sources.json import read_json

                frame = read_json(spark, source.path or "", options, said)
            else:
                frame = spark.read.format(name).options(**options).load(spark_path(source.path or ""))
        frame.schema  # noqa: B018 - Connect analyses a frame only when something is asked of it
    except SourceError:
        raise
    except Exception as problem:
        why = redacted(
            database_reason(problem) if source.jdbc else first_line(problem), source.secrets
        ).rstrip(".")
        why += "." + package_for(
            problem, f"{source.jdbc or ''} {source.format or source.resolved_format() or ''}"
        )
        raise SourceError(f"source: {source.describe()} cannot be read: {why}") from without_secrets(
            problem, source.secrets
        )
    if notes:
        notes[:] = [redacted(note, source.secrets) for note in notes]
    return _trimmed_names(frame)


def open_jdbc(spark: SparkSession, address: str, options: dict[str, str]) -> DataFrame:
    """Open what `options` ask of the database at `address`."""
    known = driver_options(address) | options
    return spark.read.format("jdbc").option("url", address).options(**known).load()


def check_path(source: Source) -> None:
    """A path on this host that is not there is named with its neighbours; Spark's own message is a page long."""
    local = local_path(source.path) if source.path else None
    if local is None or local.exists():
        return
    if has_glob(str(local)):
        first = next(i for i, part in enumerate(local.parts) if has_glob(part))
        anchor = Path(*local.parts[:first])
        if any(anchor.glob(str(local.relative_to(anchor)))):
            return
    parent = local.absolute().parent
    beside = [p.name for p in parent.iterdir()] if parent.is_dir() else []
    where = (
        did_you_mean(local.name, beside) if beside else f" The folder {str(parent)!r} does not exist either."
    )
    raise SourceError(f"source: there is no {str(local.absolute())!r}.{where}")


def _trimmed_names(frame: DataFrame) -> DataFrame:
    """`age, workclass` in a CSV's first line names a column " workclass"; nobody means the blank."""
    names = [name.strip() for name in frame.columns]
    if names == frame.columns or len(set(names)) != len(names):
        return frame
    return frame.toDF(*names)
