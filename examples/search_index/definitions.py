"""The code location: embeddings of chunks, and what questions find among them, in one process."""

from pathlib import Path

import dagster as dg
from found import found


@dg.definitions
def defs() -> dg.Definitions:
    """Load both."""
    return dg.Definitions.merge(
        dg.load_from_defs_folder(path_within_project=Path(__file__).parent),
        dg.Definitions(assets=[found], executor=dg.in_process_executor),
    )
