"""Words that whoever typed them meant as one: other letters, blanks, composed characters, `1` and `1.0`, ways of yes and no."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_TRUE = frozenset({"y", "yes", "t", "true", "1", "on"})
_FALSE = frozenset({"n", "no", "f", "false", "0", "off"})
_WHOLE = re.compile(r"([+-]?[0-9]+)\.0+")
_UNSEEN = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"))


def plainly(word: str) -> str:
    """Return what is left of a word without its case, blanks, invisible characters and ways to compose it.

    Examples
    --------
    >>> plainly(" New York") == plainly("new york"), plainly("caf\u00e9") == plainly("cafe\u0301"), plainly("1.0")
    (True, True, '1')
    """
    plain = unicodedata.normalize("NFKC", word).translate(_UNSEEN).casefold()
    plain = "".join(plain.split())
    found = _WHOLE.fullmatch(plain)
    return found[1] if found else plain


def same_words(words: Iterable[str]) -> list[list[str]]:
    """Return the groups of words that are one but for the way they are written; words that stand for themselves are left out.

    Examples
    --------
    >>> same_words(["Berlin", "berlin ", "Paris"])
    [['Berlin', 'berlin ']]
    >>> same_words(["Y", "TRUE", "N", "0"])
    [['Y', 'TRUE'], ['N', '0']]
    """
    groups: dict[str, list[str]] = {}
    for word in words:
        groups.setdefault(plainly(word), []).append(word)
    if len(groups) > 2 and groups.keys() <= _TRUE | _FALSE:
        truths = ([w for key in groups if key in kind for w in groups[key]] for kind in (_TRUE, _FALSE))
        return [group for group in truths if len(group) > 1]
    return [group for group in groups.values() if len(group) > 1]


def listed_groups(groups: list[list[str]], most: int = 5) -> str:
    """Return groups of words for a message, so that what cannot be seen in a word is seen."""
    shown = [", ".join(map(_visible, group[:most])) for group in groups[:most]]
    return "; ".join(shown) + (f" and {len(groups) - most} more" if len(groups) > most else "")


def _visible(word: str) -> str:
    return ascii(word) if unicodedata.normalize("NFC", word) != word else repr(word)
