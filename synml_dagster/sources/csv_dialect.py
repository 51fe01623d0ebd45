"""How a CSV file is written: its encoding, its separator, its quoting and its header, told by its first bytes."""

from __future__ import annotations

import codecs
import csv
import re
from dataclasses import dataclass

from synml_dagster.errors import SourceError

HEAD_BYTES = 256 * 1024
_SEPARATORS = (",", ";", "\t", "|")
_BOMS = ((codecs.BOM_UTF8, "UTF-8"), (codecs.BOM_UTF16_LE, "UTF-16"), (codecs.BOM_UTF16_BE, "UTF-16"))


@dataclass(frozen=True)
class Dialect:
    """What Spark's reader has to be told of a file.

    Attributes
    ----------
    header
        The names in the first line, blanks around them taken off.
    notes
        What was guessed and is not what everybody writes.
    """

    encoding: str
    separator: str
    escape: str
    comment: str
    header: tuple[str, ...]
    notes: tuple[str, ...] = ()


def dialect_of(head: bytes, name: str, options: dict[str, str]) -> Dialect:
    """Return how the file `name` is written, of which `head` are the first bytes; what `options` say is not guessed.

    Raises
    ------
    SourceError
        The file is empty, or its bytes are not of the encoding that the options name.
    """
    told = {key.casefold(): value for key, value in options.items()}
    encoding, notes = _encoding(head, name, told.get("encoding") or told.get("charset"))
    try:
        text = head.decode("utf-8-sig" if encoding == "UTF-8" else encoding, errors="ignore")
    except LookupError as problem:
        raise SourceError(f"source.options.encoding: {encoding!r} is no encoding") from problem
    if not text.strip():
        raise SourceError(f"source: {name!r} is an empty file")
    if re.match(r"sep=.\s*\n", text, re.IGNORECASE):
        raise SourceError(
            f"source: {name!r} begins with Excel's line {text.splitlines()[0]!r}, which Spark cannot pass over. Take that line out."
        )
    comment = told.get("comment")
    if comment is None and text.startswith("#") and not _is_header(text):
        comment = "#"
        notes.append(
            f"lines of {name!r} that begin with '#' are comments; say source.options.comment: '' where they are not"
        )
    if comment:
        text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(comment))
    separator = told.get("sep") or told.get("delimiter")
    if separator is None:
        separator = _separator(text, told.get("quote", '"'))
        if separator != "," and not name.lower().endswith((".tsv", ".tsv.gz")):
            shown = "tabs" if separator == "\t" else repr(separator)
            notes.append(f"the columns of {name!r} are separated by {shown}")
    separator = "\t" if separator == "\\t" else separator
    escape = told.get("escape") or ("\\" if '\\"' in text and '""' not in text.replace('\\"', "") else '"')
    reader = csv.reader(
        text.splitlines(keepends=True), delimiter=separator[0], quotechar=told.get("quote", '"') or '"'
    )
    header = next((row for row in reader if row), [])
    return Dialect(
        encoding, separator, escape, comment or "", tuple(cell.strip() for cell in header), tuple(notes)
    )


def _is_header(text: str) -> bool:
    """Whether the first line is cut into as many pieces as the second: names after a `#`, and no comment."""
    first, second = [*text.splitlines(), "", ""][:2]
    return any(first.count(mark) == second.count(mark) > 0 for mark in _SEPARATORS)


def _encoding(head: bytes, name: str, told: str | None) -> tuple[str, list[str]]:
    if told:
        return told, []
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            return encoding, [f"{name!r} is written in {encoding}"] if encoding != "UTF-8" else []
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
        return "UTF-8", []
    except UnicodeDecodeError:
        return "ISO-8859-1", [
            f"{name!r} is not written in UTF-8 and is read as ISO-8859-1 (Latin-1); say source.options.encoding where it is another"
        ]


def _separator(text: str, quote: str) -> str:
    """The mark that cuts the first records into equally many pieces, the most pieces first; a comma where none does."""
    best, most = ",", 1
    for mark in _SEPARATORS:
        reader = csv.reader(text.splitlines(keepends=True)[:200], delimiter=mark, quotechar=quote or '"')
        counts = [len(row) for row in reader if row][: -1 if len(text) > 1000 else None][:100]
        if not counts or counts[0] < 2:
            continue
        alike = sum(count == counts[0] for count in counts) / len(counts)
        if alike >= 0.8 and counts[0] > most:
            best, most = mark, counts[0]
    return best
