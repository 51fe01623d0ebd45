"""The command `synml`. A subcommand is a module here with `add_to(subcommands)`."""

from synml_dagster.cli.main import main

__all__ = ["main"]
