"""`synml serve`: a model as an HTTP service."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from synml_dagster.errors import ConfigError
from synml_dagster.serving import ServingOptions

_PARSED: dict[str, Callable[[str], Any]] = {
    "max_queue": int, "max_body": int, "max_rows": int, "threads": int, "shadow_queue": int,
    "body_seconds": float, "max_wait": float, "poll_seconds": float, "poll_deadline": float, "shadow_seconds": float,
}  # fmt: skip


def add_to(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand to those of `synml`."""
    made = subcommands.add_parser(
        "serve",
        help="serve a model over HTTP",
        description="Serves a model over HTTP: MLflow's /invocations and the Open Inference Protocol, version 2.",
    )
    made.add_argument(
        "model", help="models:/adult@champion, models:/adult/3, a bundle's folder, or an .onnx file"
    )
    made.add_argument(
        "--host", default="127.0.0.1", help="the address to listen on (default: 127.0.0.1, this host alone)"
    )
    made.add_argument("--port", type=int, default=8080, help="the port (default: 8080); 0 takes a free one")
    made.add_argument(
        "--shutdown-seconds",
        type=float,
        default=20,
        help="seconds for requests that are in when it ends (default: 20)",
    )
    for name, field in ServingOptions.model_fields.items():
        told = (field.description or "").rstrip(".")
        flag = "--" + name.replace("_", "-")
        if field.annotation is bool:
            made.add_argument(flag, action="store_true", help=told)
            continue
        if name == "shadow_keep":
            made.add_argument(flag, action="append", default=[], metavar="COLUMN", help=told)
            continue
        default = field.get_default(call_default_factory=True)
        shown = f"{told} (default: {default})" if default is not None and "Default" not in told else told
        made.add_argument(
            flag, type=_PARSED.get(name, str), default=default, metavar=name.upper(), help=shown
        )
    made.set_defaults(run=run)


def run(given: argparse.Namespace) -> None:
    """Serve until the process is told to end."""
    from synml_dagster.serving import serve

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("synml_dagster.serving").setLevel(logging.INFO)
    told = {name: getattr(given, name) for name in ServingOptions.model_fields}
    told["shadow_keep"] = tuple(told["shadow_keep"])
    if not 0 <= given.port < 65536:
        raise ConfigError(f"--port {given.port} is none; ports are 1 to 65535, or 0 for any that is free.")
    try:
        ServingOptions(**told)
    except ValidationError as problem:
        first = problem.errors()[0]
        flag = "--" + str(first["loc"][0]).replace("_", "-")
        raise ConfigError(f"{flag} {first['input']}: {first['msg']}.") from None
    serve(given.model, host=given.host, port=given.port, shutdown_seconds=given.shutdown_seconds, **told)
