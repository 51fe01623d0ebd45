"""An executor's local disk."""

from __future__ import annotations

import os


def local_folder() -> str | None:
    """Return the first folder that Spark was given for its own files, or None for the host's usual one."""
    folder = os.environ.get("SPARK_LOCAL_DIRS", "").split(",")[0]
    return folder if folder and os.path.isdir(folder) else None
