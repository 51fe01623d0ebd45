"""Databases that Spark reaches by JDBC: their drivers, and what they say when they refuse."""

from __future__ import annotations

import re
from typing import Any

from synml_dagster.spark.messages import first_line

_DRIVERS = {
    "postgresql": "org.postgresql.Driver",
    "mysql": "com.mysql.cj.jdbc.Driver",
    "mariadb": "org.mariadb.jdbc.Driver",
    "sqlserver": "com.microsoft.sqlserver.jdbc.SQLServerDriver",
    "oracle": "oracle.jdbc.OracleDriver",
    "db2": "com.ibm.db2.jcc.DB2Driver",
    "snowflake": "net.snowflake.client.jdbc.SnowflakeDriver",
    "h2": "org.h2.Driver",
}


def driver_options(address: str) -> dict[str, str]:
    """Return the option that names the driver of `address`, where it is known.

    Without it Spark asks Java's list of drivers, which has none that came with `spark.jars` or `spark.jars.packages`.

    Examples
    --------
    >>> driver_options("jdbc:postgresql://db.example.org/shop")
    {'driver': 'org.postgresql.Driver'}
    """
    kind = address.split(":")[1].casefold() if address.count(":") > 1 else ""
    return {"driver": _DRIVERS[kind]} if kind in _DRIVERS else {}


def reason(problem: BaseException) -> str:
    """Return the database's own words, which lie some causes below what Spark says, or Spark's where there are none."""
    texts: list[str] = []
    link: Any = problem
    while isinstance(link, BaseException) and len(texts) < 10:
        texts.append(str(link))
        link = link.__cause__ or getattr(link, "_cause", None)
    found = re.search(r"(?:SQL\w*Exception|BatchUpdateException): (.+)", "\n".join(texts))
    return (found[1] if found else first_line(Exception(texts[-1]))).strip().rstrip(".")
