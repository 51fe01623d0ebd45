"""What an asset's page in the UI shows beside plain values: pictures, tables, numbers that are plotted over time."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

_PNG = "data:image/png;base64,"


def picture(png: bytes, caption: str) -> dg.MarkdownMetadataValue:
    """Return a picture that the asset's page shows in place."""
    return dg.MetadataValue.md(f"![{caption}]({_PNG}{base64.b64encode(png).decode()})")


def pictures(pngs: Mapping[str, bytes]) -> dg.MarkdownMetadataValue:
    """Return several pictures as one entry, each under its name."""
    return dg.MetadataValue.md(
        "\n\n".join(f"**{name}**\n\n{picture(png, name).value}" for name, png in pngs.items())
    )


def stored_once(context: dg.AssetExecutionContext, told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of an output without its pictures, which the asset's page gets in the same places.

    Dagster writes what belongs to an output into two events of the run, that of the output and that of the materialization.
    What belongs to the asset stands in the latter alone.
    """
    drawn = {
        name: value
        for name, value in told.items()
        if isinstance(value, dg.MarkdownMetadataValue) and _PNG in (value.md_str or "")
    }
    if drawn:
        context.add_asset_metadata(drawn)
    return {**told, **dict.fromkeys(drawn, "on the page of the asset")}


def markdown_table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> dg.MarkdownMetadataValue:
    """Return a table for the asset's page; pipes and line breaks in cells are escaped."""

    def line(cells: Iterable[object]) -> str:
        return "| " + " | ".join(str(c).replace("|", "\\|").replace("\n", " ") for c in cells) + " |"

    names = list(header)
    return dg.MetadataValue.md("\n".join([line(names), line("---" for _ in names), *(line(r) for r in rows)]))


def figure(value: float) -> float:
    """Return a metric rounded to what a person reads, as a number that the UI plots over time."""
    return float(f"{value:.6g}")
