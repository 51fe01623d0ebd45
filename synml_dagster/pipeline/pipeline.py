"""`MLPipeline`: a description, and what it defines in Dagster."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from synml_dagster.errors import ConfigError
from synml_dagster.pipeline.description import Description

if TYPE_CHECKING:
    import dagster as dg


class MLPipeline(Description):
    """One learning problem: where its table is, what to predict, and, where the defaults do not fit, how.

    Only `name`, `source` and `label` are needed; the rest is guessed from the data or has a default that suits most
    tables. Unknown keys, wrong types and combinations that cannot be are refused with the key's name.

    Examples
    --------
    >>> pipeline = MLPipeline(name="adult", source="adult.csv", label="income")
    >>> [key.to_user_string() for asset in pipeline.assets() for key in asset.keys][:2]
    ['adult/raw', 'adult/feature_plan']

    Raises
    ------
    pydantic.ValidationError
        A key is unknown, has the wrong type, or does not go with another.
    """

    @classmethod
    def from_yaml(cls, path: str | Path) -> MLPipeline:
        """Read the `attributes` of a `defs.yaml`; relative paths in it are taken from the current folder.

        Raises
        ------
        ConfigError
            The file is not there, is not YAML, or does not describe a pipeline.
        """
        import yaml

        try:
            document = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as problem:
            raise ConfigError(f"{path}: cannot be read as YAML: {problem}") from problem
        try:
            return cls.model_validate((document or {}).get("attributes") or {})
        except ValidationError as problem:
            raise ConfigError(f"{path}: {problem}") from problem

    def assets(self) -> list[dg.AssetsDefinition]:
        """Return the pipeline's assets, from the raw table to the report."""
        import dagster as dg

        from synml_dagster.pipeline.graph import build_assets

        with warnings.catch_warnings():
            # A run over a range of partitions needs a backfill policy on each asset behind it, and Dagster calls the
            # parameter beta, once an asset, at each of its commands.
            warnings.simplefilter("ignore", dg.BetaWarning)
            return build_assets(self)

    def definitions(
        self,
        *,
        resources: Mapping[str, Any] | None = None,
        change_spec: Callable[[dg.AssetSpec], dg.AssetSpec] | None = None,
    ) -> dg.Definitions:
        """Return assets, checks, jobs, schedules and sensors, with the resources that they need.

        Parameters
        ----------
        resources : mapping, optional
            Resources by key (`spark`, `mlflow`, `spark_tables`, `bundles`) in place of the embedded ones.
        change_spec : callable, optional
            Takes each asset's spec and returns it changed: owners, tags, an automation condition.
        """
        from synml_dagster.pipeline.operation import build_definitions

        return build_definitions(self, self.assets(), resources or {}, change_spec)
