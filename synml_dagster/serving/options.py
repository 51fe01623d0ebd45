"""What a server of a model may be told, each with its limits."""

from __future__ import annotations

import os

from pydantic import BaseModel, ConfigDict, Field


class ServingOptions(BaseModel):
    """The limits of a serving application. An unknown option is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_queue: int = Field(
        default=512,
        ge=1,
        description="Requests that may be in the server unanswered; one more gets 503 and Retry-After.",
    )
    max_wait: float = Field(
        default=0.01,
        gt=0,
        description="Seconds that a small request may be expected to wait for its answer when the server has more than it can do; further ones get 503 at once.",
    )
    max_body: int = Field(
        default=16 * 2**20, ge=1, description="Bytes of one request's body; a larger one gets 413."
    )
    max_rows: int = Field(default=100_000, ge=1, description="Rows of one request; more get 413.")
    threads: int = Field(
        default_factory=lambda: max(1, (os.cpu_count() or 1) - 1),
        ge=1,
        description="Threads for large requests. Small ones are scored where they arrive. Default: the cores less one.",
    )
    body_seconds: float = Field(
        default=30, gt=0, description="Seconds in which a request's body must have arrived; else 408."
    )
    poll_seconds: float = Field(
        default=5, gt=0, description="Seconds between two looks at the registry's alias."
    )
    poll_deadline: float = Field(
        default=30, gt=0, description="Seconds after which a look at the registry counts as failed."
    )
    tracking_uri: str | None = Field(
        default=None,
        description="MLflow's tracking store. Default: the environment's MLFLOW_TRACKING_URI, else SQLite in the data directory.",
    )
    require_columns: bool = Field(
        default=False,
        description="Refuse rows that lack a column of the model. By default it is missing in them, and counted.",
    )
    shadow: str | None = Field(
        default=None,
        description="A second model, `models:/adult@challenger`, that scores the same rows behind the answers.",
    )
    shadow_log: str | None = Field(
        default=None,
        description="The folder of Parquet files that holds the answers of both. Default: <data directory>/<model>/shadow.",
    )
    shadow_queue: int = Field(
        default=10_000,
        ge=1,
        description="Rows that may wait for the second model; further ones are dropped and counted.",
    )
    shadow_seconds: float = Field(
        default=60, gt=0, description="Seconds after which the answers of both are written at the latest."
    )
    shadow_keep: tuple[str, ...] = Field(
        default=(), description="Columns of the requests that are written along, as text: a customer's id."
    )
