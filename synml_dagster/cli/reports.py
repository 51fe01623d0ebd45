"""`synml reports`: the newest report of each pipeline in a browser."""

from __future__ import annotations

import argparse
from typing import Any


def add_to(subcommands: Any) -> None:
    """Add the subcommand to those of `synml`."""
    made = subcommands.add_parser(
        "reports",
        help="show the pipelines' reports in a browser",
        description="Serves the newest report of each pipeline. Set SYNML_REPORTS_URL where Dagster runs, and the page of `report` links to it.",
    )
    made.add_argument("--data-dir", help="the data directory (default: the environment's SYNML_DATA_DIR)")
    made.add_argument(
        "--host", default="127.0.0.1", help="the address to listen on (default: 127.0.0.1, this host alone)"
    )
    made.add_argument("--port", type=int, default=3001, help="the port (default: 3001); 0 takes a free one")
    made.set_defaults(run=run)


def run(given: argparse.Namespace) -> None:
    """Serve until the process is told to end."""
    from synml_dagster.resources.data_directory import DataDirectory
    from synml_dagster.serving import serve_reports

    serve_reports(DataDirectory(given.data_dir).resolved(), given.host, given.port)
