"""The server itself: uvicorn on a socket that is bound before the model is opened, with deadlines for its end."""

from __future__ import annotations

import errno
import gc
import importlib.util
import logging
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import SetupError
from synml_dagster.serving.app import ServingApp, create_app
from synml_dagster.serving.direct import MOMENT, direct_protocol

if TYPE_CHECKING:
    import uvicorn

log = logging.getLogger("synml_dagster.serving")

_BACKLOG = 2048

_ACCEPTED_AT_ONCE = 16
"""libuv accepts one connection in a turn of its loop for each listening socket that it knows: at 15 ms a turn, 66 in a second."""


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address; port 0 takes a free one.

    Raises
    ------
    SetupError
        The port is taken or not allowed, or the host is none of this machine's.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as problem:
        raise SetupError(f"--host {host!r} is no address: {problem.strerror or problem}.") from problem
    family, kind, protocol, _, address = found[0]
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
    except OSError as problem:
        bound.close()
        raise SetupError(_why(problem, host, port)) from problem
    return bound


def serve(
    model: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    shutdown_seconds: float = 20,
    **options: Any,
) -> None:
    """Serve a model over HTTP until the process is told to end.

    SIGTERM and Ctrl+C end it: no new connection is taken, requests that are in are answered for `shutdown_seconds` at the most.

    Parameters
    ----------
    model
        As for `create_app`.
    host, port
        The address; this host alone by default, because the server asks nobody for a password.
    shutdown_seconds
        Seconds for requests that are in when it ends.
    **options
        Those of `ServingOptions`.

    Raises
    ------
    ConfigError, ModelError, SetupError
        As `create_app`, and `bind`; before anything serves.
    """
    listening = bind(host, port)
    try:
        app = create_app(model, **options)
    except BaseException:
        listening.close()
        raise
    # What was made until here stays; the collector need not look at it again with every few thousand requests.
    gc.collect()
    gc.freeze()
    # Threads that score large requests give way sooner to the loop that answers small ones.
    sys.setswitchinterval(0.001)
    server = uvicorn_server(app, shutdown_seconds)
    name, number = listening.getsockname()[:2]
    serving = app.deployment.current
    shown = f"[{name}]" if ":" in name else name
    log.info("%s version %s is served on http://%s:%d", serving.name, serving.version, shown, number)
    try:
        server.run(sockets=listeners(listening))
    except OSError as problem:  # two may be bound to one port until one of them listens
        raise SetupError(_why(problem, host, port)) from problem


def uvicorn_server(app: ServingApp, shutdown_seconds: float = 20, moment: float = MOMENT) -> uvicorn.Server:
    """Return a server of `app`, with httptools and uvloop where they are installed; see `direct_protocol` for `moment`."""
    import uvicorn

    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=direct_protocol(app, moment) if _there("httptools") else "h11",
            loop="uvloop" if _there("uvloop") else "asyncio",
            ws="none",
            lifespan="on",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            backlog=_BACKLOG,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=max(1, round(shutdown_seconds)),
        )
    )


def listeners(listening: socket.socket) -> list[socket.socket]:
    """Return what a server is to listen on: the socket, and with uvloop more handles of the same one, so that many are accepted at once."""
    more = _ACCEPTED_AT_ONCE - 1 if _there("uvloop") else 0
    return [listening, *(listening.dup() for _ in range(more))]


def _there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _why(problem: OSError, host: str, port: int) -> str:
    if problem.errno == errno.EADDRINUSE:
        return f"Port {port} of {host} is taken by another process. Choose another one by --port, or 0 for any that is free."
    if problem.errno == errno.EACCES:
        return f"Port {port} is not allowed to this user; those from 1024 on are."
    if problem.errno == errno.EADDRNOTAVAIL:
        return f"--host {host!r} is no address of this machine."
    return f"Port {port} of {host} cannot be used: {problem.strerror or problem}."
