"""What Spark, and a database behind it, say, in the one line that a person needs."""

from __future__ import annotations

import re
from typing import Any


def first_line(problem: BaseException) -> str:
    """Return the first line of what Spark says, without its code.

    Examples
    --------
    >>> first_line(Exception("An error occurred while calling o48.load.\\n: java.io.IOException: no such disk"))
    'no such disk'
    """
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()] or [type(problem).__name__]
    # What Java raised and pyspark has no class for stands below a line that names a call through the gateway.
    called = len(lines) > 1 and re.match(r"An error occurred while calling \S+$", lines[0])
    text = re.sub(r"^: (?:[\w$]+\.)+[\w$]+: ", "", lines[1]) if called else lines[0]
    return text.split(" SQLSTATE")[0].rstrip()


def database_reason(problem: BaseException) -> str:
    """Return the database's own words, which lie some causes below what Spark says, or Spark's where there are none."""
    texts: list[str] = []
    link: Any = problem
    while isinstance(link, BaseException) and len(texts) < 10:
        texts.append(str(link))
        link = link.__cause__ or getattr(link, "_cause", None)
    found = re.search(r"(?:SQL\w*Exception|BatchUpdateException): (.+)", "\n".join(texts))
    return (found[1] if found else first_line(Exception(texts[-1]))).strip().rstrip(".")
