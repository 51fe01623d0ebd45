"""How a CSV file is written: its encoding, its separator, its quoting and its header, told by its first bytes."""

from __future__ import annotations

import codecs
import csv
import itertools
import re
from dataclasses import dataclass, field

from synml_dagster.errors import SourceError

HEAD_BYTES = 256 * 1024
_LOOKED_AT = 1000
_LATIN = "ISO-8859-1"
WINDOWS = {chr(i): bytes([i]).decode("cp1252", errors="ignore") or chr(i) for i in range(0x80, 0xA0)}
"""Characters that Windows has where Latin-1 has control characters, which nobody writes."""
_WINDOWS = str.maketrans(WINDOWS)
_SEPARATORS = (",", ";", "\t", "|")
_OTHERS = {
    b"\x1f\x8b": "packed with gzip; let its name end with .gz",
    b"BZh": "packed with bzip2; let its name end with .bz2",
    b"\x28\xb5\x2f\xfd": "packed with zstd; let its name end with .zst",
    b"PK\x03\x04": "a zip archive or an Excel workbook; unpack it, or save its sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save its sheet as CSV",
    b"PAR1": "a Parquet file; say source.format: parquet",
    b"%PDF": "a PDF",
}
_BOMS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF8, "UTF-8"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


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
    notes: tuple[str, ...] = field(default=(), compare=False)
    quote: str = '"'
    windows: bool = False
    """Whether what Latin-1 takes for control characters are those of Windows-1252."""


def dialect_of(head: bytes, name: str, options: dict[str, str]) -> Dialect:
    """Return how the file `name` is written, of which `head` are the first bytes; what `options` say is not guessed.

    Raises
    ------
    SourceError
        The file is empty, or its bytes are not of the encoding that the options name.
    """
    told = {key.casefold(): value for key, value in options.items()}
    for magic, what in _OTHERS.items():
        if head.startswith(magic):
            raise SourceError(f"source: {name!r} is {what}")
    stated = told.get("encoding") or told.get("charset") or ""
    encoding, notes = _encoding(head, name, stated)
    try:
        text = head.decode("utf-8-sig" if encoding == "UTF-8" else encoding, errors="ignore")
    except LookupError as problem:
        raise SourceError(f"source.options.encoding: {encoding!r} is no encoding") from problem
    if not text.strip():
        raise SourceError(f"source: {name!r} is an empty file")
    windows = encoding == _LATIN and (not stated or _codec(stated) == "cp1252")
    if windows:
        text = text.translate(_WINDOWS)
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
        separator = _separator(text, told.get("quote", '"'), name)
        if separator != "," and not name.lower().endswith((".tsv", ".tsv.gz")):
            shown = {"\t": "tabs", " ": "blanks"}.get(separator, repr(separator))
            notes.append(f"the columns of {name!r} are separated by {shown}")
    separator = "\t" if separator == "\\t" else separator
    quote = told.get("quote", '"')
    if "quote" not in told and _has_single_quotes(text, separator[0]):
        quote = "'"
        notes.append(
            f"values of {name!r} stand in single quotes; say source.options.quote: '\"' where those are parts of them"
        )
    escape = told.get("escape") or _escape(text, separator[0], quote)
    records = _records(text, separator[0], quote, escape)
    header = [cell.strip() for cell in records[0]] if records else []
    if told.get("header", "true").casefold() == "true" and len(header) > 1 and all(map(_is_number, header)):
        notes.append(
            f"the first line of {name!r} holds numbers and is taken for the names of columns; say source.options.header: false where it is a record"
        )
    header = _widened(header, records[1:-1] if len(head) >= HEAD_BYTES else records[1:], name, notes)
    return Dialect(encoding, separator, escape, comment or "", tuple(header), tuple(notes), quote, windows)


def _records(text: str, separator: str, quote: str, escape: str) -> list[list[str]]:
    """The first records; the last of them may be torn where what was looked at ends."""
    reader = csv.reader(
        text.splitlines(keepends=True),
        delimiter=separator,
        quotechar=quote or '"',
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
        doublequote=escape == '"',
        escapechar=None if escape == '"' else escape,
    )
    try:
        return [row for row in itertools.islice(reader, _LOOKED_AT) if row]
    except csv.Error:
        return []


def _escape(text: str, separator: str, quote: str) -> str:
    """A backslash where it stands before quotes and more records are whole with it than without: paths end with one, too."""
    if f"\\{quote}" not in text:
        return '"'

    def whole(escape: str) -> int:
        records = _records(text, separator, quote, escape)
        return sum(len(row) == len(records[0]) for row in records)

    # Behind quotes that end a value comes its end: `\"` before a letter is a quote in a value.
    inside = (
        re.search(rf"""\\\\{re.escape(quote)}(?![{re.escape(quote + separator)}\r\n]|$)""", text) is not None
    )
    by_backslash, doubled = whole("\\"), whole('"')
    return "\\" if by_backslash > doubled or (inside and by_backslash == doubled) else '"'


def _has_single_quotes(text: str, separator: str) -> bool:
    """Whether there are no others, and more records are whole with them than without."""
    if '"' in text or f"{separator}'" not in text:
        return False

    def whole(quote: str) -> int:
        records = _records(text, separator, quote, '"')
        return sum(len(row) == len(records[0]) for row in records)

    quoted = re.findall(rf"(?m)(?:^|{re.escape(separator)})'([^'\n]*)'(?={re.escape(separator)}|\r?$)", text)
    return whole("'") > whole('"') or (whole("'") == whole('"') and len(quoted) >= text.count("'") / 2 > 1)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?[0-9]+([.,][0-9]+)?", text) is not None


def _widened(header: list[str], records: list[list[str]], name: str, notes: list[str]) -> list[str]:
    """The header with a name for the column that it lacks: R's row names before the others, or nothing behind them."""
    if len(header) < 2 or not records or {len(row) for row in records} != {len(header) + 1}:
        return header
    if not any(row[-1].strip() for row in records):
        notes.append(
            f"the records of {name!r} end with a separator, and its header does not; nothing is lost"
        )
        return [*header, f"_c{len(header)}"]
    names = {row[0] for row in records}
    if len(records) < 2 or len(names) < len(records):  # names of rows are all different
        return header
    notes.append(
        f"the records of {name!r} have one field more than its header, as R writes names of rows: the first is read as column '_c0'"
    )
    return ["", *header]


def _is_header(text: str) -> bool:
    """Whether the first line is cut into as many pieces as the second: names after a `#`, and no comment."""
    first, second = [*text.splitlines(), "", ""][:2]
    return any(first.count(mark) == second.count(mark) > 0 for mark in _SEPARATORS)


def _codec(name: str) -> str | None:
    try:
        return codecs.lookup(name).name
    except LookupError:
        return None


def _encoding(head: bytes, name: str, told: str) -> tuple[str, list[str]]:
    if (
        told
    ):  # Spark has few names of encodings; the characters of Windows-1252 are put in their places afterwards
        return _LATIN if _codec(told) in ("iso8859-1", "cp1252") else told, []
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            return encoding, [f"{name!r} is written in {encoding}"] if encoding != "UTF-8" else []
    first = head[:1000]
    zeros = first[0::2].count(0), first[1::2].count(0)
    if max(zeros) > 0.3 * len(first) / 2 and min(zeros) < 0.05 * len(first) / 2:
        encoding = "UTF-16BE" if zeros[0] > zeros[1] else "UTF-16LE"
        return encoding, [f"{name!r} has no byte order mark and is read as {encoding}"]
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
        return "UTF-8", []
    except UnicodeDecodeError:
        return _LATIN, [
            f"{name!r} is not written in UTF-8 and is read as Windows-1252 (Latin-1); say source.options.encoding where it is another"
        ]


def _separator(text: str, quote: str, name: str) -> str:
    """The mark that cuts the first records into equally many pieces, the most pieces first; a comma where none does.

    A blank only where nothing else does and the file does not say that it has commas: words of a sentence have one, too.
    """
    best, most = ",", 1
    for mark in (*_SEPARATORS, *[" "] * (not name.lower().endswith((".csv", ".csv.gz", ".tsv")))):
        if mark == " " and most > 1:
            break
        reader = csv.reader(text.splitlines(keepends=True)[:200], delimiter=mark, quotechar=quote or '"')
        counts = [len(row) for row in reader if row][: -1 if len(text) > 1000 else None][:100]
        if not counts or counts[0] < 2:
            continue
        wide = counts[0] + (len(counts) > 1 and {*counts[1:]} == {counts[0] + 1})  # R's header lacks a name
        alike = sum(count == wide for count in counts) / max(1, len(counts) - (wide > counts[0]))
        if alike >= 0.8 and counts[0] > most:
            best, most = mark, counts[0]
    return best
