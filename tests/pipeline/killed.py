"""One run of a whole pipeline in a process of its own, for whoever kills it: `python -m tests.pipeline.killed <description.json> [<run>]`.

The variable `SYNML_KILLED_JOB` says which of its jobs runs: train where it is not set, score or measure.

With a run, what that one has not finished is executed again, as the button "From failure" does.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import dagster as dg

from synml_dagster import MLPipeline

DESCRIPTION, JOB = "SYNML_KILLED_DESCRIPTION", "SYNML_KILLED_JOB"


def asked_job() -> dg.JobDefinition:
    """The job, of the pipeline, that the environment names; all steps in one process, and Spark's below it."""
    told = json.loads(Path(os.environ[DESCRIPTION]).read_text())
    made = MLPipeline.model_validate(told).definitions()
    defs = dg.Definitions.merge(made, dg.Definitions(executor=dg.in_process_executor))
    return defs.resolve_job_def(f"{told['name']}_{os.environ.get(JOB, 'train')}")


def main(description: str, run_id: str | None = None) -> bool:
    """Execute the job; return whether it succeeded."""
    os.environ[DESCRIPTION] = description
    with dg.DagsterInstance.get() as instance:
        again = dg.ReexecutionOptions.from_failure(run_id, instance) if run_id else None
        with dg.execute_job(dg.reconstructable(asked_job), instance, reexecution_options=again) as done:
            return done.success


if __name__ == "__main__":
    sys.exit(not main(*sys.argv[1:]))
