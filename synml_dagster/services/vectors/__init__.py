"""Vectors and what belongs to them, written to PostgreSQL (pgvector) or Qdrant by Spark: `df.write.format("synml_vectors")`, batch and stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synml_dagster.errors import SetupError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["FORMAT", "register"]

FORMAT = "synml_vectors"
"""The format's name in Spark."""


def register(spark: SparkSession) -> None:
    """Make the format `synml_vectors` known to a session, classic or Connect.

    It writes to a table of PostgreSQL with a key: rows of known keys are changed, others are added, all of a write or of a
    stream's batch at once or nothing of it. A write that is tried again leaves what the first one would have left.

    Its options are

    - `url`: where the database is, `postgresql://user@host:5432/database`, without a password;
    - `password_env`: name of the environment variable that holds the password where Spark's workers run. Without it PostgreSQL's own
      ways hold: `PGPASSWORD` there, a file (`passfile`), certificates;
    - `table`: its name as SQL writes it;
    - `key`: the columns that tell rows apart, with commas between;
    - `latest`: of several rows of one key, the one with the largest value in this column is written, and none that is older than
      what the table holds. Without it, different rows of one key are refused;
    - `dimensions`: where there is no such table, make it, with so many numbers a vector; `vector` names the vectors' column where
      several hold lists of numbers.

    `mode("append")` writes the rows; `mode("overwrite")` also removes those that are not among them.

    With the address of a Qdrant server it writes to a collection, whose points have ids made of the key. A point is there as soon as its
    task has sent it. Its options are `url` (`http://host:6333`), `api_key_env`, `collection`, `key`, `vector`, `dimensions`, and `distance` of a
    collection that is made: Cosine, Dot, Euclid or Manhattan.

    Parameters
    ----------
    spark
        The session.

    Raises
    ------
    SetupError
        This is an older Spark.

    Examples
    --------
    >>> register(spark)  # doctest: +SKIP
    >>> table = {"url": "postgresql://loader@db/shop", "table": "reviews", "key": "id"}
    >>> frame.write.format("synml_vectors").options(**table).mode("append").save()  # doctest: +SKIP
    """
    try:
        from synml_dagster.services.vectors.source import VectorSource
    except ImportError as problem:
        raise SetupError(
            "vectors: writing vectors needs Spark 4.1 or later, whose sources take Arrow from streams, too"
        ) from problem

    kind: Any = VectorSource
    spark.dataSource.register(kind)
