"""The columns' names in LightGBM's text, for those who open it with LightGBM."""

from __future__ import annotations

import re
from collections.abc import Sequence

# LightGBM tells names apart by blanks, and takes none of the rest of a Dataset.
_NOT_IN_A_NAME = re.compile(r'[\s",:\[\]{}=]+')
_HEADER = re.compile(r"^feature_names=(.*)$", re.MULTILINE)
_IMPORTANCES = "\nfeature_importances:\n"


def named(text: str, features: Sequence[str]) -> str:
    """Return the model's text with its features called as the columns are.

    Blanks and characters that LightGBM takes in no name become `_`; names that are alike after that get a number.

    >>> named("tree\\nfeature_names=Column_0 Column_1\\nTree=0\\n", ["age", "mean area"])
    'tree\\nfeature_names=age mean_area\\nTree=0\\n'
    """
    header = _HEADER.search(text)
    if header is None or len(old := header[1].split()) != len(features):
        return text
    new = dict(zip(old, _written(features), strict=True))
    text = text[: header.start(1)] + " ".join(new.values()) + text[header.end(1) :]
    before, mark, after = text.partition(_IMPORTANCES)
    if not mark:
        return text
    listed, blank, rest = after.partition("\n\n")
    lines = [
        (new.get(name, name), value) for name, _, value in (row.partition("=") for row in listed.split("\n"))
    ]
    return (
        before
        + mark
        + "\n".join(f"{name}={value}" if value else name for name, value in lines)
        + blank
        + rest
    )


def _written(features: Sequence[str]) -> list[str]:
    found: dict[str, None] = {}
    for feature in features:
        plain = _NOT_IN_A_NAME.sub("_", feature) or "_"
        name, number = plain, 2
        while name in found:
            name, number = f"{plain}_{number}", number + 1
        found[name] = None
    return list(found)
