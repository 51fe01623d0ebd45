"""The ways in which dates and times are written as text, those that both Spark and ONNX operators can read, and which one a column has."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

_ENGLISH = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]


def _forms() -> dict[str, int]:
    """Every way that a month's name is written, and its number."""
    forms: dict[str, int] = {}
    for i, name in enumerate(_ENGLISH, 1):
        for word in (name, name[:3], *(["Sept"] if i == 9 else [])):
            forms |= {word: i, word.upper(): i, word.lower(): i}
    return forms


MONTHS = _forms()

_DIGITS = {"y": "[0-9]{4}", "m": "(?:0[1-9]|1[0-2])", "d": "(?:0[1-9]|[12][0-9]|3[01])", "q": "[1-4]"}
_SHORT = {"m": "(?:0?[1-9]|1[0-2])", "d": "(?:0?[1-9]|[12][0-9]|3[01])"}
_CLOCKS = {
    "HH:mm:ss": "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]",
    "HH:mm": "(?:[01][0-9]|2[0-3]):[0-5][0-9]",
    "H:mm:ss": "(?:[01]?[0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]",
    "H:mm": "(?:[01]?[0-9]|2[0-3]):[0-5][0-9]",
    "h:mm:ss a": "(?:0?[1-9]|1[0-2]):[0-5][0-9]:[0-5][0-9] (?:AM|PM|am|pm)",
    "h:mm a": "(?:0?[1-9]|1[0-2]):[0-5][0-9] (?:AM|PM|am|pm)",
}


@dataclass(frozen=True)
class Pattern:
    """How a date is written.

    Attributes
    ----------
    mark, order
        What stands between the parts, and their order: y year, m month, d day, q quarter. A part that is not there is its first.
    before_time, clock
        What stands before a time of day, and how that is written; None where there is none.
    short
        Whether days, months and hours below ten may have one digit.
    named
        Whether the month is a name in English.
    century
        Whether the year has its century.
    comma
        Whether a comma follows the day.
    fraction
        What stands before a fraction of the second, "" where there is none; a value may lack it.
    zone
        What follows the time of day: a word for UTC, or a sign and `hh:mm`, `hhmm` or `hh` for the distance from it.
    """

    mark: str
    order: str
    before_time: str | None = None
    clock: str = "HH:mm:ss"
    short: bool = False
    named: bool = False
    century: bool = True
    comma: bool = False
    fraction: str = ""
    zone: str = ""

    @property
    def java(self) -> str:
        """As Java writes it, for Spark's `date_format` of a time in UTC."""
        letters = {"y": "yyyy" if self.century else "yy", "m": "M" if self.short else "MM", "q": "q"}
        letters |= {"d": ("d" if self.short else "dd") + "," * self.comma}
        letters |= {"m": "MMM"} if self.named else {}
        date = f"'{self.mark}'".join(letters[p] for p in self.order)
        if not self.before_time:
            return date
        fraction = f"'{self.fraction}'SSSSSS" if self.fraction else ""
        zone = self.zone.replace("hh", "00").replace("mm", "00")
        return f"{date}'{self.before_time}'{self.clock}{fraction}" + (f"'{zone}'" if zone else "")

    @property
    def has_time(self) -> bool:
        """Whether a time of day follows."""
        return self.before_time is not None

    @property
    def regex(self) -> str:
        """What a value must match whole; Java, RE2 and Python read it alike."""
        parts = _DIGITS | (_SHORT if self.short else {})
        if self.named:
            parts["m"] = f"(?:{'|'.join(sorted(MONTHS, key=len, reverse=True))})"
        if not self.century:
            parts["y"] = "[0-9]{2}"
        if self.comma:
            parts["d"] += ","
        date = re.escape(self.mark).join(parts[p] for p in self.order)
        if not self.before_time:
            return date
        fraction = f"(?:{re.escape(self.fraction)}[0-9]{{1,9}})?" if self.fraction else ""
        zone = re.escape(self.zone).replace("hh", "(?:0[0-9]|1[0-8])").replace("mm", "[0-5][0-9]")
        return date + self.before_time + _CLOCKS[self.clock] + fraction + zone

    @property
    def fields(self) -> str:
        """As `regex`, with a group for each part of the date in its order, and for what `clock_parts` names."""
        loose = {
            "y": "([0-9]+)",
            "m": "([A-Za-z]+)" if self.named else "([0-9]+)",
            "d": "([0-9]+),?",
            "q": "([1-4])",
        }
        date = re.escape(self.mark).join(loose[p] for p in self.order)
        if not self.before_time:
            return date
        clock = (
            "([0-9]+):([0-9]+)"
            + ":([0-9]+)" * ("ss" in self.clock)
            + " ([A-Za-z]+)" * self.clock.endswith("a")
        )
        if self.fraction:
            clock += f"(?:{re.escape(self.fraction)}([0-9]+))?"
        zone = re.escape(self.zone).replace("hh", "([0-9][0-9])").replace("mm", "([0-9][0-9])")
        return f"{date}{self.before_time}{clock}{zone}"

    @property
    def clock_parts(self) -> list[str]:
        """What of a time of day has a group in `fields`, in order."""
        told = {
            "second": "ss" in self.clock,
            "half": self.clock.endswith("a"),
            "fraction": bool(self.fraction),
            "zone_hour": "hh" in self.zone,
            "zone_minute": "mm" in self.zone,
        }
        return ["hour", "minute", *(part for part, there in told.items() if there)]

    @property
    def example(self) -> str:
        """A value that the pattern reads."""
        parts = {
            "y": "1970" if self.century else "70",
            "m": "Jan" if self.named else "01",
            "d": "01" + "," * self.comma,
            "q": "1",
        }
        clock = {
            "HH:mm:ss": "00:00:00",
            "HH:mm": "00:00",
            "H:mm:ss": "00:00:00",
            "H:mm": "00:00",
            "h:mm:ss a": "12:00:00 AM",
            "h:mm a": "12:00 AM",
        }
        zone = self.zone.replace("hh", "00").replace("mm", "00")
        return self.mark.join(parts[p] for p in self.order) + (
            self.before_time + clock[self.clock] + zone if self.before_time else ""
        )


PATTERNS: dict[str, Pattern] = {
    "yyyy-MM-dd": Pattern("-", "ymd"),
    "yyyy-MM-dd HH:mm:ss": Pattern("-", "ymd", " "),
    "yyyy-MM-ddTHH:mm:ss": Pattern("-", "ymd", "T"),
    "yyyy/MM/dd": Pattern("/", "ymd"),
    "dd/MM/yyyy": Pattern("/", "dmy"),
    "MM/dd/yyyy": Pattern("/", "mdy"),
    "dd.MM.yyyy": Pattern(".", "dmy"),
    "yyyy/MM/dd HH:mm:ss": Pattern("/", "ymd", " "),
    "dd/MM/yyyy HH:mm:ss": Pattern("/", "dmy", " "),
    "MM/dd/yyyy HH:mm:ss": Pattern("/", "mdy", " "),
    "dd.MM.yyyy HH:mm:ss": Pattern(".", "dmy", " "),
    "yyyy-MM": Pattern("-", "ym"),
    "yyyyQq": Pattern("Q", "yq"),
    "yyyy-Qq": Pattern("-Q", "yq"),
    "yyyy Qq": Pattern(" Q", "yq"),
    "MMM d, yyyy": Pattern(" ", "mdy", short=True, named=True, comma=True),
    "d MMM yyyy": Pattern(" ", "dmy", short=True, named=True),
    "MMM yyyy": Pattern(" ", "my", named=True),
    "MMM-yyyy": Pattern("-", "my", named=True),
    "MMM-yy": Pattern("-", "my", named=True, century=False),
    "MM/yyyy": Pattern("/", "my"),
    "M/yyyy": Pattern("/", "my", short=True),
    "yyyy/MM": Pattern("/", "ym"),
    "yyyy.MM.dd": Pattern(".", "ymd"),
}
"""The ways by the names that plans keep; of those that read a column equally well the first is taken."""


def _add_short() -> None:
    """People's own: days before months and after them, with one digit or two, years with and without their century."""
    orders = (
        ("d/M/", "/", "dmy"),
        ("M/d/", "/", "mdy"),
        ("d.M.", ".", "dmy"),
        ("d-M-", "-", "dmy"),
        ("M-d-", "-", "mdy"),
    )
    for century in (True, False):
        year = "yyyy" if century else "yy"
        for name, mark, order in orders:
            PATTERNS[name + year] = Pattern(mark, order, short=True, century=century)
        PATTERNS[f"d-MMM-{year}"] = Pattern("-", "dmy", short=True, named=True, century=century)
        for clock in ("H:mm", "H:mm:ss", "h:mm a", "h:mm:ss a"):
            for name, mark, order in orders:
                PATTERNS[f"{name}{year} {clock}"] = Pattern(
                    mark, order, " ", clock, short=True, century=century
                )
            PATTERNS[f"d-MMM-{year} {clock}"] = Pattern(
                "-", "dmy", " ", clock, short=True, named=True, century=century
            )
    for clock in ("H:mm", "h:mm a"):
        PATTERNS[f"yyyy-MM-dd {clock}"] = Pattern("-", "ymd", " ", clock, short=True)
        PATTERNS[f"yyyy/MM/dd {clock}"] = Pattern("/", "ymd", " ", clock, short=True)
    for before in ("T", " "):
        # As programs write moments: a fraction of the second, and where on earth the clock hangs.
        for zone in ("", "Z", " UTC", *(sign + off for sign in "+-" for off in ("hh:mm", "hhmm", "hh"))):
            name = f"yyyy-MM-dd{before}HH:mm"
            for mark in (".", ",") if not zone else (".",):
                PATTERNS[f"{name}:ss{mark}S{zone}"] = Pattern("-", "ymd", before, fraction=mark, zone=zone)
            if zone:
                PATTERNS[name + zone] = Pattern("-", "ymd", before, "HH:mm", zone=zone)
    PATTERNS["yyyy-MM-ddTH:mm"] = Pattern("-", "ymd", "T", "H:mm", short=True)


_add_short()


def recognise(values: list[str], share: float = 0.95) -> str | None:
    """Return the way that at least `share` of `values` are written in, or None.

    Day before month is told from month before day by values that only one of them can read; where all values
    fit both, the day comes first, and `ambiguous` says so.
    """
    if not values:
        return None
    best: tuple[int, str] | None = None
    for name, hits in _hits(values):
        if hits >= share * len(values) and (best is None or hits > best[0]):
            best = (hits, name)
    return best[1] if best else None


def ambiguous(values: list[str], written: str) -> str | None:
    """Return the way that reads all of `values` that `written` reads with month and day the other way round, or None."""
    chosen = PATTERNS[written]
    if chosen.named or chosen.order not in ("dmy", "mdy"):
        return None
    turned = replace(chosen, order="mdy" if chosen.order == "dmy" else "dmy")
    name = next((n for n, p in PATTERNS.items() if p == turned), None)
    if name is None:
        return None
    read = [v for v in values if re.fullmatch(chosen.regex, v)]
    return name if read and all(re.fullmatch(turned.regex, v) for v in read) else None


def _hits(values: list[str]) -> list[tuple[str, int]]:
    # Most of the ways are none for most columns: a few values tell.
    first = values[:20]
    found = []
    for name, pattern in PATTERNS.items():
        matcher = re.compile(pattern.regex)
        if any(matcher.fullmatch(v) for v in first):
            found.append((name, sum(1 for v in values if matcher.fullmatch(v))))
    return found
