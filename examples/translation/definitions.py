"""The code location: the translation of `pipelines/`, and the documents that are made of it, in one process."""

from pathlib import Path

import dagster as dg
from documents import documents


@dg.definitions
def defs() -> dg.Definitions:
    """Load both."""
    return dg.Definitions.merge(
        dg.load_from_defs_folder(path_within_project=Path(__file__).parent),
        dg.Definitions(assets=[documents], executor=dg.in_process_executor),
    )
