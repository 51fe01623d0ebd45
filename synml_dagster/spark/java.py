"""Finds the Java that Spark will start, and says in one sentence when there is none or it is too old."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from synml_dagster.errors import SetupError

MINIMUM_JAVA = 17
"""Spark 4 needs Java 17 or newer."""

_ADVICE = "Install a JDK or JRE of version 17 or newer (Debian: `apt install openjdk-17-jre-headless`) and set JAVA_HOME, or use a remote Spark with SPARK_REMOTE=sc://host:15002."


def java_version(output: str) -> int | None:
    """Return the major version in what `java -version` printed, or None where it names none.

    Examples
    --------
    >>> java_version('openjdk version "17.0.15" 2025-04-15')
    17
    >>> java_version('java version "1.8.0_392"')
    8
    """
    found = re.search(r'version "(\d+)(?:\.(\d+))?', output)
    if not found:
        return None
    major = int(found.group(1))
    return int(found.group(2) or 0) if major == 1 else major


@dataclass(frozen=True)
class Java:
    """The Java that Spark would start: its program, its major version, and all that it says of itself."""

    program: str
    version: int
    says: str


def check_java() -> Java:
    """Return the Java that Spark would start.

    Raises
    ------
    SetupError
        Java is missing, cannot be run, or is older than 17.
    """
    home = os.environ.get("JAVA_HOME")
    if home:
        java = str(Path(home) / "bin" / "java")
        if not Path(java).exists():
            raise SetupError(f"JAVA_HOME is {home!r}, which holds no bin/java. {_ADVICE}")
    else:
        java = shutil.which("java") or ""
        if not java:
            raise SetupError(
                f"Spark needs Java {MINIMUM_JAVA} or newer and none was found on PATH. {_ADVICE}"
            )
    try:
        says = _said(java, os.stat(java).st_mtime_ns)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise SetupError(f"{java!r} could not be run: {problem}. {_ADVICE}") from problem
    version = java_version(says)
    if version is None:
        raise SetupError(f"{java!r} did not say its version. {_ADVICE}")
    if version < MINIMUM_JAVA:
        raise SetupError(
            f"Spark needs Java {MINIMUM_JAVA} or newer and {java!r} is Java {version}. {_ADVICE}"
        )
    return Java(java, version, says)


@lru_cache(maxsize=8)
def _said(java: str, changed: int) -> str:
    """Return what a program says of its version. It starts a JVM, and each step of a run asks."""
    done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False)
    return done.stderr + done.stdout


def main() -> None:
    """Exit with one sentence, and not a traceback, when there is no Java that Spark can use."""
    try:
        check_java()
    except SetupError as problem:
        raise SystemExit(str(problem)) from None
