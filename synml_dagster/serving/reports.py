"""The reports of all pipelines behind one address, so that a link in Dagster's UI opens them."""

from __future__ import annotations

import html
import logging
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import SourceError
from synml_dagster.files.filesystems import filesystem_of
from synml_dagster.tables.versions import VersionedDirectory

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

log = logging.getLogger("synml_dagster.serving")

_FILE = "report.html"
# A report is one file without scripts: nothing else has to be loaded or run for it.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def reports_app(data_directory: str) -> Starlette:
    """Return the application: `/` lists the pipelines that have a report, `/<pipeline>` is the newest one.

    Parameters
    ----------
    data_directory
        As `SYNML_DATA_DIR` says it, a path or a URI.
    """
    from starlette.applications import Starlette
    from starlette.responses import HTMLResponse
    from starlette.routing import Route

    def index(request: Request) -> Response:
        names = pipelines(data_directory)
        links = "".join(f'<li><a href="/{html.escape(name)}">{html.escape(name)}</a></li>' for name in names)
        body = f"<ul>{links}</ul>" if names else "<p>There is no report yet: materialize one.</p>"
        page = f"<!doctype html><html lang=en><meta charset=utf-8><title>Reports</title><style>{_STYLE}</style><h1>Reports</h1>{body}</html>"
        return HTMLResponse(page, headers=_HEADERS)

    def report(request: Request) -> Response:
        name = request.path_params["name"]
        page = newest(data_directory, name) if name.isidentifier() else None
        if page is None:
            known = ", ".join(pipelines(data_directory)) or "none"
            return HTMLResponse(
                f"There is no report of {html.escape(name)!r}. There are: {html.escape(known)}.",
                status_code=404,
                headers=_HEADERS,
            )
        return HTMLResponse(page, headers=_HEADERS)

    # Plain functions: Starlette runs them in threads, since a data directory may be a store far away.
    return Starlette(routes=[Route("/", index), Route("/{name}", report)])


def pipelines(data_directory: str) -> list[str]:
    """Return the pipelines that have a report, by name."""
    files, inside = filesystem_of(data_directory)
    try:
        folders = files.ls(inside, detail=False)
    except FileNotFoundError:
        return []
    names = sorted({folder.rstrip("/").rpartition("/")[2] for folder in folders})
    return [name for name in names if name.isidentifier() and files.exists(f"{inside}/{name}/report")]


def newest(data_directory: str, pipeline: str) -> str | None:
    """Return the newest report of a pipeline, None where it has none."""
    directory = VersionedDirectory(f"{data_directory}/{pipeline}/report")
    try:
        version = directory.current()
        if version is None:
            return None
        files, inside = filesystem_of(f"{directory.path(version)}/{_FILE}")
        content: Any = files.cat_file(inside)
    except (SourceError, FileNotFoundError):
        return None
    return str(content.decode("utf-8"))


def serve_reports(data_directory: str, host: str, port: int) -> None:
    """Serve the reports until the process is told to end.

    Raises
    ------
    SetupError
        The port is taken or not allowed.
    """
    import uvicorn

    from synml_dagster.serving.server import bind

    bound = bind(host, port)
    bound.listen()
    where = bound.getsockname()
    print(f"reports of {data_directory} on http://{host}:{where[1]}", flush=True)
    config = uvicorn.Config(reports_app(data_directory), log_level="warning", timeout_graceful_shutdown=5)
    uvicorn.Server(config).run(sockets=[bound])


_STYLE = "body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem;color-scheme:light dark}a{font-size:1.2rem}"
