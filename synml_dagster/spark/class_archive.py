"""An archive of the classes that a local Spark loads, with which its JVM starts in about half the time.

A step of Dagster's multiprocess executor starts a JVM of its own, which reads and checks some 20,000 classes from
Spark's jars. Java can keep them ready to map into memory (JEP 310, JEP 350: application class-data sharing). The archive
is made once for each Java and each installation of pyspark, by `make_class_archive`; where it is not there, or does not
fit, Java reads the jars as before.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from synml_dagster.cache import cache_directory
from synml_dagster.errors import SetupError
from synml_dagster.spark.java import Java, check_java

_REHEARSAL_SECONDS = 180
# Without these Java prints a line into every log when the archive does not fit the jars.
_QUIET = "-Xshare:auto -Xlog:cds=off -Xlog:cds+dynamic=off -Xlog:class+path=off"


def archive_options(java: Java) -> str:
    """Return the options with which `java` uses its archive; none where no archive was made.

    Examples
    --------
    >>> archive_options(Java("/nowhere/java", 17, "a Java that nobody has"))
    ''
    """
    archive = archive_path(java)
    return f"-XX:SharedArchiveFile={archive} {_QUIET}" if archive.exists() else ""


def archive_path(java: Java) -> Path:
    """Return where the archive for `java` and the installed pyspark lies, whether or not it was made."""
    # Found, not imported: this is asked before pyspark is needed.
    pyspark = importlib.util.find_spec("pyspark")
    where = os.environ.get("SPARK_HOME") or (pyspark.origin if pyspark else "")
    facts = [os.path.realpath(java.program), java.says, str(where)]
    if where and os.path.exists(where):
        facts.append(str(os.stat(where).st_mtime_ns))  # another pyspark installed in the same place
    return cache_directory() / f"spark-{hashlib.sha256(repr(facts).encode()).hexdigest()[:16]}.jsa"


def make_class_archive() -> Path:
    """Make the archive unless it is there: run small queries of each kind in a session whose JVM records its classes.

    Raises
    ------
    SetupError
        Java is missing or too old, the session failed, or this Java keeps no archives.
    """
    archive = archive_path(check_java())
    if archive.exists():
        return archive
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".classes-", dir=archive.parent) as folder:
        part = Path(folder) / "classes.jsa"
        program = f"from synml_dagster.spark.rehearsal import rehearse; rehearse({str(part)!r}, {_QUIET!r})"
        try:
            # Java writes the archive when it exits, which is after its client; both hold the pipe that is read here.
            done = subprocess.run(
                [sys.executable, "-c", program],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                timeout=_REHEARSAL_SECONDS,
            )
        except subprocess.TimeoutExpired as late:
            raise SetupError(
                f"Java took more than {_REHEARSAL_SECONDS} s to archive Spark's classes. Spark works without: it only starts more slowly."
            ) from late
        if done.returncode or not part.exists():
            raise SetupError(
                f"Java kept no archive of Spark's classes: {_last_line(done.stdout)}. Spark works without: it only starts more slowly."
            )
        part.replace(archive)
    return archive


def _last_line(told: str) -> str:
    return next((line for line in reversed(told.splitlines()) if line.strip()), "it said nothing").rstrip(".")


def main() -> None:
    """Make the archive, or say in one sentence why there is none; a missing archive is no failure."""
    # Without this, a job that is ended leaves a half of the archive, some hundred megabytes that nobody would remove.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        make_class_archive()
    except SetupError as problem:
        print(problem, file=sys.stderr)
