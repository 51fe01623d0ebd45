"""Writes `data/documents`, three of them, and their chunks, `data/chunks.parquet`; `--edit` changes a chunk."""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

DOCUMENTS = {
    "coffee": [
        "# Coffee",
        "Green beans are roasted until they are brown. A longer roast tastes less sour and more bitter.",
        "Grind the beans just before brewing: ground coffee loses its aroma within minutes.",
        "Water of 93 degrees dissolves what tastes good. Boiling water makes the brew bitter.",
    ],
    "bicycle": [
        "# Bicycles",
        "A dry chain wears its sprockets. Clean it with a cloth and oil each link.",
        "Brakes that squeal are dirty or badly aligned. Sand the pads and turn them towards the rim.",
        "Tyres lose air through their rubber. Pump them up every other week.",
    ],
    "bread": [
        "# Bread",
        "A sourdough starter is flour and water in which yeast and bacteria live. Feed it with flour each day.",
        "Knead the dough until it stretches without tearing, then let it rise in a warm place.",
        "Steam in the oven keeps the crust soft at first, so that the loaf can grow.",
    ],
}


def main() -> None:
    """Write them."""
    here = Path(__file__).parent / "data"
    (here / "documents").mkdir(parents=True, exist_ok=True)
    chunks = []
    for name, (title, *paragraphs) in DOCUMENTS.items():
        if "--edit" in sys.argv and name == "bicycle":
            paragraphs[2] = (
                "Tyres lose air through their rubber. Pump them up every week, and to the pressure on their side."
            )
        (here / "documents" / f"{name}.md").write_text("\n\n".join([title, *paragraphs]) + "\n")
        chunks += [{"document": name, "place": place, "chunk": text} for place, text in enumerate(paragraphs)]
    pq.write_table(pa.Table.from_pylist(chunks), here / "chunks.parquet")
    print(f"{len(chunks)} chunks of {len(DOCUMENTS)} documents")


if __name__ == "__main__":
    main()
