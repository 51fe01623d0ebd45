"""What Spark needs beside itself: the packages of formats, and the drivers of databases."""

from __future__ import annotations

import re

# By what names it in a format or an address; as Maven names the package.
_FORMATS = {
    "delta": "io.delta:delta-spark_<spark>_2.13:<version>",
    "iceberg": "org.apache.iceberg:iceberg-spark-runtime-<spark>_2.13:<version>",
    "hudi": "org.apache.hudi:hudi-spark<spark>-bundle_2.13:<version>",
    "avro": "org.apache.spark:spark-avro_2.13:<spark>",
}
_DATABASES = {  # by the second word of a JDBC address: the driver's class, and its package
    "postgresql": ("org.postgresql.Driver", "org.postgresql:postgresql:<version>"),
    "mysql": ("com.mysql.cj.jdbc.Driver", "com.mysql:mysql-connector-j:<version>"),
    "mariadb": ("org.mariadb.jdbc.Driver", "org.mariadb.jdbc:mariadb-java-client:<version>"),
    "sqlserver": (
        "com.microsoft.sqlserver.jdbc.SQLServerDriver",
        "com.microsoft.sqlserver:mssql-jdbc:<version>",
    ),
    "oracle": ("oracle.jdbc.OracleDriver", "com.oracle.database.jdbc:ojdbc11:<version>"),
    "db2": ("com.ibm.db2.jcc.DB2Driver", ""),
    "snowflake": ("net.snowflake.client.jdbc.SnowflakeDriver", "net.snowflake:snowflake-jdbc:<version>"),
    "h2": ("org.h2.Driver", ""),
}
_ABSENT = re.compile(
    r"No suitable driver|ClassNotFoundException|NoClassDefFoundError|DATA_SOURCE_NOT_FOUND|Failed to find (?:the )?data source"
    r"|FAILED_TO_LOAD_CATALOG|CANNOT_LOAD_CATALOG|Cannot find catalog plugin class",
    re.IGNORECASE,
)


def driver_options(address: str) -> dict[str, str]:
    """Return the option that names the driver of `address`, where it is known.

    Without it Spark asks Java's list of drivers, which has none that came with `spark.jars` or `spark.jars.packages`.

    Examples
    --------
    >>> driver_options("jdbc:postgresql://db.example.org/shop")
    {'driver': 'org.postgresql.Driver'}
    """
    kind = address.split(":")[1].casefold() if address.count(":") > 1 else ""
    return {"driver": _DATABASES[kind][0]} if kind in _DATABASES else {}


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
    packages = _FORMATS | {kind: package for kind, (_, package) in _DATABASES.items()}
    found = next((package for name, package in packages.items() if name in text and package), "")
    if not found:
        return " Is it spelled right? If it is, add its package to Spark by spark.jars.packages"
    return f" Add its package to Spark: spark.jars.packages={found}"
