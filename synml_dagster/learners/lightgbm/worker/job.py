"""What all ranks of one training have to know."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from synml_dagster.learners.lightgbm.data.row_sources import Layout

if TYPE_CHECKING:
    from synml_dagster.files.file_splits import FileSplit


@dataclass(frozen=True)
class RankJob:
    """Everything that the ranks of one training have to know; the same for all of them."""

    training: str
    layout: Layout
    params: Mapping[str, Any]
    rounds: int
    sample: int
    total_rows: int | None = None
    bins: bytes | None = None
    shares: Sequence[FileSplit] | None = None
    valid_share: FileSplit | None = None
    columns: tuple[str, ...] = ()
    validated: bool = False
    patience: int | None = None
    first_metric_only: bool = False
    min_delta: float = 0.0
    threads: int = 1
    shared_threads: bool = True
    init_text: str | None = None
    label_offset: float = 0.0
    start: float | None = None
    objective: Callable[..., Any] | None = None
    metrics: tuple[Callable[..., Any], ...] = ()
    learning_rates: Callable[[int], float] | tuple[float, ...] | None = None
    callbacks: tuple[Callable[..., Any], ...] = ()
    checkpoint: str | None = None
    checkpoint_seconds: float = 60.0
    silence: float = 30.0
    network_minutes: int = 2
    files: Mapping[str, str] = field(default_factory=dict)
    report_to: tuple[tuple[str, int], ...] = ()
    report_token: str = ""
