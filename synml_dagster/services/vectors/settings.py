"""What a write of vectors is told: the options of the format, checked."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from synml_dagster.errors import ConfigError, DataError, SetupError
from synml_dagster.services.secrets import checked
from synml_dagster.services.vectors.options import (
    check_options,
    dimensions_of,
    key_columns,
    own_options,
)

if TYPE_CHECKING:
    from psycopg2.extensions import connection

_NAME = r'(?:[A-Za-z_][A-Za-z0-9_$]*|"(?:[^"]|"")+")'
_TABLE = re.compile(rf"(?:{_NAME}\.)?{_NAME}")

KNOWN = ("url", "password_env", "table", "key", "latest", "dimensions", "vector")


# Statements and no options of the connection, which poolers refuse.
_FOR_THE_TRANSACTION = (
    "SET LOCAL lock_timeout = '300s'; SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO'"
)

_MOST_DIMENSIONS = 16_000


@dataclass(frozen=True)
class Settings:
    """The options of one write."""

    url: str = field(repr=False)
    table: str
    key: tuple[str, ...]
    password_env: str | None = None
    latest: str | None = None
    dimensions: int | None = None
    vector: str | None = None
    checkpoint: str | None = None
    """Where a stream keeps its memory."""

    @classmethod
    def of(cls, options: Mapping[str, str]) -> Settings:
        """Return the settings that Spark's options say.

        Raises
        ------
        ConfigError
            An option is unknown, missing, or cannot be.
        """
        told = own_options(options)
        checkpoint = next(
            (str(v) for name, v in options.items() if name.lower() == "checkpointlocation"), None
        )
        if "password" in told or re.search(r"(?i)password\s*=|://[^/@]*:[^/@]*@", told.get("url", "")):
            raise ConfigError(
                "vectors: a password does not belong into options, which Spark writes into plans. Name the environment variable that "
                "holds it where workers run: option password_env."
            )
        check_options(told, KNOWN, ("url", "table", "key"))
        if not told["url"].startswith(("postgresql://", "postgres://")):
            raise ConfigError(
                "vectors: url is no address of PostgreSQL, such as postgresql://user@host:5432/database, nor one of Qdrant, such as http://host:6333"
            )
        if not _TABLE.fullmatch(told["table"].strip()):
            raise ConfigError(
                f"vectors: {told['table']!r} is no name of a table: write table or schema.table, in double quotes where capitals or blanks count"
            )
        key = key_columns(told["key"])
        dimensions = dimensions_of(told.get("dimensions"), _MOST_DIMENSIONS)
        return cls(
            told["url"], told["table"].strip(), key, told.get("password_env"), told.get("latest"),
            dimensions, told.get("vector"), checkpoint,
        )  # fmt: skip

    @property
    def place(self) -> str:
        """The table and its host, for messages."""
        parts = urlsplit(self.url)
        return f"{self.table} of {parts.hostname or 'this host'}{parts.path}"

    @contextmanager
    def connected(self) -> Iterator[connection]:
        """Lend a connection whose transaction ends with the block: for good where nothing was raised.

        Raises
        ------
        SetupError
            The database cannot be reached, or its driver is not installed.
        DataError
            It refuses a value.
        """
        try:
            import psycopg2
        except ImportError as problem:
            raise SetupError(
                "vectors: PostgreSQL's driver is not installed where Spark runs; pip install 'synml-dagster[pgvector]'"
            ) from problem
        more: dict[str, Any] = {}
        if self.password_env:
            more["password"] = checked(os.environ.get(self.password_env, ""), self.password_env)
        try:
            lent = psycopg2.connect(
                self.url, connect_timeout=15, application_name="synml_vectors", keepalives_idle=30, **more
            )
        except psycopg2.Error as problem:
            raise SetupError(f"vectors: {self.place} cannot be reached: {_said(problem)}") from None
        try:
            with lent:
                with lent.cursor() as setting:
                    setting.execute(_FOR_THE_TRANSACTION)
                yield lent
        except psycopg2.Error as problem:
            state = problem.pgcode or ""
            # 22 and 23 are the classes of SQLSTATE for values, and for rules that values break.
            kind = DataError if state.startswith(("22", "23")) else SetupError
            raise kind(f"vectors: {self.place} refuses: {_said(problem)}") from None
        finally:
            lent.close()


def _said(problem: Any) -> str:
    """What the database says, short, and at which column."""
    told = getattr(problem, "diag", None)
    first = (told and told.message_primary) or " ".join(str(problem).split())
    where = re.search(r"column (\w+)", (told and told.context) or "")
    return f"{str(first)[:300]}" + (f" (column {where[1]})" if where else "")
