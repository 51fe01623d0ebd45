"""A picture of the report: an SVG in the page, with what to see in it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from markupsafe import Markup, escape


@dataclass(frozen=True)
class Picture:
    """An inline picture and what to see in it."""

    title: str
    caption: str
    svg: Markup


def picture(title: str, caption: str, svg: bytes) -> Picture:
    """Wrap a rendered SVG, naming it for those who cannot see it."""
    text = svg.decode("utf-8")
    named = re.sub(r'aria-label="[^"]*"', lambda _: f'aria-label="{escape(title)}"', text, count=1)
    # Drawn by this package from escaped text (matplotlib writes XML), so it is markup and not data.
    return Picture(title, caption, Markup(named))
