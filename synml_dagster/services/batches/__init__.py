"""OpenAI's Batch API: files of requests that are answered within a day, at half the price, into the journal of any run."""

from synml_dagster.services.batches.collecting import collect
from synml_dagster.services.batches.records import Record, Records
from synml_dagster.services.batches.submitting import Submitted, submit
from synml_dagster.services.batches.watching import look

__all__ = ["Record", "Records", "Submitted", "collect", "look", "submit"]
