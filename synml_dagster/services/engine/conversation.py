"""A few requests from one process, under the policy of any: what asks a service about itself, and not about rows."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from synml_dagster.services.description import Limits, Service
from synml_dagster.services.engine.caller import Caller
from synml_dagster.services.engine.pace import CoolDown, Gate
from synml_dagster.services.engine.spend import Purse
from synml_dagster.services.engine.transport import Transport

Result = TypeVar("Result")


def conversation(
    service: Service,
    secret: str | None,
    work: Callable[[Caller], Awaitable[Result]],
    *,
    most_bytes: int = 2**26,
) -> Result:
    """Return what `work` does with a caller of the service.

    Parameters
    ----------
    service
        Its key, its policy and the schemes that addresses may have.
    secret
        The key's value.
    work
        Sends the requests.
    most_bytes
        The largest answer that is read.

    Raises
    ------
    RowError
        A request has no answer, and `work` lets it through.
    """

    async def run() -> Result:
        header = (service.key.header, service.key.prefix + secret) if secret and service.key else None
        transport = Transport(secret=header, most_bytes=most_bytes, schemes=service.schemes)
        dice, limits = random.Random(), Limits()
        async with transport:
            gate = Gate(limits, limits, CoolDown(), dice)
            purse = Purse(None, service.prices)
            return await work(Caller(service, transport, gate, purse, dice, secret))

    return asyncio.run(run())
