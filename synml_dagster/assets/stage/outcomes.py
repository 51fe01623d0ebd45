"""Checks of stages: their specs, and their results in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from synml_dagster.assets.stage.definition import stage_key


def gate(
    pipeline: str, name: str, check: str, description: str, *, blocking: bool = False
) -> dg.AssetCheckSpec:
    """Return the spec of a check of one stage."""
    return dg.AssetCheckSpec(
        check, asset=stage_key(pipeline, name), description=description, blocking=blocking
    )


def outcome(
    check: str,
    passed: bool,
    said: str,
    metadata: Mapping[str, Any] | None = None,
    *,
    only_warns: bool = False,
) -> dg.AssetCheckResult:
    """Return the result of a check, with one sentence on it; `only_warns` where a person should look and nothing is wrong."""
    severity = dg.AssetCheckSeverity.WARN if only_warns else dg.AssetCheckSeverity.ERROR
    return dg.AssetCheckResult(
        check_name=check, passed=passed, severity=severity, description=said, metadata=metadata
    )
