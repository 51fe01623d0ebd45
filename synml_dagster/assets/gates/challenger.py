"""The challenger beside the champion: both on the same held-out rows, and what the rule of promotion says of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from synml_dagster.assets.artifacts import FittedPipeline
from synml_dagster.assets.evaluation import evaluate_scored, gains_of
from synml_dagster.checks import Decision, PromoteSpec, another_question, below_baseline, decide
from synml_dagster.errors import DataError, ModelError, SynmlError
from synml_dagster.evaluation import Evaluation, PairedGain, better_by, paired_gain, primary_metric
from synml_dagster.features import GROUP, LABEL, SPLIT, WEIGHT, FeaturePlan, labelled, same_split, score_split
from synml_dagster.files import ParquetFiles
from synml_dagster.onnx import OnnxModel, Scorer, score
from synml_dagster.spark.quoting import quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from synml_dagster.resources import MLflowResource, ModelVersion

_TIMED_ROWS = 1000
_TIMES = 5
_CHAMPION = "__champion"


@dataclass(frozen=True)
class Judgement:
    """What the rule says, and what it was made of."""

    decision: Decision
    flattered: str = ""
    """Why the champion may look better than it is; empty where it does not."""
    lost: str = ""
    """What shows that the champion knows nothing of these rows; empty where it does."""
    paired: PairedGain | None = None
    """By how much the challenger is better on rows drawn anew, where it is better at all."""
    incomparable: str | None = None
    """Why the champion cannot be compared; None where it can, or where there is none."""


@dataclass(frozen=True)
class Challenger:
    """The model of this run with its own evaluation, to be held against the one that serves."""

    spark: SparkSession
    fitted: FittedPipeline
    onnx: OnnxModel
    evaluation: Evaluation
    rule: PromoteSpec
    warn: Callable[[str], None]
    _opened: dict[str, OnnxModel] = field(default_factory=dict, init=False, repr=False)

    def _graph(self, bundle: str) -> OnnxModel:
        """Open a registered model's graph, once."""
        if bundle not in self._opened:
            self._opened[bundle] = OnnxModel.load(bundle)
        return self._opened[bundle]

    @property
    def metric(self) -> str:
        """The metric that decides."""
        return self.rule.metric or primary_metric(self.fitted.plan.task)

    def against(self, mlflow: MLflowResource, name: str, holder: ModelVersion | None) -> Judgement:
        """Compare with the champion, and with the versions that a person has taken back since it was promoted."""
        held, paired, incomparable, flattered, lost = None, None, None, "", ""
        if holder is not None:
            bundle = mlflow.download(holder)
            held, incomparable = self._measured(bundle)
            if incomparable:
                self.warn(f"version {holder.version} cannot be compared: {incomparable}")
            else:
                flattered = self._may_have_learnt_them(bundle)
                lost = self._lost(held)
            paired = self._paired(bundle, held)
        decision = decide(
            self.rule,
            self.metric,
            self.evaluation.metrics,
            held.metrics if held else None,
            baseline=self.evaluation.baseline,
            incomparable=incomparable,
            paired=paired,
            costs=self._costs(),
        )
        if decision.promote and not self.rule.replace:
            for rejected in mlflow.rolled_back_from(name, holder):
                if reason := self._no_better_than(mlflow, rejected):
                    decision = replace(decision, promote=False, reason=reason)
                    break
        return Judgement(decision, flattered, lost, paired, incomparable)

    def _no_better_than(self, mlflow: MLflowResource, rejected: ModelVersion) -> str | None:
        """Say that the challenger does not beat a version that a person has taken back; None where it does, or cannot be held against it."""
        bundle = mlflow.download(rejected)
        again, _ = self._measured(bundle)
        if again is None:
            return None
        free = self.rule.model_copy(update={"most_kilobytes": None, "most_milliseconds": None})
        once_more = self._paired(bundle, again)
        over = decide(free, self.metric, self.evaluation.metrics, again.metrics, paired=once_more)
        if over.promote:
            return None
        return (
            f"version {rejected.version} was taken back by hand, and this one is not surely better than it: "
            f"{self.metric} is {over.challenger:.6g} and was {over.champion:.6g}. promote.replace: true promotes it"
        )

    def _measured(self, bundle: str) -> tuple[Evaluation | None, str | None]:
        """Measure a registered model on the challenger's test rows, or say why it cannot be compared.

        Its own test rows were others, and metrics do not carry over. No row that it was trained on is among these where both
        plans split rows in one way: see `_may_have_learnt_them`.
        """
        plan, raw = self.fitted.plan, self.fitted.raw
        try:
            if reason := another_question(plan, FeaturePlan.load(bundle)):
                return None, reason
            model, nearest = self._graph(bundle), raw.nearest(self.spark)
            if isinstance(nearest, ParquetFiles):
                read = score_split(self.spark, nearest, plan, model, "test")
                if read is not None:
                    return evaluate_scored(read, plan, self.fitted.model), None
            rows = self._rows()
            scored = score(rows, model, keep=_known(rows))
            return evaluate_scored(scored, plan, self.fitted.model), None
        except (DataError, ModelError) as problem:
            return None, f"it cannot score these rows: {problem}"

    def _lost(self, held: Evaluation | None) -> str:
        worse = held and below_baseline(self.metric, held.metrics, self.evaluation.baseline)
        return (
            f"The champion is no better on these rows than the best answer that looks at no column: {worse}. Has the label's meaning changed, or that of a column?"
            if worse
            else ""
        )

    def _paired(self, bundle: str, held: Evaluation | None) -> PairedGain | None:
        """By how much the challenger is better on rows drawn anew; None where it is not better, or none can be told."""
        ours, theirs = (each.metrics.get(self.metric) if each else None for each in (self.evaluation, held))
        if ours is None or theirs is None or not better_by(self.metric, ours, theirs) > 0:
            return None
        plan, rows = self.fitted.plan, self._rows()
        known, answer = _known(rows), "probability" if plan.label.classes else "prediction"
        # What answers are called; a feature of such a name is found missing below, and that is said.
        columns = [name for name in rows.columns if name not in ("prediction", "probability")]
        try:
            once = score(rows, self._graph(bundle), keep=columns, outputs=[answer])
            once = once.withColumnRenamed(answer, _CHAMPION)
            return paired_gain(
                score(once, self.onnx, keep=[*known, _CHAMPION], outputs=[answer]),
                self.metric,
                task=plan.task,
                champion=_CHAMPION,
                challenger=answer,
                label=LABEL,
                weight=WEIGHT if WEIGHT in known else None,
                group=GROUP if GROUP in known else None,
                linear_gain=plan.linear_gain,
                label_gain=gains_of(plan, self.fitted.model),
            )
        except SynmlError as problem:
            self.warn(f"how sure the gain over the champion is cannot be told: {problem}")
            return None

    def _costs(self) -> dict[str, float]:
        """What the rule has a limit for: the graph's size, and the time that it takes for 1,000 of the test rows."""
        costs = {"kilobytes": self.onnx.size / 1024}
        if self.rule.most_milliseconds is not None:
            scorer = Scorer(self.onnx, threads=1, provider="cpu")
            rows = (
                self._rows().select(*(quoted(name) for name in scorer.columns)).limit(_TIMED_ROWS).toArrow()
            )
            times = []
            for _ in range(_TIMES + 1):
                began = time.perf_counter()
                scorer.score(rows)
                times.append(time.perf_counter() - began)
            # The first one also warms up the runtime; fewer rows than 1,000 are taken to cost in proportion.
            costs["milliseconds"] = statistics.median(times[1:]) * 1000 * _TIMED_ROWS / max(1, rows.num_rows)
        return costs

    def _rows(self) -> DataFrame:
        from pyspark.sql import functions as sf

        plan = self.fitted.plan
        return labelled(self.fitted.raw.dataframe(self.spark), plan).where(sf.col(SPLIT) == "test")

    def _may_have_learnt_them(self, bundle: str) -> str:
        """Say why the present champion may have been trained on the challenger's test rows, or nothing where it was not."""
        try:
            why = same_split(FeaturePlan.load(bundle), self.fitted.plan)
        except ModelError as problem:
            why = f"its plan cannot be read: {problem}"
        return (
            f"The champion may have been trained on rows that it is measured on here, and looks better than it is: {why}"
            if why
            else ""
        )


def _known(rows: DataFrame) -> list[str]:
    """The columns of `labelled` that are no raw ones and that evaluation asks for."""
    return [name for name in rows.columns if name in (LABEL, WEIGHT, GROUP)]
