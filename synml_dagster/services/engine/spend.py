"""What a sender may spend: what is expected is set aside before a request, what it took is counted after."""

from __future__ import annotations

import asyncio

from synml_dagster.services.description import Budget, Prices
from synml_dagster.services.engine.outcome import RowError


class Purse:
    """One sender's share of a run's budget.

    Parameters
    ----------
    budget
        The share; None where nothing bounds the run.
    prices
        What tokens and requests cost.
    """

    def __init__(self, budget: Budget | None, prices: Prices) -> None:
        self.budget, self.prices = budget, prices
        self.tokens = self.requests = self.waiting = self.in_flight = 0
        self.money = 0.0
        self.spent = False
        self._given = asyncio.Event()

    async def take(self, tokens: int) -> None:
        """Set aside what a request is expected to take; wait for those in flight where they may leave enough.

        Raises
        ------
        RowError
            The budget does not hold it. No later request goes either, so that a run stops once.
        """
        if self.budget is None:
            return
        while not self.spent and not self._holds(tokens):
            if self.in_flight == 0:
                self.spent = True
                break
            self._given.clear()
            await self._given.wait()
        if self.spent:
            raise RowError("budget", "the budget is spent; the next run goes on from here")
        self.requests += 1
        self.in_flight += 1
        self.waiting += tokens

    def give(self, expected: int, tokens: int, money: float) -> None:
        """Count what a request took in place of what was set aside for it."""
        if self.budget is None:
            return
        self.in_flight -= 1
        self.waiting -= expected
        self.tokens += tokens
        self.money += money
        self._given.set()

    def _holds(self, tokens: int) -> bool:
        within = self.budget
        assert within is not None
        if within.requests is not None and self.requests + 1 > within.requests:
            return False
        expected = self.waiting + tokens
        if within.tokens is not None and self.tokens + expected > within.tokens:
            return False
        if within.money is None:
            return True
        price = max(self.prices.input, self.prices.output) / 1e6
        requests = (self.in_flight + 1) * self.prices.thousand_requests / 1e3
        return self.money + expected * price + requests <= within.money
