"""Parses the command line and runs what it names."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version

from synml_dagster.cli import reports, serve
from synml_dagster.errors import SynmlError

SUBCOMMANDS = (serve, reports)


def parser() -> argparse.ArgumentParser:
    """Return the parser of `synml` with its subcommands."""
    made = argparse.ArgumentParser(
        prog="synml", description="Machine learning pipelines on Spark, operated by Dagster."
    )
    made.add_argument("--version", action="version", version=f"synml_dagster {version('synml-dagster')}")
    subcommands = made.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in SUBCOMMANDS:
        module.add_to(subcommands)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: 0, or 2 where something is wrong with what was asked for."""
    given = parser().parse_args(arguments)
    try:
        given.run(given)
    except SynmlError as problem:
        print(f"synml: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0
