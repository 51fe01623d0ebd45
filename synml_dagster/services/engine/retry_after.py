"""How long a service asks to wait: every form in which services say so."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

_LENGTH = r"(?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)m(?!s))?(?:(?P<seconds>\d+(?:\.\d+)?)s)?(?:(?P<ms>\d+(?:\.\d+)?)ms)?"
_IN_WORDS = re.compile(
    r"(?:retry|try again)\s+(?:after|in)\s+(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|h)\b(?!\d)",
    re.IGNORECASE,
)
_IN_LETTERS = re.compile(rf"(?:retry|try again)\s+(?:after|in)\s+(?P<length>{_LENGTH})", re.IGNORECASE)
_KEYS = (
    "retryDelay",
    "retry_delay",
    "retry_after",
    "retryAfter",
    "retry-after",
    "retry_after_seconds",
    "retryAfterSeconds",
)
_KEYS_MS = ("retry_after_ms", "retryAfterMs", "retryAfterMilliseconds")


def retry_after(headers: Mapping[str, str], body: bytes = b"", now: datetime | None = None) -> float | None:
    """Return the seconds that an answer asks to wait, None where it does not say.

    Parameters
    ----------
    headers
        The answer's, by names in lower case: `retry-after-ms`, `x-ms-retry-after-ms`, `retry-after` as seconds or as a date,
        which is read against the answer's own `date`, since clocks differ.
    body
        Its body: JSON with `retryDelay: "52s"` and its kin at any depth, or words such as `Please try again in 1m3.5s`.
    now
        The time where the answer has no date of its own.

    Examples
    --------
    >>> retry_after({"retry-after": "2.5"})
    2.5
    >>> retry_after({"retry-after": "Wed, 21 Oct 2026 07:28:10 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"})
    10.0
    >>> retry_after({}, b'{"error": {"details": [{"retryDelay": "52s"}]}}')
    52.0
    >>> retry_after({}, b"Rate limit reached. Please try again in 1m3.5s.")
    63.5
    """
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        if (ms := _number(headers.get(name))) is not None:
            return ms / 1000
    if said := headers.get("retry-after"):
        if (seconds := _number(said)) is not None:
            return seconds
        if (until := _date(said)) is not None:
            own = _date(headers.get("date") or "") or now or datetime.now(UTC)
            return max(0.0, (until - own).total_seconds())
    return _in_body(body) if body else None


def _number(text: str | None) -> float | None:
    try:
        value = float((text or "").strip())
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _in_body(body: bytes) -> float | None:
    text = body[:20_000].decode("utf-8", "replace")
    try:
        found = _in_json(json.loads(text), 0)
    except (ValueError, RecursionError):
        found = None
    return found if found is not None else _in_text(text)


def _in_json(value: Any, depth: int) -> float | None:
    if depth > 8:
        return None
    if isinstance(value, dict):
        for keys, unit in ((_KEYS_MS, 0.001), (_KEYS, 1.0)):
            for key in keys:
                if key in value and (found := _length(value[key])) is not None:
                    return found * unit
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((found for one in below if (found := _in_json(one, depth + 1)) is not None), None)


def _length(value: Any) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(str(value))
    if isinstance(value, dict) and "seconds" in value:  # protobuf's Duration
        return _number(str(float(value.get("seconds") or 0) + float(value.get("nanos") or 0) / 1e9))
    if not isinstance(value, str):
        return None
    plain = _number(value)
    found = re.fullmatch(_LENGTH, value.strip())
    return plain if plain is not None else _seconds(found) if found and value.strip() else None


def _in_text(text: str) -> float | None:
    if found := _IN_LETTERS.search(text):
        letters = re.match(_LENGTH, found["length"])
        if letters and letters[0] and len(letters[0]) > 0:
            return _seconds(letters)
    if found := _IN_WORDS.search(text):
        unit = found["unit"].lower()
        factor = 0.001 if unit.startswith(("ms", "milli")) else {"s": 1.0, "m": 60.0, "h": 3600.0}[unit[0]]
        return float(found["number"]) * factor
    return None


def _seconds(found: re.Match[str]) -> float:
    hours, minutes = float(found["hours"] or 0), float(found["minutes"] or 0)
    return hours * 3600 + minutes * 60 + float(found["seconds"] or 0) + float(found["ms"] or 0) / 1000
