"""`MLPipeline`: one typed description of a learning problem, and the Dagster definitions made of it."""

from synml_dagster.pipeline.embedded import default_resources
from synml_dagster.pipeline.pipeline import MLPipeline

__all__ = ["MLPipeline", "default_resources"]
