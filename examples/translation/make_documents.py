"""Writes `data/documents`, three of them, and their segments, `data/segments.parquet`; `--edit` changes a sentence."""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from segments import cut

DOCUMENTS = {
    "welcome": "# Welcome {name}\n\nThe house is small and the garden is large.\n\nOpen `config.yaml` and read it.\n",
    "garden": "# The garden\n\n- The tree is old.\n- The water is cold.\n\nThe house is small and the garden is large.\n",
    "help": "# Help\n\nRead https://example.org/help first.\n\nThe answer is good, {name}.\n",
}


def main() -> None:
    """Write them."""
    here = Path(__file__).parent / "data"
    (here / "documents").mkdir(parents=True, exist_ok=True)
    segments = []
    for name, text in DOCUMENTS.items():
        text = text.replace("The tree is old.", "The tree is large.") if "--edit" in sys.argv else text
        (here / "documents" / f"{name}.md").write_text(text)
        segments += [one for one in cut(name, text) if one["text"] is not None]
    pq.write_table(pa.Table.from_pylist(segments), here / "segments.parquet")
    print(f"{len(segments)} segments of {len(DOCUMENTS)} documents")


if __name__ == "__main__":
    main()
