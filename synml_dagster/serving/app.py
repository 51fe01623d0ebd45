"""The ASGI application: which path is answered by what."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from synml_dagster.errors import DataError
from synml_dagster.serving import inference_v2, invocations
from synml_dagster.serving.batcher import Batcher, in_thread
from synml_dagster.serving.gate import Gate
from synml_dagster.serving.http import (
    ClientGoneError,
    Receive,
    Scope,
    Send,
    answer,
    content_length,
    header,
    media_type,
    read_whole,
)
from synml_dagster.serving.metrics import MEDIA_TYPE, Metrics
from synml_dagster.serving.model import ServedModel
from synml_dagster.serving.options import ServingOptions
from synml_dagster.serving.rows import RequestError
from synml_dagster.serving.scoring import INFER, INVOCATIONS, SMALL_BODY, Answers, Asked, Scoring
from synml_dagster.serving.shadow import Shadow
from synml_dagster.serving.source import ModelSource, model_source
from synml_dagster.serving.swap import deployments

log = logging.getLogger("synml_dagster.serving")

_VERSION = version("synml-dagster")


class ServingApp:
    """Answers requests for the scores of a model; an ASGI application. Make one with `create_app`."""

    def __init__(self, source: ModelSource, options: ServingOptions) -> None:
        self.options = options
        self.metrics = Metrics()
        shadow = None if options.shadow is None else model_source(options.shadow, options.tracking_uri)
        self.deployment, second = deployments(
            source, shadow, self.metrics, options.poll_seconds, options.poll_deadline
        )
        self.shadow: Shadow | None = None
        if second is not None:
            self.shadow = Shadow(
                second,
                options.shadow_log or _shadow_folder(self.deployment.current.name),
                self.metrics,
                options.shadow_queue,
                options.shadow_seconds,
                options.shadow_keep,
            )
        self.gate = Gate(options.max_queue, options.max_body, options.max_wait, options.threads, self.metrics)
        self.batcher = Batcher(self.metrics, self.gate.scored)
        self.scoring = Scoring(options, self.metrics, self.shadow)
        self._pool: ThreadPoolExecutor | None = None
        self._ready = True
        self._describe()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or what the server tells of its own start and end."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            raise RuntimeError(f"there are no {scope['type']} connections here")

    def start(self) -> None:
        """Begin what runs in the background; a server that tells no lifespan does so with its first request."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.options.threads, thread_name_prefix="synml-score")
            self.deployment.start()
            if self.shadow is not None:
                self.shadow.start()

    def stop(self, seconds: float = 10) -> None:
        """End what runs in the background; the shadow's rows are written, for `seconds` at the most."""
        self._ready = False
        self.deployment.stop()
        if self.shadow is not None:
            self.shadow.stop(seconds)
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self.start()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await asyncio.get_running_loop().run_in_executor(None, self.stop)
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        path = scope["path"]
        root = scope.get("root_path", "")
        if root and path.startswith(root):
            path = path[len(root) :]
        route, status, v2 = "other", 500, path.startswith("/v2")
        head = scope["method"] == "HEAD"
        try:
            if path == INVOCATIONS:
                route = path
                _only(scope, "POST")
                status = await self._score(scope, receive, send, self.model_at(path), v2=False)
            elif path.startswith("/v2/models/") and path.endswith("/infer"):
                route = INFER
                _only(scope, "POST")
                status = await self._score(scope, receive, send, self.model_at(path), v2=True)
            else:
                _only(scope, "GET", "HEAD")
                route, status, body, kind = self._told(path)
                await answer(send, status, body, kind, head=head)
        except ClientGoneError:
            status = 499
        except RequestError as problem:
            status = problem.status
            await answer(
                send, status, _told_error(str(problem), status, v2), headers=problem.headers, head=head
            )
        except DataError as problem:
            status = 400
            await answer(send, status, _told_error(str(problem), status, v2), head=head)
        except Exception:
            log.exception("a request for %s failed", route)  # its body is not logged
            await answer(send, 500, _told_error("The model could not be run; see the server's log.", 500, v2))
        finally:
            if route in (INVOCATIONS, INFER):
                self.scoring.count(route, status, time.perf_counter() - began)
            else:
                self.metrics.add("synml_requests_total", path=route, status=str(status))

    async def _score(self, scope: Scope, receive: Receive, send: Send, model: ServedModel, v2: bool) -> int:
        """Read, score and answer by `model`, which is the one that served when the request came."""
        self.start()
        told = content_length(scope)
        large = told is None or told > SMALL_BODY
        self.gate.enter(large, self.batcher.waited(time.perf_counter()))
        size = 0
        try:
            kind = media_type(scope, invocations.JSON)
            allowed = (invocations.JSON,) if v2 else invocations.MEDIA_TYPES
            if v2 and header(scope, b"inference-header-content-length") is not None:
                raise RequestError("Binary tensors are not taken; send JSON.", 415)
            if kind not in allowed:
                raise RequestError(f"{kind!r} is not taken; send {' or '.join(allowed)}.", 415)
            body = await read_whole(
                scope, receive, self.gate, self.options.max_body, self.options.body_seconds
            )
            size = len(body)
            if size <= SMALL_BODY and kind != invocations.PARQUET:
                whole = time.perf_counter()
                if not large:
                    self.gate.check(self.batcher.waited(whole))
                asked = self.scoring.read(model, body, kind, v2)
                if asked.ready.rows <= self.batcher.most_rows:
                    answers = await self.batcher.score(model, asked.ready, whole)
                else:
                    answers = await in_thread(self._threads, lambda: model.score(asked.ready))
                reply = asked.write(answers)
            else:
                asked, answers, reply = await in_thread(
                    self._threads, lambda: self._all_at_once(model, body, kind, v2)
                )
        finally:
            self.gate.leave(size, large)
        headers = self.scoring.answered(asked, answers, header(scope, b"x-request-id"))
        await answer(send, 200, reply, headers=headers)
        return 200

    @property
    def _threads(self) -> ThreadPoolExecutor:
        assert self._pool is not None
        return self._pool

    def _all_at_once(
        self, model: ServedModel, body: bytes, kind: str, v2: bool
    ) -> tuple[Asked, Answers, bytes]:
        asked = self.scoring.read(model, body, kind, v2)
        answers = model.score(asked.ready)
        return asked, answers, asked.write(answers)

    def model_at(self, path: str) -> ServedModel:
        """Return the model that answers at a path for scores.

        Raises
        ------
        RequestError
            The path names another one than the one that serves.
        """
        return self.deployment.current if path == INVOCATIONS else self._named(path)

    def _named(self, path: str) -> ServedModel:
        """Return the model where `path`, of version 2, names it, or its version that serves."""
        parts = [unquote(part) for part in path.split("/")[3:]]
        model = self.deployment.current
        if path.endswith("/infer") and (len(parts), parts[1]) not in ((2, "infer"), (4, "versions")):
            raise RequestError(f"There is nothing at {path[:200]!r}.", 404)
        if parts[0] != model.name:
            raise RequestError(f"There is no model {parts[0]!r} here; {model.name!r} is.", 404)
        if len(parts) > 2 and parts[1] == "versions" and parts[2] != model.version:
            raise RequestError(
                f"Version {parts[2]!r} of {model.name!r} does not serve; {model.version!r} does.", 404
            )
        return model

    def _told(self, path: str) -> tuple[str, int, bytes, str]:
        """Return what a path that is read answers: its name for the metrics, status, body and media type."""
        json = "application/json"
        if path in ("/ping", "/health"):
            return path, 200, b"\n", json
        if path == "/metrics":
            return path, 200, self.metrics.text().encode(), MEDIA_TYPE
        model = self.deployment.current
        told: dict[str, Any]
        if path == "/version":
            told = {"synml_dagster": _VERSION, "model": model.name, "version": model.version}
            return path, 200, invocations.dumped(told), json
        if path == "/v2/health/live":
            return path, 200, b'{"live":true}', json
        if path == "/v2/health/ready":
            return path, *self._whether_ready(), json
        if path in ("/v2", "/v2/"):
            told = {"name": "synml_dagster", "version": _VERSION, "extensions": []}
            return "/v2", 200, invocations.dumped(told), json
        if path.startswith("/v2/models/"):
            model = self._named(path)
            rest = path.split("/")[4:]
            if rest[:1] == ["versions"]:
                rest = rest[2:]
            if rest == ["ready"]:
                return "/v2/model/ready", *self._whether_ready(), json
            if not rest:
                told = {"name": model.name, "versions": [model.version], "platform": inference_v2.PLATFORM}
                return "/v2/model", 200, invocations.dumped(told | model.describe()), json
        raise RequestError(
            f"There is nothing at {path[:200]!r}. Scores are at /invocations and /v2/models/{model.name}/infer; further: /ping, /health, /version, /metrics, /v2, /v2/health/live, /v2/health/ready.",
            404,
        )

    def _whether_ready(self) -> tuple[int, bytes]:
        return (200, b'{"ready":true}') if self._ready else (503, b'{"ready":false}')

    def _describe(self) -> None:
        told = {
            "synml_requests_total": "Requests by path and status; 499 are those whose client left.",
            "synml_request_seconds": "Seconds from a request's arrival to its answer, of requests for scores.",
            "synml_rows_total": "Rows that were scored.",
            "synml_batch_rows": "Rows that were scored together on the event loop.",
            "synml_rejected_total": "Requests that were turned away because the server was full.",
            "synml_absent_column_rows_total": "Rows that lacked a column of the model.",
            "synml_model_swaps_total": "How often another version took the place of one.",
            "synml_registry_polls_total": "Looks at the registry's alias by outcome.",
        }
        for name, text in told.items():
            self.metrics.describe(name, text)


def create_app(model: str | Path, **options: Any) -> ServingApp:
    """Return an ASGI application that serves a model: for your own server, or to be mounted in an application of yours.

    Parameters
    ----------
    model
        `models:/name@alias` or `models:/name/3` of MLflow's registry, a bundle's folder, or an .onnx file. An alias is watched,
        and the version that it moves to takes over without a lost request.
    **options
        Those of `ServingOptions`.

    Raises
    ------
    ConfigError
        `model` names nothing that could be a model.
    ModelError
        The model does not open, or there is no such version or alias; the message names those that are there.
    SetupError
        The registry cannot be reached.

    Examples
    --------
    >>> app = create_app("models:/adult@champion", max_queue=256)  # doctest: +SKIP
    """
    given = ServingOptions(**options)
    return ServingApp(model_source(model, given.tracking_uri), given)


def _shadow_folder(name: str) -> str:
    from synml_dagster.resources.data_directory import DataDirectory

    return DataDirectory().path(name, "shadow")


def _only(scope: Scope, *methods: str) -> None:
    if scope["method"] not in methods:
        raise RequestError(
            f"{scope['method']} is not taken here; {methods[0]} is.", 405, [("allow", ", ".join(methods))]
        )


def _told_error(message: str, status: int, v2: bool) -> bytes:
    if v2:
        return invocations.dumped({"error": message})
    codes = {404: "ENDPOINT_NOT_FOUND", 500: "INTERNAL_ERROR", 503: "TEMPORARILY_UNAVAILABLE"}
    return invocations.dumped({"error_code": codes.get(status, "BAD_REQUEST"), "message": message})
