"""Where this host keeps what would otherwise be made anew by every project and every run."""

from __future__ import annotations

import os
from pathlib import Path


def cache_directory() -> Path:
    """Return the user's cache directory for this package; it may not exist yet, and may be deleted at any time."""
    root = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(root) / "synml_dagster"
