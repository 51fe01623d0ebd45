"""`champion`: the challenger becomes a registered version, and the champion when the rule holds."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import BaseModel, ConfigDict

from synml_dagster.assets.artifacts import ExportedPipeline
from synml_dagster.assets.card import made_of
from synml_dagster.assets.gates import Challenger
from synml_dagster.assets.stage import clearly, figure, gate, inputs, outcome, stage, stage_key
from synml_dagster.checks import PromoteSpec
from synml_dagster.checks.shadow import counted
from synml_dagster.checks.shadow_registry import enter, promote_at_once
from synml_dagster.evaluation import Evaluation, PairedGain, primary_metric
from synml_dagster.export import write_bundle
from synml_dagster.report import REGISTRY_LENGTH, CardSpec, ReportInputs, render_markdown
from synml_dagster.resources import MLflowResource, ModelVersion, SparkResource
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
        feature_plan, model = fitted.plan, fitted.model
        metric = rule.metric or primary_metric(feature_plan.task)
        holder = mlflow.champion(name)
        challenger = Challenger(spark.session, fitted, onnx_model.onnx, evaluation, rule, context.log.warning)
        judgement = challenger.against(mlflow, name, holder)
        decision, flattered = judgement.decision, judgement.flattered
        # The first champion has nobody to stand beside, and answers to another question cannot be held against each other.
        in_shadow = rule.shadow is not None and holder is not None and judgement.incomparable is None
        if decision.promote and rule.approval and not in_shadow:
            decision = replace(
                decision,
                promote=False,
                reason=f"the rule would promote it ({decision.reason}), and a person has to agree: launch {pipeline}_promote",
            )
        for doubt in filter(None, (flattered, judgement.lost)):
            context.log.warning(doubt)
            decision = replace(decision, reason=f"{decision.reason}. {doubt}")

        with mlflow.run(context) as run, tempfile.TemporaryDirectory(prefix="synml-bundle-") as folder:
            write_bundle(folder, feature_plan, model, onnx_model.onnx, evaluation)
            fitted.save_origin(folder)
            onnx_model.save_parity(folder)
            about = ReportInputs(
                name=pipeline,
                source=source,
                evaluation=evaluation,
                card=card,
                run_id=context.run.run_id,
                **made_of(onnx_model),
            )
            (Path(folder) / "MODEL_CARD.md").write_text(render_markdown(about), encoding="utf-8")
            # The stage `report` knows more, and says it there.
            version = run.register(name, folder, description=render_markdown(about, REGISTRY_LENGTH))
            with mlflow.deciding(name):
                mlflow.set_alias(name, "challenger", version)
                meanwhile = mlflow.champion(name)
                if decision.promote and not rule.replace and _number(meanwhile) != _number(holder):
                    # Another run, or a person: what this one was compared with is no longer what it would replace.
                    decision = replace(
                        decision,
                        promote=False,
                        reason=f"{_number(meanwhile)} became champion while this one was compared with {_number(holder)}. "
                        "Materialize the champion again",
                    )
                holder = meanwhile
                if decision.promote and in_shadow and holder is not None and rule.shadow is not None:
                    displaced = enter(mlflow, name, version, str(holder.version), decision.reason)
                    decision = replace(
                        decision,
                        promote=False,
                        reason=f"in shadow: it scores beside version {holder.version} for {counted(rule.shadow.runs)} first. The rule would promote it ({decision.reason})"
                        + (f"; {displaced}" if displaced else ""),
                    )
                elif decision.promote:
                    said = filter(None, (decision.reason, promote_at_once(mlflow, name, version)))
                    decision = replace(decision, reason="; ".join(said))
            verdict = "promoted" if decision.promote else "not promoted"
            mlflow.note(
                name,
                version,
                {
                    "synml.decision": f"{verdict}: {decision.reason}",
                    "synml.learner": model.learner,
                    f"synml.test.{metric.replace('@', '_at_')}": f"{decision.challenger:.6g}",
                    "dagster.run_id": context.run.run_id,
                    **{f"synml.{key}": said for key, said in reason_of(context).items()},
                },
            )
        context.log.info(f"version {version.version} {verdict}: {decision.reason}")
        now = version if decision.promote else holder
        told: dict[str, Any] = reason_of(context) | {
            "decision": f"version {version.version} {verdict}: {decision.reason}",
            "promoted": decision.promote,
            f"challenger/{metric}": figure(decision.challenger),
            **({f"champion/{metric}": figure(decision.champion)} if decision.champion is not None else {}),
            **_how_sure(judgement.paired),
            **({"champion measured on": flattered} if flattered else {}),
            "challenger version": version.version,
            "champion version": now.version if now else "none",
            "onnx": str(Path(mlflow.download(version)) / "model.onnx"),
        }
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
        yield dg.Output(record, metadata=told)
        yield outcome("promotion", decision.promote, decision.reason, only_warns=True)

    return champion


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


def _number(version: ModelVersion | None) -> str:
    return f"version {version.version}" if version else "no version"
