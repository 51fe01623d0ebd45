"""`MLPipeline`: one typed description of a learning problem, and the Dagster definitions made of it."""

from synml_dagster.pipeline.description import MLPipeline
from synml_dagster.pipeline.embedded import default_resources

__all__ = ["MLPipeline", "default_resources"]
