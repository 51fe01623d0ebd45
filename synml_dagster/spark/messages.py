"""What Spark says, in the one line that a person needs."""

from __future__ import annotations

import re

# Where a class comes from that Spark looks for: the part of the text that names it, and the package as Maven names it.
_PACKAGES = (
    ("delta", "io.delta:delta-spark_<spark>_2.13:<version>"),
    ("iceberg", "org.apache.iceberg:iceberg-spark-runtime-<spark>_2.13:<version>"),
    ("hudi", "org.apache.hudi:hudi-spark<spark>-bundle_2.13:<version>"),
    ("avro", "org.apache.spark:spark-avro_2.13:<spark>"),
    ("postgresql", "org.postgresql:postgresql:<version>"),
    ("mysql", "com.mysql:mysql-connector-j:<version>"),
    ("mariadb", "org.mariadb.jdbc:mariadb-java-client:<version>"),
    ("sqlserver", "com.microsoft.sqlserver:mssql-jdbc:<version>"),
    ("oracle", "com.oracle.database.jdbc:ojdbc11:<version>"),
    ("snowflake", "net.snowflake:snowflake-jdbc:<version>"),
)
_ABSENT = re.compile(
    r"No suitable driver|ClassNotFoundException|NoClassDefFoundError|DATA_SOURCE_NOT_FOUND|Failed to find (?:the )?data source"
    r"|FAILED_TO_LOAD_CATALOG|CANNOT_LOAD_CATALOG|Cannot find catalog plugin class",
    re.IGNORECASE,
)


def first_line(problem: BaseException) -> str:
    """Return the first line of what Spark says, without its code."""
    text = next((line for line in str(problem).splitlines() if line.strip()), type(problem).__name__)
    return text.split(" SQLSTATE")[0].rstrip()


def package_for(problem: BaseException, wanted: str) -> str:
    """Return a sentence that names the package to add, where `problem` says that a class is not there; else an empty text.

    Parameters
    ----------
    problem
        Spark's error.
    wanted
        What was asked for: a format or a JDBC address.

    Examples
    --------
    >>> package_for(Exception("No suitable driver"), "jdbc:postgresql://db/shop")
    ' Add its package to Spark: spark.jars.packages=org.postgresql:postgresql:<version>'
    >>> package_for(Exception("no such table"), "jdbc:postgresql://db/shop")
    ''
    """
    if not _ABSENT.search(f"{problem} {getattr(problem, '_cause', '')}"):
        return ""
    text = wanted.casefold()
    found = next((package for name, package in _PACKAGES if name in text), None)
    return (
        f" Add its package to Spark: spark.jars.packages={found}"
        if found
        else " Add its package to Spark: spark.jars.packages"
    )
