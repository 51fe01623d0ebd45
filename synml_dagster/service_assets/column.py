"""`ServiceColumn`: the description of a column of answers, and what it defines in Dagster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from synml_dagster.pipeline import default_resources
from synml_dagster.service_assets.answers import build_answers
from synml_dagster.service_assets.batch import build_batch, build_sensor
from synml_dagster.service_assets.description import Description


class ServiceColumn(Description):
    """A table whose rows go to an HTTP service, and come back with a column of answers.

    `name`, `source` and `service` are needed.

    Examples
    --------
    >>> column = ServiceColumn(
    ...     name="reviews",
    ...     source="reviews.csv",
    ...     service={"type": "openai.chat", "model": "gpt-5-mini", "prompt": "Is this review positive? {text}"},
    ...     output="positive",
    ... )
    >>> [key.to_user_string() for asset in column.assets() for key in asset.keys]
    ['reviews/answers']

    Raises
    ------
    pydantic.ValidationError
        A key is unknown, has the wrong type, or does not go with another.
    """

    def assets(self) -> list[dg.AssetsDefinition]:
        """Return the asset of answers, and before it that of batches where rows go by them."""
        if self.batch is None:
            return [build_answers(self)]
        return [build_batch(self), build_answers(self)]

    def definitions(
        self,
        *,
        resources: Mapping[str, Any] | None = None,
        change_spec: Callable[[dg.AssetSpec], dg.AssetSpec] | None = None,
    ) -> dg.Definitions:
        """Return assets, checks and a job, with the resources that they need.

        Parameters
        ----------
        resources : mapping, optional
            Resources by key (`spark`, `spark_tables`) in place of the embedded ones.
        change_spec : callable, optional
            Takes each asset's spec and returns it changed: owners, tags, an automation condition.
        """
        assets = [a.map_asset_specs(change_spec) for a in self.assets()] if change_spec else self.assets()
        origin = dg.AssetSpec(
            key=[self.name, "source"],
            group_name=self.name,
            description=f"What is read: {self.source.describe()}",
            kinds={self.source.kind},
        )
        jobs = [
            dg.define_asset_job(
                f"{self.name}_answers",
                selection=dg.AssetSelection.assets([self.name, "answers"]),
                description="Ask about the rows of today."
                if self.batch is None
                else "Fetch what batches have answered.",
            )
        ]
        sensors = []
        if self.batch is not None:
            sensors = [build_sensor(self)]
            selection = dg.AssetSelection.assets([self.name, "batch"])
            jobs.append(dg.define_asset_job(f"{self.name}_batch", selection=selection, description="Submit the rows of today."))  # fmt: skip
        given = dict(resources or {})
        if self.resources == "embedded":
            given = dict(default_resources()) | given
        return dg.Definitions(
            # An asset that is the source has a spec of its own.
            assets=[
                *([] if self.source.asset else [change_spec(origin) if change_spec else origin]),
                *assets,
            ],
            jobs=jobs,
            sensors=sensors,
            resources=given,
        )
