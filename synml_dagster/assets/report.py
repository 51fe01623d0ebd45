"""`report`: the whole pipeline on one page for people."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from synml_dagster.assets.artifacts import ExportedPipeline
from synml_dagster.assets.card import checks_of, made_of, seconds_of
from synml_dagster.assets.champion import ChampionRecord
from synml_dagster.assets.stage import clearly, figure, inputs, stage
from synml_dagster.errors import ModelError
from synml_dagster.evaluation import Evaluation
from synml_dagster.explain import Explanations
from synml_dagster.report import CardSpec
from synml_dagster.resources import MLflowResource
from synml_dagster.resources.run_tags import REPORT_TAG, tag_run

_FILE, _CARD = "report.html", "MODEL_CARD.md"


@dataclass(frozen=True)
class Report:
    """The model card as a self-contained HTML page, and in short as Markdown."""

    html: str
    markdown: str = ""
    headline: str = ""
    """What the run's log says with the page's place; it is not stored."""

    def save(self, directory: str | Path) -> None:
        """Write `report.html` and `MODEL_CARD.md` into `directory`, which must exist."""
        (Path(directory) / _FILE).write_text(self.html, encoding="utf-8")
        (Path(directory) / _CARD).write_text(self.markdown, encoding="utf-8")

    def announced(self, directory: str) -> str:
        """Return the line of the run's log that says how good the model is and where its page lies."""
        return f"{self.headline}; report: {directory}/{_FILE}"

    @classmethod
    def load(cls, directory: str | Path) -> "Report":
        """Read what `save` wrote, or an earlier version, which had no Markdown."""
        card = Path(directory) / _CARD
        html = (Path(directory) / _FILE).read_text(encoding="utf-8")
        return cls(html, card.read_text(encoding="utf-8") if card.exists() else "")


def _which(record: ChampionRecord) -> str:
    """Say whose page this is: that of a refused challenger must not pass for the champion's."""
    if record.promoted:
        return f"version {record.version}, the champion"
    held = (
        f"version {record.champion_version} stays the champion"
        if record.champion_version
        else "there is no champion"
    )
    return f"version {record.version}, a challenger that was not promoted: {held}"


def build_report(
    pipeline: str,
    source: str,
    groups: bool = False,
    card: CardSpec | None = None,
    also: Sequence[str] = (),
) -> dg.AssetsDefinition:
    """Return the asset that writes the page.

    `groups` says whether there are sensitive columns to speak of, `card` what people say of the model, and `also` are stages
    on request that the page shows, too.
    """
    on_request = (*(("data_balance", "fairness") if groups else ()), *also)

    @dg.asset(
        **stage(
            pipeline,
            "report",
            io_manager_key="bundles",
            ins=inputs(pipeline, "evaluation", "explanations", "champion", *on_request),
        )
    )
    @clearly
    def report(
        context: dg.AssetExecutionContext,
        mlflow: MLflowResource,
        evaluation: Evaluation,
        explanations: Explanations,
        champion: ChampionRecord,
        **more: Any,
    ) -> Report:
        from synml_dagster.report import REGISTRY_LENGTH, ReportInputs, render_markdown, render_report

        version = mlflow.version(champion.model, champion.version)
        if version is None:
            raise ModelError(
                f"report: version {champion.version} of {champion.model!r} is no longer in the registry. Materialize the champion again."
            )
        about = ReportInputs(
            name=pipeline,
            source=source,
            evaluation=evaluation,
            champion=champion,
            explanations=explanations,
            card=card,
            checks=checks_of(context, pipeline),
            seconds=seconds_of(context, pipeline),
            run_id=context.run.run_id,
            **made_of(ExportedPipeline.load(mlflow.download(version))),
            **more,
        )
        headline = f"{champion.metric} {champion.challenger_value:.6g} on {evaluation.rows} test rows; {_which(champion)}"
        page = Report(render_report(about), render_markdown(about), headline)
        mlflow.describe(version, render_markdown(about, REGISTRY_LENGTH))
        told: dict[str, Any] = {
            f"test/{champion.metric}": figure(champion.challenger_value),
            "model": _which(champion),
        }
        if base := os.environ.get("SYNML_REPORTS_URL"):
            address = f"{base.rstrip('/')}/{pipeline}"
            told = {"open": dg.MetadataValue.url(address), **told}
            tag_run(context.instance, context.run.run_id, REPORT_TAG, address)
        context.add_output_metadata(told)
        with mlflow.run(context) as run, tempfile.TemporaryDirectory(prefix="synml-report-") as folder:
            page.save(folder)
            run.log_artifacts(folder)
        return page

    return report
