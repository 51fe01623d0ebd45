"""What a run took, in numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from synml_dagster.services.engine.outcome import REASONS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from synml_dagster.services.bounds import Bounds


@dataclass(frozen=True)
class Report:
    """A run in numbers.

    Attributes
    ----------
    rows
        Rows of the table.
    distinct
        Distinct inputs among them.
    resumed
        Distinct inputs that had an answer in the journal.
    sent
        Distinct inputs that were for this run to send.
    answered, failed, waiting
        How those ended; the last are in batches that have not.
    calls
        Requests that went out, retries and polls among them.
    retried, throttled
        Requests that were tries again; answers that asked for a cool-down (429).
    input_tokens, output_tokens, cached_tokens, cost
        What was taken, by failed tries, too.
    seconds
        How long the run took.
    sending_seconds
        From the first request to the last answer.
    p50, p95
        Seconds that answers took.
    requests_per_minute
        The rate that was reached.
    of_quota
        That rate as a part of the limit of requests, or of tokens where that is the nearer one; None without limits.
    reasons
        How often each reason of an error was given, that of waiting among them.
    """

    rows: int
    distinct: int
    resumed: int
    sent: int
    answered: int
    failed: int
    waiting: int
    calls: int
    retried: int
    throttled: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost: float
    seconds: float
    sending_seconds: float
    p50: float | None
    p95: float | None
    requests_per_minute: float
    of_quota: float | None
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def deduplicated(self) -> int:
        """Rows that shared the request of an equal one."""
        return self.rows - self.distinct

    @property
    def share_of_errors(self) -> float:
        """Distinct inputs that ended with an error, as a part of all."""
        return self.failed / self.distinct if self.distinct else 0.0

    def numbers(self) -> dict[str, Any]:
        """Return all of it, by name."""
        return asdict(self) | {"deduplicated": self.deduplicated, "share_of_errors": self.share_of_errors}


def report_of(ledger: DataFrame, rows: int, distinct: int, bounds: Bounds, seconds: float) -> Report:
    """Return the report of a run from its ledger."""
    from pyspark.sql import functions as sf

    sums = ("calls", "retried", "throttled", "input_tokens", "output_tokens", "cached_tokens", "cost")
    served = sf.when((sf.col("calls") > 0) & (sf.col("seconds") > 0), sf.col("seconds"))
    told = ledger.agg(
        sf.count("*").alias("sent"),
        sf.count("reason").alias("failed"),
        *(sf.coalesce(sf.sum(name), sf.lit(0)).alias(name) for name in sums),
        sf.min("started").alias("began"),
        sf.max("finished").alias("ended"),
        sf.percentile_approx(served, [0.5, 0.95]).alias("p"),
        *(sf.count_if(sf.col("reason") == reason).alias(f"reason {reason}") for reason in REASONS),
    ).collect()[0]
    reasons = {reason: told[f"reason {reason}"] for reason in REASONS if told[f"reason {reason}"]}
    waiting = reasons.get("waiting", 0)
    span = (told["ended"] or 0) - (told["began"] or 0)
    rate = told["calls"] / span * 60 if span > 0 else 0.0
    tokens = (told["input_tokens"] + told["output_tokens"]) / span * 60 if span > 0 else 0.0
    quotas = [
        got / limit
        for got, limit in (
            (rate, bounds.limits.requests_per_minute),
            (tokens, bounds.limits.tokens_per_minute),
        )
        if limit
    ]
    p50, p95 = told["p"] or (None, None)
    return Report(
        rows=rows, distinct=distinct, resumed=max(0, distinct - told["sent"]), sent=told["sent"],
        answered=told["sent"] - told["failed"], failed=told["failed"] - waiting, waiting=waiting,
        calls=told["calls"], retried=told["retried"], throttled=told["throttled"],
        input_tokens=told["input_tokens"], output_tokens=told["output_tokens"], cached_tokens=told["cached_tokens"],
        cost=float(told["cost"]), seconds=seconds, sending_seconds=span, p50=p50, p95=p95,
        requests_per_minute=rate, of_quota=max(quotas) if quotas else None, reasons=reasons,
    )  # fmt: skip
