"""The code location that `make ui` opens: every folder of `assets/` that holds a `defs.yaml` is a pipeline."""

from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    """Load the pipelines, and run their steps one after another in one process.

    Each process of its own would start a Spark of its own: on one machine that costs more than it gains. With Spark
    Connect or a cluster, drop the executor and Dagster runs independent steps beside each other.
    """
    return dg.Definitions.merge(
        dg.load_from_defs_folder(path_within_project=Path(__file__).parent),
        dg.Definitions(executor=dg.in_process_executor),
    )
