"""What batches may spend: by estimate before they are sent, since nothing stops them then, and by what they took afterwards."""

from __future__ import annotations

from collections.abc import Iterable

from synml_dagster.errors import ConfigError
from synml_dagster.services.batches.records import Record
from synml_dagster.services.batches.rendering import Line
from synml_dagster.services.bounds import check_budget
from synml_dagster.services.description import Budget, Prices, Service
from synml_dagster.services.description.paths import find


def reduced(prices: Prices, discount: float) -> Prices:
    """Return the prices of batches."""
    told = prices.model_dump()
    return Prices(**{name: None if price is None else price * discount for name, price in told.items()})


class Allowance:
    """The budget of one run of batches: one call of `submit`, and the repairs of its rows.

    Parameters
    ----------
    budget
        The most that the run may spend; None where nothing bounds it.
    service
        What is asked.
    discount
        The part of the service's prices that batches cost.
    before
        The batches of this run: those that were collected count with what they took, the others with what was expected.

    Raises
    ------
    ConfigError
        The service does not say what it takes, or how long an answer may become.
    """

    def __init__(
        self, budget: Budget | None, service: Service, discount: float, before: Iterable[Record] = ()
    ) -> None:
        self._budget, self._prices = budget, reduced(service.prices, discount)
        self.requests, self.tokens, self.money = 0, 0, 0.0
        self.spent = False
        if budget is not None:
            check_budget(service, budget)
            _check_length(service, budget)
        for one in before:
            self.requests += one.requests
            self.tokens += one.expected_tokens if one.took_tokens is None else one.took_tokens
            self.money += one.expected_cost if one.took_cost is None else one.took_cost

    def takes(self, line: Line) -> bool:
        """Return whether the budget holds one more request, and count it. After the first that it does not hold it takes none."""
        cost = self.cost(line)
        within = self._budget
        if within is not None and not self.spent:
            sums = (self.requests + 1, self.tokens + line.tokens, self.money + cost)
            most = (within.requests, within.tokens, within.money)
            self.spent = any(bound is not None and one > bound for one, bound in zip(sums, most, strict=True))
        if self.spent:
            return False
        self.requests += 1
        self.tokens += line.tokens
        self.money += cost
        return True

    def cost(self, line: Line) -> float:
        """Return what a request is expected to cost at the most."""
        return self._prices.cost(line.tokens - line.longest, line.longest, requests=1)


def _check_length(service: Service, budget: Budget) -> None:
    """Refuse a bound on what answers take where nothing bounds the answers: a batch that is sent cannot be stopped by its cost."""
    usage = service.usage
    if usage is None or usage.output is None or not (budget.tokens or budget.money):
        return
    if not any(isinstance(find(service.body, path), int) for path in usage.longest):
        name = "tokens" if budget.tokens else "money"
        raise ConfigError(
            f"budget.{name}: a batch cannot be stopped once it is sent, so the longest answer has to be known; give the service max_tokens, or bound budget.requests"
        )
