"""What runs in a Spark task where a model of one's own answers: the journal and the ledger are those of requests."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from synml_dagster.services.description import InputError, LocalModel, Service
from synml_dagster.services.description.template import compiled
from synml_dagster.services.engine.outcome import Outcome, RowError, Tally
from synml_dagster.services.journal.journal import Writer
from synml_dagster.services.sender import Sender, answers_batch

if TYPE_CHECKING:
    import pyarrow as pa

    from synml_dagster.services.local.encoder import TextEncoder

_ROWS_AT_ONCE = 2048
"""Rows that are sorted by length together, and journalled as they are done."""


class LocalSender(Sender):
    """The function that a task maps over its rows."""

    def outcomes(
        self,
        rows: Iterator[tuple[str, Mapping[str, Any]]],
        service: Service,
        answers: pa.Schema,
        journal: Writer,
        number: int,
    ) -> Iterator[list[Outcome]]:
        """Yield what became of rows that have no answer yet; the answers go into the journal."""
        from synml_dagster.services.local.encoder import TextEncoder

        local = service.local
        assert local is not None
        encoder = TextEncoder(local, local.threads or max(1, (os.cpu_count() or 1) // self.senders))
        while some := list(itertools.islice(rows, _ROWS_AT_ONCE)):
            yield self._answered(some, service, encoder, journal, answers)

    def _answered(
        self,
        rows: Sequence[tuple[str, Mapping[str, Any]]],
        service: Service,
        encoder: TextEncoder,
        journal: Writer,
        schema: pa.Schema,
    ) -> list[Outcome]:
        local, make = service.local, compiled(service.body["text"])
        assert local is not None
        outcomes = [Outcome(key) for key, _ in rows]
        asked: list[tuple[Outcome, str]] = []
        for outcome, (_, row) in zip(outcomes, rows, strict=True):
            try:
                text = make(row)
                if not isinstance(text, str) or not text.strip():
                    raise InputError("the text is empty" if isinstance(text, str) else "a text is needed")
                asked.append((outcome, text))
            except InputError as problem:
                outcome.error = RowError("input", str(problem))
        encoded = encoder.tokens([text for _, text in asked])
        fit = []
        for (outcome, _), one in zip(asked, encoded, strict=True):
            outcome.error = _unfit(one, local, encoder.longest)
            if outcome.error is None:
                fit.append((outcome, one))
        began = time.time()
        waiting = {id(outcome): outcome for outcome, _ in fit}
        for places, made in encoder.embed([one for _, one in fit]):
            if began > self.run_end:
                break
            took = (time.time() - began) / len(places)
            good = []
            for place, vector in zip(places, made, strict=True):
                outcome, one = fit[place]
                outcome.attempts = 1
                outcome.tally = Tally(
                    started=began, finished=time.time(), seconds=took, input_tokens=len(one.ids)
                )
                del waiting[id(outcome)]
                if np.isfinite(vector).all():
                    outcome.value = vector
                    good.append(outcome)
                else:
                    outcome.error = RowError(
                        "malformed", "the model gives the text an embedding that holds no numbers"
                    )
            journal.append(answers_batch(good, schema, service.prices))
            for outcome in good:
                outcome.value = None  # the journal has it, and the ledger has no use for it
            began = time.time()
        for outcome in waiting.values():
            outcome.error = RowError("deadline", "the deadline came before the row's turn")
        return outcomes


def _unfit(encoded: Any, local: LocalModel, longest: int) -> RowError | None:
    if not encoded.ids:
        return RowError("input", "the tokenizer finds nothing in the text")
    if len(encoded.ids) > longest:
        return RowError(
            "length",
            f"the text has {len(encoded.ids)} tokens, and the model takes {longest}; cut it into parts, or say truncate: true",
        )
    return None
