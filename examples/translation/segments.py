"""Documents as segments and back: what must not be translated stands behind marks meanwhile."""

from __future__ import annotations

import re

_KEPT = re.compile(r"`[^`]+`|\{\w+\}|https?://\S+")
_MARK = "⟦{}⟧"


def cut(document: str, text: str) -> list[dict[str, object]]:
    """Return the lines of a document as segments; `text` is what is to be translated, null where nothing is."""
    segments = []
    for place, line in enumerate(text.splitlines()):
        lead = re.match(r"[#>\-\s]*", line)[0]
        kept = _KEPT.findall(line)
        marked = line[len(lead) :]
        for number, one in enumerate(kept):
            marked = marked.replace(one, _MARK.format(number), 1)
        segments.append(
            {
                "document": document,
                "place": place,
                "lead": lead,
                "text": marked or None,
                "kept": kept,
                "line": line,
            }
        )
    return segments


def joined(segments: list[dict[str, object]]) -> tuple[str, int]:
    """Return the document of translated segments, and how many of them stay as they were."""
    lines, stayed = [], 0
    for segment in sorted(segments, key=lambda s: s["place"]):
        made, kept = segment["german"], segment["kept"]
        marks = [_MARK.format(number) for number in range(len(kept))]
        if made is None or any(made.count(mark) != 1 for mark in marks):
            stayed += segment["text"] is not None
            lines.append(segment["line"])
            continue
        for mark, one in zip(marks, kept, strict=True):
            made = made.replace(mark, one)
        lines.append(f"{segment['lead']}{made}")
    return "\n".join(lines) + "\n", stayed
