"""`predictions`: rows scored on Spark by the champion's ONNX graph, and on request why each was scored so."""

import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from synml_dagster.assets.artifacts import COLUMNS, Provenance, check_names
from synml_dagster.assets.champion import ChampionRecord
from synml_dagster.assets.contributions import (
    OUTPUT,
    explained,
    held,
    measured,
    opened_contributions,
    with_contributions,
)
from synml_dagster.assets.drift import rows_checks, rows_outcomes
from synml_dagster.assets.stage import (
    ContributionsSpec,
    ScoreSpec,
    check_apart,
    clearly,
    inputs,
    outcome,
    reads_from,
    stage,
    stage_key,
    version_read,
)
from synml_dagster.checks import ChecksSpec, DriftSpec, unlike_training_in
from synml_dagster.errors import ModelError
from synml_dagster.features import FeaturePlan
from synml_dagster.files import ParquetFiles
from synml_dagster.io_managers.place import partition_of
from synml_dagster.io_managers.spark_table import STAMPED, run_of
from synml_dagster.onnx import OnnxModel, can_have_bad_rows, read_as_dates, score, score_files, unread_in
from synml_dagster.onnx.scorer import REASON, answers_of
from synml_dagster.partitions import PartitionsSpec, partitioned
from synml_dagster.partitions.run_parts import RESULT
from synml_dagster.resources import MLflowResource, SparkResource
from synml_dagster.resources.reason import reason_of
from synml_dagster.tables import MarkedRows, Table, TableUnion
from synml_dagster.upstream import Reached, reach

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


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
    nulls, ranges = (checks.nulls, checks.ranges) if checks else (None, None)
    ins, told_deps = inputs(pipeline, "champion"), []
    if spec.source is None:
        ins |= {
            "raw": dg.AssetIn(key=stage_key(pipeline, "raw"))
        }  # without a partition of its own there is no score
    elif spec.source.asset:
        told_deps = [reads_from(spec.source, stage_key(pipeline, "source"), partitions)]
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
        pipeline,
        "predictions",
        io_manager_key="spark_tables",
        ins=ins,
        deps=told_deps,
        metadata=place,
        **partitioned(partitions),
    )
    if compared := rows_checks(pipeline, drift, nulls, ranges):
        told |= {"check_specs": compared, "output_required": False}

    def run(
        context: dg.AssetExecutionContext,
        spark: SparkResource,
        mlflow: MLflowResource,
        record: ChampionRecord,
        raw: Any,
    ) -> Iterator[Any]:
        version = mlflow.champion(record.model)
        if version is None:
            raise ModelError(
                f"predictions: {pipeline!r} has no champion to score with: version {record.version} was not promoted, "
                f"because {record.reason}. Lower promote.minimum, or improve the model."
            )
        bundle = mlflow.download(version)
        model = OnnxModel.load(bundle)
        provenance = Provenance(
            str(version.version),
            model.metadata["plan_fingerprint"],
            datetime.now(UTC),
            run_of(context) if spec.append else None,
        )
        session = spark.session
        context.add_output_metadata(
            provenance.metadata() | {"scored": f"{pipeline}/raw"} | reason_of(context), output_name=RESULT
        )
        notes: list[str] = []
        plan, reached = FeaturePlan.load(bundle), None
        if spec.source is not None:
            reached = reach(context, spec.source, partitions)
            for place in reached.sources:
                check_apart(place, "score.source", spec.path, contributions.path if contributions else None)
            read = version_read(context, reached, session, stage_key(pipeline, "predictions"))
            context.add_output_metadata({"scored": spec.source.describe()} | read, output_name=RESULT)
        each, whole = rows_to_score(context, spec, partitions, raw, model, session, notes, reached)
        notes += doubts([whole] if whole is not None else list(each.values()), model, plan, session)
        for note in notes:
            context.log.warning(f"{'rows to score' if whole is None else 'score.source'}: {note}")
        if notes:
            context.add_output_metadata({"source notes": "; ".join(notes)}, output_name=RESULT)
        if compared:
            stopped = []
            for verdict, stops in rows_outcomes(
                context, each.values(), bundle, drift, nulls, ranges, session
            ):
                yield verdict
                stopped += [verdict.check_name] if stops else []
            if stopped:
                context.log.warning(
                    f"predictions: these rows are not scored, because {', '.join(map(str, stopped))} failed and blocking asks for it"
                )
                return
        with nullcontext(each) if contributions is None else held(each, pipeline, session) as parts:
            made = {key: scored(rows, model, provenance, spec, session) for key, rows in parts.items()}
            if spec.database is not None:
                made = {key: replace(rows, into=spec.database.place()) for key, rows in made.items()}
            told_why = None
            if contributions is not None:
                further = opened_contributions(bundle, model, contributions, parts.values())
                # Made of a plan and not yet run: what is wrong with it is said before any row is scored.
                told_why = {
                    key: explained(rows, model, further, provenance, spec, contributions.table, session)
                    for key, rows in parts.items()
                }
            began = time.perf_counter()
            yield dg.Output(made[""] if partitions is None else made)
            if told_why is not None:
                scoring = time.perf_counter() - began
                context.add_output_metadata(provenance.metadata(), output_name=OUTPUT)
                made_why = told_why[""] if partitions is None else told_why
                yield dg.Output(measured(made_why, further, scoring, session), OUTPUT)

    asset: Any = (
        dg.asset(**told)
        if contributions is None
        else dg.multi_asset(**with_contributions(pipeline, told, contributions))
    )
    if spec.source:  # then `raw` is no input

        @asset
        @clearly
        def predictions(
            context: dg.AssetExecutionContext,
            spark: SparkResource,
            mlflow: MLflowResource,
            champion: ChampionRecord,
        ) -> Iterator[Any]:
            yield from run(context, spark, mlflow, champion, None)

    else:

        @asset
        @clearly
        def predictions(
            context: dg.AssetExecutionContext,
            spark: SparkResource,
            mlflow: MLflowResource,
            champion: ChampionRecord,
            raw: Any,
        ) -> Iterator[Any]:
            yield from run(context, spark, mlflow, champion, raw)

    return predictions


def rows_to_score(
    context: dg.AssetExecutionContext,
    spec: ScoreSpec,
    partitions: PartitionsSpec | None,
    raw: Table,
    model: OnnxModel,
    spark: "SparkSession",
    notes: list[str],
    reached: Reached | None = None,
) -> "tuple[dict[str, DataFrame | ParquetFiles], DataFrame | None]":
    """Return the rows of each of the run's partitions, or all under an empty key, and `score.source` as a whole, where it is read.

    `reached` is where the rows of `score.source` are, where that was asked already. `notes` takes what reading the source leaves to be said.
    """
    if spec.source is None:
        if partitions is None:
            return {"": raw.nearest(spark)}, None
        return {key: part.nearest(spark) for key, part in _tables_of(context, raw).items()}, None
    # What was learnt as text is text, whatever the file happens to hold today; days that are typed are no loss where
    # a plan reads days of its text.
    typed = set() if spec.bad_rows == "raise" else read_as_dates(model)
    known = {t.name: "string" for t in model.inputs if t.type == "string" and t.name not in typed}
    opened = (reached or reach(context, spec.source, partitions)).open(spark, known=known, notes=notes)
    return ({"": opened.nearest()} if partitions is None else opened.parts(context)), opened.whole


def doubts(
    tables: "Sequence[DataFrame | ParquetFiles | Table]",
    model: OnnxModel,
    plan: FeaturePlan,
    spark: "SparkSession",
) -> list[str]:
    """Return what is to be said of rows before they are scored: text that is not written as learnt, columns that nothing is left of.

    Raises
    ------
    DataError
        A column is missing, is of a type whose values are never the plan's, or most of its text cannot be read.
    """
    frames = [t.dataframe(spark) if isinstance(t, ParquetFiles | Table) else t for t in tables]
    numbers = {
        c.name
        for c in plan.columns
        if c.kind == "numeric" and c.input.storage == "string" and c.input.number_marks is None
    }
    said = [note for frame in frames for note in unread_in(frame, model, numbers)]
    return list(dict.fromkeys([*said, *unlike_training_in(frames, plan)]))


def build_rejected_rows(pipeline: str) -> dg.AssetChecksDefinition:
    """Return the check that every row of the last scoring could be scored; it warns, and its page says why the others could not."""
    key = stage_key(pipeline, "predictions")

    @dg.asset_check(asset=key, name="rejected_rows", description="Every row could be scored.")
    def rejected_rows(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        event = context.instance.get_latest_materialization_event(key)
        made = event.asset_materialization if event is not None else None
        told = {} if made is None else made.metadata
        count = told.get("rows set aside")
        rows = int(str(count.value)) if count is not None else 0
        names = ("rows set aside/reasons", "rows set aside/path")
        return outcome(
            "rejected_rows",
            rows == 0,
            f"{rows} rows could not be scored" if rows else "every row was scored",
            only_warns=True,
            metadata={"rows": rows} | {name.split("/")[1]: told[name] for name in names if name in told},
        )

    return rejected_rows


def scored(
    rows: "DataFrame | ParquetFiles",
    model: OnnxModel,
    provenance: Provenance,
    spec: ScoreSpec,
    spark: "SparkSession",
) -> MarkedRows:
    """Score `rows`, a DataFrame or Parquet files, and mark those that cannot be scored, unless `spec` has them raise."""
    if spec.bad_rows == "raise" or not can_have_bad_rows(rows, model, spark):
        if isinstance(rows, ParquetFiles) and spec.table is None and spec.database is None:
            check_names(rows.schema().names if spec.keep is None else spec.keep, provenance.columns)
            made = score_files(spark, rows, model, keep=spec.keep, constants=provenance.values())
            if made is not None:
                return MarkedRows(made, None, tuple(made.columns))
        frame = provenance.stamp(score(rows, model, keep=spec.keep, spark=spark))
        return MarkedRows(frame, None, tuple(frame.columns))
    columns = (rows.dataframe(spark) if isinstance(rows, ParquetFiles) else rows).columns
    keep = columns if spec.keep is None else spec.keep
    first = set(keep)
    # The rows set aside show the value that was wrong, whether or not it is among the columns to carry along.
    taken = (
        {*answers_of(model), "probability", REASON, *provenance.columns} if spec.keep is not None else set()
    )
    carried = [*keep, *(c for c in columns if c not in first and c.casefold() not in taken)]
    frame = provenance.stamp(score(rows, model, keep=carried, bad_rows="mark", spark=spark))
    added = [name for name in frame.columns[len(carried) :] if name != REASON]
    return MarkedRows(frame, REASON, columns=(*keep, *added), aside=(*carried, *COLUMNS))


def _tables_of(context: dg.AssetExecutionContext, raw: Table) -> dict[str, Table]:
    """The table of each of the run's partitions, by the place that it lies in: Dagster hands the keys on in no order."""
    parts = {partition_of(t.root): t for t in (raw.parts if isinstance(raw, TableUnion) else (raw,))}
    return {key: parts[key] for key in context.partition_keys}
