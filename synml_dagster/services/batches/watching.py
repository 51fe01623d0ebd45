"""Asks how far batches are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from synml_dagster.services.batches.client import Client, asked
from synml_dagster.services.batches.records import Record, Records
from synml_dagster.services.description import Key, Service
from synml_dagster.services.journal.place import Place


def look(service: Service, *, journal: str, key: str | Key | None = None) -> list[Record]:
    """Return the batches that are not collected yet, with what the service says about each now.

    It needs no Spark: it is what a sensor asks.

    Raises
    ------
    SetupError
        The service refuses, or cannot be reached.
    """
    if key is not None:
        service = service.model_copy(update={"key": Key.model_validate(key).over(service.key)})
    records = Records(Place.of(journal, service, ""))
    waiting = [one for one in records.all() if one.state == "submitted"]
    if not waiting:
        return []

    async def work(client: Client) -> list[dict[str, Any]]:
        return [await client.batch(str(one.batch)) for one in waiting]

    told = asked(service, work)
    return [replace(one, status=str(now.get("status"))) for one, now in zip(waiting, told, strict=True)]
