"""Machine learning pipelines on Spark, operated by Dagster.

`MLPipeline` is one typed description of a learning problem; its `definitions()` are a Dagster asset graph from
the raw table to scored, explained and promoted predictions. `MLPipelineComponent` is the same description in YAML.
`ServiceColumn` and `ServiceComponent` are those of a column of answers from an HTTP service.
The packages below (`spark`, `sources`, `tables`, `services`, `features`, `learners`, `onnx`, `export`, `evaluation`, `explain`, `report`, `tuning`) work alone, with a
Spark session and without Dagster.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synml_dagster.component import MLPipelineComponent
    from synml_dagster.errors import (
        ConfigError,
        DataError,
        ModelError,
        SetupError,
        SourceError,
        SynmlError,
        TrainingError,
    )
    from synml_dagster.pipeline import MLPipeline, default_resources
    from synml_dagster.service_assets import ServiceColumn, ServiceComponent

__version__ = "0.2.0"

__all__ = [
    "ConfigError",
    "DataError",
    "MLPipeline",
    "MLPipelineComponent",
    "ModelError",
    "ServiceColumn",
    "ServiceComponent",
    "SetupError",
    "SourceError",
    "SynmlError",
    "TrainingError",
    "default_resources",
]

# Names are fetched when they are asked for: a Spark worker that imports `synml_dagster.onnx` must not pay for Dagster.
_HOMES = {
    "MLPipeline": "synml_dagster.pipeline",
    "MLPipelineComponent": "synml_dagster.component",
    "ServiceColumn": "synml_dagster.service_assets",
    "ServiceComponent": "synml_dagster.service_assets",
    "default_resources": "synml_dagster.pipeline",
}


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(_HOMES.get(name, "synml_dagster.errors")), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
