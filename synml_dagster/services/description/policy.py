"""What an answer's status means, how long is waited before the next try, and when it is given up: one object."""

from __future__ import annotations

import random
from typing import Literal

from pydantic import BaseModel, Field, model_validator

from synml_dagster.services.description.settings import FROZEN, Seconds

Meaning = Literal["ok", "retry", "cool_down", "split", "final", "stop"]


class Policy(BaseModel):
    """Which answers are tried again and for how long.

    `retry` means this row alone; `cool_down` pauses every request of the key; `stop` ends the sending, because no other
    request could fare better; any other status is final for its row.

    Examples
    --------
    >>> policy = Policy()
    >>> policy.meaning(200), policy.meaning(429), policy.meaning(502), policy.meaning(400), policy.meaning(401)
    ('ok', 'cool_down', 'retry', 'final', 'stop')
    >>> policy.meaning(429, code="insufficient_quota")
    'stop'
    """

    model_config = FROZEN

    retry: tuple[int, ...] = Field(
        default=(408, 409, 425, 500, 502, 503, 504),
        description="Statuses after which this row is tried again.",
    )
    cool_down: tuple[int, ...] = Field(
        default=(429,), description="Statuses after which every request of the key waits."
    )
    stop: tuple[int, ...] = Field(default=(401,), description="Statuses that end the sending.")
    stop_codes: tuple[str, ...] = Field(
        default=(
            "insufficient_quota",
            "billing_hard_limit_reached",
            "billing_not_active",
            "account_deactivated",
        ),
        description="Codes in the body of an error that end the sending, whatever its status.",
    )
    attempts: int = Field(
        default=6,
        ge=1,
        le=100,
        description="Tries of a request; those that were answered by a cool-down do not count.",
    )
    first_wait: Seconds = Field(
        default=0.5,
        gt=0,
        description="The first wait is up to so long; each further one up to twice as long.",
    )
    longest_wait: Seconds = Field(default=60, gt=0, description="No wait of the back-off is longer.")
    timeout: Seconds | None = Field(
        default=None, gt=0, description="How long one answer may take; 120 s, or what the deadlines leave."
    )
    row_deadline: Seconds | None = Field(
        default=None,
        gt=0,
        description="How long a row may take from its first request on, all tries together; 30 minutes, or what the deadline leaves.",
    )
    deadline: Seconds = Field(
        default=12 * 3600,
        gt=0,
        description="How long the run may send; rows that are left then have an error and are sent by the next run.",
    )
    most_bytes: int = Field(default=64 * 2**20, ge=1024, description="The largest answer that is read.")
    most_sent: int = Field(default=256 * 2**20, ge=1024, description="The largest request that is sent.")

    @model_validator(mode="after")
    def _deadlines_hold_a_request(self) -> Policy:
        if self.timeout and self.timeout > self.deadline:
            raise ValueError(
                f"deadline is {self.deadline:g} s, shorter than one request, whose timeout is {self.timeout:g} s"
            )
        if self.row_deadline and self.row_deadline > self.deadline:
            raise ValueError(
                f"row_deadline is {self.row_deadline:g} s, and the whole run has {self.deadline:g} s by its deadline"
            )
        if self.timeout and self.row_deadline and self.timeout > self.row_deadline:
            raise ValueError(
                f"row_deadline is {self.row_deadline:g} s, shorter than one request, whose timeout is {self.timeout:g} s"
            )
        for twice in set(self.retry) & set(self.cool_down) | set(self.stop) & {*self.retry, *self.cool_down}:
            raise ValueError(f"status {twice} has two meanings; leave it in one of retry, cool_down and stop")
        return self

    @property
    def seconds_a_request(self) -> float:
        """How long one answer may take."""
        return self.timeout or min(120.0, self.seconds_a_row)

    @property
    def seconds_a_row(self) -> float:
        """How long a row may take."""
        return self.row_deadline or min(1800.0, self.deadline)

    def meaning(self, status: int, code: str | None = None) -> Meaning:
        """Return what is to be done about an answer of this status, whose error has this code."""
        if 200 <= status < 300:
            return "ok"
        if status in self.stop or (code is not None and code in self.stop_codes):
            return "stop"
        if status in self.cool_down:
            return "cool_down"
        return "retry" if status in self.retry else "final"

    def wait(self, failures: int, dice: random.Random) -> float:
        """Return seconds of back-off after so many failures, with full jitter.

        Any time up to the bound is as likely, which spreads clients that failed together best
        (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
        """
        bound = min(self.longest_wait, self.first_wait * 2.0 ** min(failures - 1, 30))
        return dice.uniform(0, bound)
