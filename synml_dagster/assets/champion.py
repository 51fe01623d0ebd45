"""`champion`: the challenger becomes a registered version, and the champion when the rule holds."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import BaseModel, ConfigDict

from synml_dagster.assets.artifacts import ExportedPipeline
from synml_dagster.assets.card import made_of
from synml_dagster.assets.gates import Challenger, Judgement, Promotion
from synml_dagster.assets.stage import clearly, figure, gate, inputs, outcome, stage, stage_key
from synml_dagster.checks import PromoteSpec
from synml_dagster.evaluation import Evaluation, PairedGain, primary_metric
from synml_dagster.export import write_bundle
from synml_dagster.report import REGISTRY_LENGTH, CardSpec, ReportInputs, render_markdown
from synml_dagster.resources import MLflowResource, SparkResource
from synml_dagster.resources.reason import reason_of

_FILE = "champion.json"


class ChampionRecord(BaseModel):
    """Which version was registered, whether it was promoted and why, and which version is the champion now."""

    model_config = ConfigDict(extra="forbid")

    model: str
    version: str
    promoted: bool
    reason: str
    metric: str
    challenger_value: float
    champion_value: float | None
    champion_version: str | None

    def save(self, directory: str | Path) -> None:
        """Write `champion.json` into `directory`, which must exist."""
        (Path(directory) / _FILE).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: str | Path) -> "ChampionRecord":
        """Read what `save` wrote."""
        return cls.model_validate_json((Path(directory) / _FILE).read_text(encoding="utf-8"))


def build_champion(
    pipeline: str,
    rule: PromoteSpec,
    after: Sequence[str] = (),
    registered: str | None = None,
    card: CardSpec | None = None,
    source: str = "",
) -> dg.AssetsDefinition:
    """Return the asset that registers and promotes, once the stages `after` have passed their checks.

    `registered` is the model's name in MLflow, the pipeline's own where None; `card` and `source` are what its model card says
    that no stage knows.
    """
    name = registered or pipeline

    @dg.asset(
        **stage(
            pipeline,
            "champion",
            io_manager_key="bundles",
            ins=inputs(pipeline, "evaluation", "onnx_model"),
            metadata={"bundle": "synml_dagster.assets.champion:ChampionRecord"},
            deps=[stage_key(pipeline, name) for name in after],
        ),
        check_specs=[
            gate(pipeline, "champion", "promotion", "The challenger of this run became the champion.")
        ],
        output_required=False,
    )
    @clearly
    def champion(
        context: dg.AssetExecutionContext,
        spark: SparkResource,
        mlflow: MLflowResource,
        evaluation: Evaluation,
        onnx_model: ExportedPipeline,
    ) -> Iterator[Any]:
        fitted = onnx_model.fitted
        metric = rule.metric or primary_metric(fitted.plan.task)
        holder = mlflow.champion(name)
        challenger = Challenger(spark.session, fitted, onnx_model.onnx, evaluation, rule, context.log.warning)
        judgement = challenger.against(mlflow, name, holder)
        promotion = Promotion(pipeline, name, rule, judgement, holder)
        decision = promotion.decision()
        for doubt in promotion.doubts:
            context.log.warning(doubt)

        with mlflow.run(context) as run, tempfile.TemporaryDirectory(prefix="synml-bundle-") as folder:
            about = ReportInputs(
                name=pipeline,
                source=source,
                evaluation=evaluation,
                card=card,
                run_id=context.run.run_id,
                **made_of(onnx_model),
            )
            _write_bundle(folder, onnx_model, evaluation, about)
            # The stage `report` knows more, and says it there.
            version = run.register(name, folder, description=render_markdown(about, REGISTRY_LENGTH))
            with mlflow.deciding(name):
                decision, now = promotion.carry_out(mlflow, version, decision)
            verdict = "promoted" if decision.promote else "not promoted"
            mlflow.note(
                name,
                version,
                {
                    "synml.decision": f"{verdict}: {decision.reason}",
                    "synml.learner": fitted.model.learner,
                    f"synml.test.{metric.replace('@', '_at_')}": f"{decision.challenger:.6g}",
                    "dagster.run_id": context.run.run_id,
                    **{f"synml.{key}": said for key, said in reason_of(context).items()},
                },
            )
        said = f"version {version.version} {verdict}: {decision.reason}"
        context.log.info(said)
        record = ChampionRecord(
            model=name,
            version=str(version.version),
            promoted=decision.promote,
            reason=decision.reason,
            metric=metric,
            challenger_value=decision.challenger,
            champion_value=decision.champion,
            champion_version=str(now.version) if now else None,
        )
        context.set_data_version(context.asset_key, dg.DataVersion(record.champion_version or "none"))
        told = reason_of(context) | {"decision": said} | _figures(record, judgement)
        yield dg.Output(record, metadata=told | {"onnx": str(Path(mlflow.download(version)) / "model.onnx")})
        yield outcome("promotion", decision.promote, decision.reason, only_warns=True)

    return champion


def _write_bundle(
    folder: str, exported: ExportedPipeline, evaluation: Evaluation, about: ReportInputs
) -> None:
    """Write all that the registered version is into `folder`."""
    fitted = exported.fitted
    write_bundle(folder, fitted.plan, fitted.model, exported.onnx, evaluation)
    fitted.save_origin(folder)
    exported.save_parity(folder)
    (Path(folder) / "MODEL_CARD.md").write_text(render_markdown(about), encoding="utf-8")


def _figures(record: ChampionRecord, judgement: Judgement) -> dict[str, Any]:
    """Return what the asset's page says of the decision."""
    found: dict[str, Any] = {
        "promoted": record.promoted,
        f"challenger/{record.metric}": figure(record.challenger_value),
        "challenger version": record.version,
        "champion version": record.champion_version or "none",
    }
    if record.champion_value is not None:
        found[f"champion/{record.metric}"] = figure(record.champion_value)
    if judgement.flattered:
        found["champion measured on"] = judgement.flattered
    return found | _how_sure(judgement.paired)


def _how_sure(paired: PairedGain | None) -> dict[str, object]:
    if paired is None:
        return {}
    within = paired.interval
    return {
        "gain": figure(paired.value),
        "gain_low": figure(within.low),
        "gain_high": figure(within.high),
        "sure of the gain": figure(paired.sure()),
    }
