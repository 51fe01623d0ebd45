"""`predictions`: rows scored on Spark by the champion's ONNX graph, and on request why each was scored so."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from synml_dagster.assets.artifacts import Provenance
from synml_dagster.assets.champion import ChampionRecord
from synml_dagster.assets.scoring.contributions import (
    OUTPUT,
    explained,
    held,
    measured,
    opened_contributions,
    with_contributions,
)
from synml_dagster.assets.scoring.drift import rows_checks, rows_outcomes
from synml_dagster.assets.scoring.rows import doubts, rows_to_score
from synml_dagster.assets.scoring.scored import scored
from synml_dagster.assets.stage import (
    ContributionsSpec,
    ScoreSpec,
    check_apart,
    clearly,
    inputs,
    reads_from,
    stage,
    stage_key,
    version_read,
)
from synml_dagster.checks import ChecksSpec, DriftSpec
from synml_dagster.errors import ModelError
from synml_dagster.features import FeaturePlan
from synml_dagster.io_managers.spark_table import STAMPED, run_of
from synml_dagster.onnx import OnnxModel
from synml_dagster.partitions import PartitionsSpec, partitioned
from synml_dagster.partitions.run_parts import RESULT
from synml_dagster.partitions.spec import CUT
from synml_dagster.resources import MLflowResource, SparkResource
from synml_dagster.resources.reason import reason_of
from synml_dagster.upstream import reach

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from synml_dagster.files import ParquetFiles
    from synml_dagster.tables import Table


def build_predictions(
    pipeline: str,
    spec: ScoreSpec,
    partitions: PartitionsSpec | None = None,
    drift: DriftSpec | None = None,
    checks: ChecksSpec | None = None,
    contributions: ContributionsSpec | None = None,
) -> dg.AssetsDefinition:
    """Return the asset that scores the pipeline's own table, or the source that `spec` names.

    With `drift`, and `nulls` and `ranges` of `checks`, the rows are compared with the champion's training rows before
    they are scored. With `contributions` the same step makes a second table of the same rows, by the same model: what each raw column adds to each prediction.
    """
    scoring = _Scoring(pipeline, spec, partitions, drift, checks or ChecksSpec(), contributions)
    told = scoring.declared()
    asset: Any = (
        dg.asset(**told)
        if contributions is None
        else dg.multi_asset(**with_contributions(pipeline, told, contributions))
    )
    if spec.source:  # then `raw` is no input

        @clearly
        def predictions(
            context: dg.AssetExecutionContext,
            spark: SparkResource,
            mlflow: MLflowResource,
            champion: ChampionRecord,
        ) -> Iterator[Any]:
            yield from scoring.run(context, spark.session, mlflow, champion, None)

    else:

        @clearly
        def predictions(
            context: dg.AssetExecutionContext,
            spark: SparkResource,
            mlflow: MLflowResource,
            champion: ChampionRecord,
            raw: Any,
        ) -> Iterator[Any]:
            yield from scoring.run(context, spark.session, mlflow, champion, raw)

    made: dg.AssetsDefinition = asset(predictions)
    return made


@dataclass(frozen=True)
class _Champion:
    """The model that scores, opened."""

    bundle: str
    model: OnnxModel
    plan: FeaturePlan
    provenance: Provenance


@dataclass(frozen=True)
class _Scoring:
    """What a description says of the step."""

    pipeline: str
    spec: ScoreSpec
    partitions: PartitionsSpec | None
    drift: DriftSpec | None
    checks: ChecksSpec
    contributions: ContributionsSpec | None

    @property
    def compared(self) -> list[dg.AssetCheckSpec]:
        """The checks by the champion's training rows."""
        return rows_checks(self.pipeline, self.drift, self.checks.nulls, self.checks.ranges)

    def declared(self) -> dict[str, Any]:
        """Return what `dagster.asset` takes for the predictions."""
        spec, deps = self.spec, []
        ins = inputs(self.pipeline, "champion")
        if spec.source is None:  # without a partition of its own there is no score
            ins |= {"raw": dg.AssetIn(key=stage_key(self.pipeline, "raw"))}
        elif spec.source.asset:
            deps = [reads_from(spec.source, stage_key(self.pipeline, "source"), self.partitions)]
        place: dict[str, Any] = {
            key: value for key, value in (("root", spec.path), ("table", spec.table)) if value
        }
        if spec.append:
            place["append"] = STAMPED
        if spec.database is not None:
            place["database"] = spec.database.place().describe()
        elif not spec.table:
            place["plain_folder"] = True
        told = stage(
            self.pipeline,
            "predictions",
            io_manager_key="spark_tables",
            ins=ins,
            deps=deps,
            metadata=place,
            **partitioned(self.partitions),
        )
        if compared := self.compared:
            told |= {"check_specs": compared, "output_required": False}
        return told

    def run(
        self,
        context: dg.AssetExecutionContext,
        spark: "SparkSession",
        mlflow: MLflowResource,
        record: ChampionRecord,
        raw: "Table | None",
    ) -> Iterator[Any]:
        """Yield the outcomes of the checks, then the rows to publish, unless a check that blocks has failed."""
        champion = self._champion(context, mlflow, record)
        context.add_output_metadata(
            champion.provenance.metadata() | {"scored": f"{self.pipeline}/raw"} | reason_of(context),
            output_name=RESULT,
        )
        each = self._rows(context, spark, champion, raw)
        stopped = []
        if self.compared:
            for verdict, stops in rows_outcomes(
                context,
                each.values(),
                champion.bundle,
                self.drift,
                self.checks.nulls,
                self.checks.ranges,
                spark,
            ):
                yield verdict
                stopped += [str(verdict.check_name)] if stops else []
        if stopped:
            context.log.warning(
                f"predictions: these rows are not scored, because {', '.join(stopped)} failed and blocking asks for it"
            )
            return
        if self.contributions is None:
            yield dg.Output(self._one(self._scored(each, champion, spark)))
            return
        with held(each, self.pipeline, spark) as parts:
            yield from self._with_reasons(context, parts, champion, self.contributions, spark)

    def _champion(
        self, context: dg.AssetExecutionContext, mlflow: MLflowResource, record: ChampionRecord
    ) -> _Champion:
        version = mlflow.champion(record.model)
        if version is None:
            raise ModelError(
                f"predictions: {self.pipeline!r} has no champion to score with: version {record.version} was not promoted, "
                f"because {record.reason}. Lower promote.minimum, or improve the model."
            )
        bundle = mlflow.download(version)
        model = OnnxModel.load(bundle)
        provenance = Provenance(
            str(version.version),
            model.metadata["plan_fingerprint"],
            datetime.now(UTC),
            run_of(context) if self.spec.append else None,
        )
        return _Champion(bundle, model, FeaturePlan.load(bundle), provenance)

    def _rows(
        self,
        context: dg.AssetExecutionContext,
        spark: "SparkSession",
        champion: _Champion,
        raw: "Table | None",
    ) -> "dict[str, DataFrame | ParquetFiles]":
        """Return the rows of each partition, or all under an empty key; what is to be said of them is."""
        source, reached, notes = self.spec.source, None, list[str]()
        if source is not None:
            reached = reach(context, source, self.partitions)
            for place in reached.sources:
                check_apart(
                    place,
                    "score.source",
                    self.spec.path,
                    self.contributions.path if self.contributions else None,
                )
            read = version_read(context, reached, spark, stage_key(self.pipeline, "predictions"))
            if self.partitions is not None:
                read |= {CUT: self.partitions.cut}
            context.add_output_metadata({"scored": source.describe()} | read, output_name=RESULT)
        each, whole = rows_to_score(
            context, self.spec, self.partitions, raw, champion.model, spark, notes, reached
        )
        tables = [whole] if whole is not None else list(each.values())
        notes += doubts(tables, champion.model, champion.plan, spark)
        for note in notes:
            context.log.warning(f"{'rows to score' if whole is None else 'score.source'}: {note}")
        if notes:
            context.add_output_metadata({"source notes": "; ".join(notes)}, output_name=RESULT)
        return each

    def _scored(
        self, parts: "Mapping[str, DataFrame | ParquetFiles]", champion: _Champion, spark: "SparkSession"
    ) -> dict[str, Any]:
        made = {
            key: scored(rows, champion.model, champion.provenance, self.spec, spark)
            for key, rows in parts.items()
        }
        if self.spec.database is not None:
            made = {key: replace(rows, into=self.spec.database.place()) for key, rows in made.items()}
        return made

    def _with_reasons(
        self,
        context: dg.AssetExecutionContext,
        parts: "Mapping[str, DataFrame | ParquetFiles]",
        champion: _Champion,
        asked: ContributionsSpec,
        spark: "SparkSession",
    ) -> Iterator[Any]:
        made = self._scored(parts, champion, spark)
        further = opened_contributions(champion.bundle, champion.model, asked, parts.values())
        # Made of a plan and not yet run: what is wrong with it is said before any row is scored.
        why = {
            key: explained(rows, champion.model, further, champion.provenance, self.spec, asked.table, spark)
            for key, rows in parts.items()
        }
        began = time.perf_counter()
        yield dg.Output(self._one(made))
        scoring = time.perf_counter() - began
        context.add_output_metadata(champion.provenance.metadata(), output_name=OUTPUT)
        yield dg.Output(measured(self._one(why), further, scoring, spark), OUTPUT)

    def _one(self, made: Mapping[str, Any]) -> Any:
        """Return the rows by partition, or those of a table without any."""
        return made if self.partitions is not None else made[""]
