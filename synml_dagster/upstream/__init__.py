"""Other assets as sources: what Dagster knows of their materializations, where their rows lie, and whose partition is whose."""

from synml_dagster.upstream.agreement import check_agreement, dependency
from synml_dagster.upstream.reached import Reached, reach
from synml_dagster.upstream.record import Upstream, digest_of

__all__ = ["Reached", "Upstream", "check_agreement", "dependency", "digest_of", "reach"]
