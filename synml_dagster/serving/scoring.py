"""What each request for scores goes through, whichever way it came in: read, scored, written, counted."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from synml_dagster.onnx import ReadRows
from synml_dagster.serving import inference_v2, invocations
from synml_dagster.serving.metrics import SECONDS, Metrics
from synml_dagster.serving.model import ServedModel
from synml_dagster.serving.options import ServingOptions
from synml_dagster.serving.rows import Rows
from synml_dagster.serving.shadow import Answered, Shadow

SMALL_BODY = 64 * 2**10
"""Bytes of a body that is read where it arrives; a larger one is read in a thread."""

INVOCATIONS, INFER = "/invocations", "/v2/infer"
"""The two forms of a request for scores, by their names in the metrics."""

Answers = dict[str, list[Any]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was read.

    Attributes
    ----------
    model
        The one that answers it.
    rows, ready
        Its rows as they came, and as the model takes them.
    write
        Makes the reply of the answers.
    size
        Bytes of its body.
    """

    model: ServedModel
    rows: Rows
    ready: ReadRows
    write: Callable[[Answers], bytes]
    size: int


class Scoring:
    """Reads requests, and counts those that were answered."""

    def __init__(self, options: ServingOptions, metrics: Metrics, shadow: Shadow | None) -> None:
        self._options, self._metrics, self._shadow = options, metrics, shadow
        self._rows = metrics.counter("synml_rows_total")
        self._seconds = {
            form: metrics.histogram("synml_request_seconds", SECONDS, path=form)
            for form in (INVOCATIONS, INFER)
        }

    def read(self, model: ServedModel, body: bytes, kind: str, v2: bool) -> Asked:
        """Return what a body of media type `kind` asks of `model`.

        Raises
        ------
        RequestError, DataError
            It is malformed, of more rows than are allowed, or has values that the model does not take.
        """
        most = self._options.max_rows
        write: Callable[[Answers], bytes] = invocations.write_reply
        if v2:
            types = model.answer_types()
            asked = inference_v2.read_request(body, most, list(types))
            rows = asked.rows

            def write(answers: Answers) -> bytes:
                return inference_v2.write_reply(answers, types, model.name, model.version, asked)

        else:
            rows = invocations.read_body(body, kind, most, model.only)
        return Asked(model, rows, model.read(rows, self._options.require_columns), write, len(body))

    def answered(self, asked: Asked, answers: Answers, request: str | None) -> list[tuple[str, str]]:
        """Count a request that was answered, hand it to the shadow, and return the headers of its reply.

        Parameters
        ----------
        asked, answers
            The request, and its scores.
        request
            Its id, from the header `x-request-id`.
        """
        self._rows.add(asked.rows.count)
        for name in asked.ready.absent:
            self._metrics.add("synml_absent_column_rows_total", asked.rows.count, column=name)
        headers = [("x-model-name", asked.model.name), ("x-model-version", asked.model.version)]
        if self._shadow is not None:
            request = request or uuid.uuid4().hex
            self._shadow.offer(
                Answered(datetime.now(UTC), request[:128], asked.model, asked.rows, answers, asked.size)
            )
        if request is not None:
            headers.append(("x-request-id", request[:128]))
        return headers

    def count(self, form: str, status: int, seconds: float) -> None:
        """Count a request for scores with its status and the seconds that it took."""
        self._metrics.add("synml_requests_total", path=form, status=str(status))
        self._seconds[form].add(seconds)
