"""What becomes of a row: a value or an error, never both and never neither; and what it took."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synml_dagster.services.description import Prices

REASONS = {
    "input": "the row's input cannot be sent: nothing, empty, or no JSON",
    "never_fits": "the request is larger than the whole quota",
    "invalid": "the service refused the request",
    "key": "the service refused the key, and nothing more was sent",
    "quota": "the account's quota is used up, and nothing more was sent",
    "rate_limited": "the service asked to wait beyond the deadline",
    "unavailable": "the service failed at each try",
    "timeout": "no answer came in time, at each try",
    "connection": "the connection failed at each try",
    "deadline": "the deadline came first",
    "budget": "the budget was spent first",
    "malformed": "the answer could not be read",
    "too_large": "the answer is larger than what is read",
    "schema": "the answer does not fit its schema, nor did the repaired one",
    "refused": "the model refused to answer",
    "length": "the answer was cut off at its greatest length",
    "content_filter": "the service withheld the answer",
    "failed": "the operation ended without success",
    "address": "the row names an address that may not be asked",
    "waiting": "the batch that the row is in has not ended",
    "not_sent": "the row was not there when requests were sent",
}
"""Why a row has no value, by the `reason` of its error."""


class RowError(Exception):
    """A row, or all rows of a request, end with an error."""

    def __init__(
        self, reason: str, message: str, *, status: int | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.reason, self.message, self.status, self.request_id = reason, message, status, request_id


class AgainError(RowError):
    """One document of several has a status that the policy tries again."""


@dataclass
class Tally:
    """What the tries for one request took, the failed ones among them."""

    calls: int = 0
    retried: int = 0
    throttled: int = 0
    answered: int = 0
    started: float | None = None
    finished: float | None = None
    seconds: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0

    def add(self, other: Tally) -> None:
        """Add the answers and tokens of a try."""
        self.answered += other.answered
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.cached_tokens += other.cached_tokens

    def cost(self, prices: Prices) -> float:
        """Return what the answered tries cost."""
        return prices.cost(self.input_tokens, self.output_tokens, self.cached_tokens, self.answered)


@dataclass
class Outcome:
    """The end of one row."""

    key: str
    value: Any = None
    error: RowError | None = None
    attempts: int = 0
    request_id: str | None = None
    tally: Tally = field(default_factory=Tally)
    """The row's part of what its request took: the parts of the rows of one request add up to it."""
