"""What is sent within which bounds, and which of them go together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from synml_dagster.errors import ConfigError
from synml_dagster.services.description import Budget, Limits, Service
from synml_dagster.services.local.files import longest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Bounds:
    """What is sent and within which bounds."""

    service: Service
    limits: Limits
    budget: Budget | None
    senders: int
    journal: str
    value_type: str

    def check(self, spark: SparkSession) -> None:
        """Refuse settings that do not go together.

        Raises
        ------
        ConfigError
            It names the setting.
        """
        from synml_dagster.spark import task_slots

        if self.senders < 1:
            raise ConfigError(f"senders must be at least 1 but got {self.senders}")
        if self.service.local is not None:
            self._check_local()
            longest(self.service.local)
        if self.senders > self.limits.in_flight:
            raise ConfigError(
                f"senders is {self.senders}, and limits.in_flight is {self.limits.in_flight}: each sender needs a request of its own"
            )
        slots = task_slots(spark)
        if slots is not None and self.senders > slots:
            raise ConfigError(
                f"senders is {self.senders}, and Spark runs {slots} tasks at a time: the others would leave their part of the limits unused. Lower senders."
            )
        if self.limits.tokens_per_minute and self.service.usage is None:
            raise ConfigError(
                f"limits.tokens_per_minute: {self.service.name} does not say what takes tokens; describe its usage, or leave the limit out"
            )
        if self.budget is not None:
            check_budget(self.service, self.budget)
        try:
            speculates = spark.conf.get("spark.speculation", "false") == "true"
        except Exception:  # a server that does not tell
            speculates = False
        if speculates:
            raise ConfigError(
                "services: spark.speculation lets Spark run a task twice at once, and each request would be paid twice. Turn it off."
            )

    def _check_local(self) -> None:
        """Refuse bounds that a model of one's own does not know."""
        given = {
            "key": self.service.key, "budget": self.budget, "limits.requests_per_minute": self.limits.requests_per_minute,
            "limits.tokens_per_minute": self.limits.tokens_per_minute,
        }  # fmt: skip
        for name, value in given.items():
            if value is not None:
                raise ConfigError(
                    f"{name}: {self.service.name} runs in Spark's tasks, and knows no such thing; leave it out"
                )


def check_budget(service: Service, budget: Budget) -> None:
    """Refuse a budget of what nobody counts.

    Raises
    ------
    ConfigError
        It names the bound.
    """
    for name in ("tokens", "money"):
        if getattr(budget, name) and service.usage is None and not service.prices.thousand_requests:
            raise ConfigError(
                f"budget.{name}: {service.name} does not say what it takes; describe its usage and prices, or give budget.requests"
            )
    if budget.money and service.prices == type(service.prices)():
        raise ConfigError(
            f"budget.money: {service.name} has no prices; give them as prices: {{input: ..., output: ...}} for a million tokens"
        )
