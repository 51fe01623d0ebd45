"""The one typed description of a learning problem, and what in it goes together."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from synml_dagster.assets.stage import ExplainSpec, MLflowSpec, ScoreSpec
from synml_dagster.automation import AutomationSpec
from synml_dagster.checks import BalanceSpec, ChecksSpec, DriftSpec, LiveSpec, PromoteSpec
from synml_dagster.errors import did_you_mean
from synml_dagster.evaluation import EvaluateSpec
from synml_dagster.features import FeatureSpec, SplitSpec
from synml_dagster.learners import TrainSpec, learner_of
from synml_dagster.partitions import PartitionsSpec
from synml_dagster.report import CardSpec
from synml_dagster.sources import Source
from synml_dagster.tuning import SweepSpec
from synml_dagster.tuning.choice import check_learners, check_metrics


class Description(BaseModel):
    """What a pipeline is told: its keys, and which of them go together."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: str = Field(
        description="Name of the pipeline: the group and the first part of the key of all its assets."
    )
    source: Source = Field(
        description="The table to learn from: a path, or one of path, table, jdbc and sql."
    )
    label: str = Field(description="The column to predict.")
    task: Literal["auto", "binary", "multiclass", "regression", "ranking"] = Field(
        default="auto", description="What kind of prediction; guessed from the label where it is auto."
    )
    weight: str | None = Field(
        default=None, description="Column with the weight of each row in training and metrics."
    )
    group: str | None = Field(
        default=None, description="Column that says which rows belong to one query, for ranking."
    )
    partitions: PartitionsSpec | None = Field(
        default=None,
        description="Parts of the table that are read and scored one by one; the model is trained on all that were read.",
    )
    split: SplitSpec = Field(
        default_factory=SplitSpec, description="How rows become training, validation and test."
    )
    features: FeatureSpec = Field(
        default_factory=FeatureSpec, description="Which columns to use, and as what."
    )
    train: TrainSpec = Field(default_factory=TrainSpec, description="How the model is trained.")
    sweep: SweepSpec = Field(default_factory=SweepSpec, description="How long parameters are searched.")
    score: ScoreSpec = Field(default_factory=ScoreSpec, description="What the champion scores and where to.")
    explain: ExplainSpec = Field(
        default_factory=ExplainSpec,
        description="How many rows are explained, and whether every scored one is.",
    )
    mlflow: MLflowSpec = Field(
        default_factory=MLflowSpec, description="Under which names MLflow keeps runs and models."
    )
    promote: PromoteSpec = Field(
        default_factory=PromoteSpec, description="When a challenger becomes the champion."
    )
    evaluate: EvaluateSpec = Field(
        default_factory=EvaluateSpec, description="How the model is judged, beyond its metrics."
    )
    card: CardSpec = Field(
        default_factory=CardSpec,
        description="What the report says of the model's purpose and of who answers for it.",
    )
    balance: BalanceSpec | None = Field(
        default=None,
        description="Sensitive columns whose groups are compared, in the table and in the answers; nothing is where absent.",
    )
    drift: DriftSpec | None = Field(
        default=None,
        description="How far the rows to score may be from the training rows; not compared where absent.",
    )
    checks: ChecksSpec = Field(
        default_factory=ChecksSpec,
        description="What is looked at each time rows are read or scored, with severity and blocking each.",
    )
    live: LiveSpec | None = Field(
        default=None,
        description="Labels that come after the rows were scored, by which the champion is measured on them; not measured where absent.",
    )
    automation: AutomationSpec = Field(default_factory=AutomationSpec, description="When it runs by itself.")
    resources: Literal["embedded", "project"] = Field(
        default="embedded",
        description="embedded brings the resources along; project leaves spark, mlflow, spark_tables and bundles to "
        "the code location.",
    )

    @field_validator("name")
    @classmethod
    def _name_is_a_word(cls, value: str) -> str:
        if not value.isidentifier() or not value.isascii():
            raise ValueError(
                f"{value!r} cannot name a pipeline; use letters, digits and underscores, and begin with a letter"
            )
        if value == "partitions":
            raise ValueError(
                "'partitions' is the folder of a table's partitions; give the pipeline another name"
            )
        return value

    @model_validator(mode="after")
    def _parts_go_together(self) -> Description:
        named = {
            "weight": [self.weight] if self.weight else [],
            "group": [self.group] if self.group else [],
            "balance.columns": self.balance.columns if self.balance else [],
            "drift.columns": (self.drift.columns or []) if self.drift else [],
            "checks.nulls.columns": (self.checks.nulls.columns or []) if self.checks.nulls else [],
            "checks.ranges.columns": (self.checks.ranges.columns or []) if self.checks.ranges else [],
            **self.explain.named,
            "explain.chosen": [self.explain.chosen.column] if self.explain.chosen else [],
            "features.include": self.features.include or [],
            "features.categorical": self.features.categorical or [],
            "features.numeric": self.features.numeric or [],
            "features.text": self.features.text or [],
            "features.datetime": self.features.datetime or [],
        }
        for key, columns in named.items():
            if self.label in columns:
                why = {
                    "balance.columns": "its groups are compared by it",
                    "drift.columns": "rows to score have none",
                    "checks.nulls.columns": "rows to score have none",
                    "checks.ranges.columns": "rows to score have none",
                    "explain.chosen": "it tells no row apart",
                }.get(key, "a label cannot predict itself")
                raise ValueError(f"{key} names {self.label!r}, which is the label; {why}")
        if self.balance:
            self.balance.check_task(self.task)
        if self.evaluate.costs and self.task not in ("auto", "binary"):
            raise ValueError(
                f"evaluate.costs is about a yes or a no, and the task is {self.task}; leave it out"
            )
        if self.evaluate.cost_matrix and self.task not in ("auto", "multiclass"):
            raise ValueError(
                f"evaluate.cost_matrix is about three classes or more, and the task is {self.task}; {'take evaluate.costs' if self.task == 'binary' else 'leave it out'}"
            )
        if self.evaluate.costs and self.train.refit:
            raise ValueError(
                "evaluate.costs does not go with train.refit: the threshold is chosen by answers for validation rows, and the model would have been trained on these. Leave one of the two out."
            )
        if self.task == "ranking" and not self.group:
            raise ValueError(
                "task is ranking, so `group` has to name the column that tells the queries apart"
            )
        if self.group and self.task not in ("ranking", "auto"):
            raise ValueError(f"group goes with task ranking, not with {self.task}")
        if self.partitions and self.score.table and not self.score.append:
            raise ValueError(
                "score.table is replaced whole, and partitions one by one; leave score.table out, name a folder by score.path, or keep the rows of all runs by score.append"
            )
        self._check_contributions()
        check_learners(self.sweep, self.train)
        if self.task != "auto":
            for learner in self.searched_learners():
                learner_of(learner).check_task(self.task)
        check_metrics(self.task, self.sweep, self.train)
        needed_by = {"test": "measure the model on", "validation": "stop the training by"}
        for side, use in needed_by.items():
            if getattr(self.split, side) == 0:
                raise ValueError(
                    f"split.{side} is 0, and a pipeline needs {side} rows to {use}; give it a share such as 0.1"
                )
        if self.partitions and self.automation.minimum_rows:
            raise ValueError(
                "automation.minimum_rows is about the whole source, and partitions are read one by one; leave one of them out"
            )
        self._check_assets()
        self._check_promotion()
        self._check_live()
        self._check_database()
        self._check_retraining()
        if self.automation.on_new_data:
            scores = self.automation.on_new_data == "score" and self.score.source is not None
            self._check_version_query("score.source" if scores else "source")
        return self

    def _check_assets(self) -> None:
        """Sources that are assets: none of the pipeline's own, and partitions that no column tells apart lie apart."""
        sources = {"source": self.source, "score.source": self.score.source}
        labels = {"live.labels": self.live.labels if self.live else None}
        for key, source in (sources | labels).items():
            if source is not None and source.asset and source.asset.startswith(f"{self.name}/"):
                raise ValueError(
                    f"{key}.asset is {source.asset!r}, which begins as the assets of this pipeline do, and a pipeline does not read what it makes. "
                    "Name an asset of somebody else, or give the pipeline another name"
                )
        if self.partitions is None or self.partitions.has_columns:
            return
        for key, source in sources.items():
            if source is None or (source.asset and source.place is None):
                continue
            raise ValueError(
                f"partitions needs `column`, the one that says which partition a row belongs to: {key} is {source.describe()}, and only an asset "
                "without path, table, jdbc and sql has a place for each of its partitions"
            )

    def searched_learners(self) -> list[str]:
        """Return the families that have to learn the task: those that the description names."""
        named = self.sweep.learners if isinstance(self.sweep.learners, list) else [self.train.learner]
        return named if self.sweep.trials else [self.train.learner]

    def _check_promotion(self) -> None:
        from synml_dagster.evaluation import METRICS

        shadow = self.promote.shadow
        if shadow and shadow.most_decisions is not None and self.task in ("regression", "ranking"):
            raise ValueError(
                f"promote.shadow.most_decisions is about classes, and the task is {self.task}; use most_difference"
            )
        wanted = self.promote.metric
        known = (
            METRICS[self.task] if self.task != "auto" else {m for names in METRICS.values() for m in names}
        )
        if wanted == "bias":
            raise ValueError(
                "promote.metric 'bias' is best at 0, and a rule asks for more or for less; choose rmse, mae or another"
            )
        if wanted and wanted not in known:
            task = "any task" if self.task == "auto" else f"task {self.task}"
            raise ValueError(
                f"promote.metric {wanted!r} is not a metric of {task}; choose one of {', '.join(sorted(known))}."
                f"{did_you_mean(wanted, known)}"
            )

    def _check_contributions(self) -> None:
        asked = self.explain.every_row
        if asked is None:
            return
        if self.partitions and asked.table:
            raise ValueError(
                "explain.contributions.table is replaced whole, and partitions one by one; leave it out, or name a folder by explain.contributions.path"
            )
        for key in ("path", "table"):
            place = getattr(asked, key)
            if place and place == getattr(self.score, key):
                raise ValueError(
                    f"score.{key} and explain.contributions.{key} are both {place!r}, and one would replace the other; name another one"
                )

    def _check_live(self) -> None:
        live, keep = self.live, self.score.keep
        if live is None:
            return
        if self.score.append:
            raise ValueError(
                "live finds rows by their key, and with score.append a row that several runs have scored stands there several times; leave one of the two out"
            )
        if self.label in live.key:
            raise ValueError(f"live.key names {self.label!r}, which is the label; a label tells no row apart")
        if self.task == "ranking":
            raise ValueError("live measures row by row, and a ranking has queries; leave live out")
        parts = self.partitions
        if live.last is not None and parts and parts.dimensions and parts.of_time is None:
            raise ValueError(
                "live.last is about the newest partitions, and no dimension of partitions is one of time; leave it out"
            )
        if keep is not None:
            needed = [*live.key, *([self.label] if self.score.source is None else [])]
            if absent := [c for c in needed if c not in keep]:
                raise ValueError(
                    f"score.keep leaves out {', '.join(map(repr, absent))}, and live needs them in the predictions: the "
                    "key to find the labels by, and the label to tell rows whose answer was known when they were scored"
                )

    def _check_database(self) -> None:
        """Nothing that reads predictions again is given the password of the database that they went to."""
        readers = {"live": self.live, "checks.predictions": self.checks.predictions}
        reads = [name for name, asked in readers.items() if asked is not None]
        if self.score.database is not None and reads:
            raise ValueError(
                f"{' and '.join(reads)} would read the predictions of score.database again, which only a table in a folder or in the catalog lets them; "
                "leave score.database out, or name a place by score.path or score.table"
            )

    def _check_retraining(self) -> None:
        automation, on = self.automation, self.automation.retrain_on
        if on is not None and on.drift is not None and self.drift is None:
            raise ValueError(
                "automation.retrain_on.drift asks by the check of `drift`, which the description does not have; add drift: {}"
            )
        if on is not None and on.decay is not None and self.live is None:
            raise ValueError(
                "automation.retrain_on.decay asks by the check of `live`, which the description does not have; add live: {key: [...]}"
            )
        if automation.on_new_labels:
            if self.live is None:
                raise ValueError(
                    "automation.on_new_labels is about the labels of `live`, which the description does not have; add live: {key: [...]}"
                )
            self._check_version_query("live.labels" if self.live.labels else "source", "on_new_labels")
        if automation.follow.partitions and self.partitions is None:
            raise ValueError(
                "automation.follow.partitions is about partitions, and the description has none; a whole source is watched by automation.on_new_data"
            )
        if automation.read_again > 1 and not (self.partitions and self.partitions.of_time is not None):
            raise ValueError(
                "automation.read_again is about partitions of time, and the description has none (hourly, daily, weekly or monthly); without partitions all rows are read anew"
            )

    def _check_version_query(self, key: str, option: str = "on_new_data") -> None:
        named = {"score.source": self.score.source, "live.labels": self.live.labels if self.live else None}
        watched = named.get(key, self.source)
        if watched is not None and watched.kind in ("sql", "jdbc") and not watched.version_query:
            raise ValueError(
                f"automation.{option} needs {key}.version_query: nothing else tells when the rows of a {watched.kind} source "
                "change. Give Spark SQL whose first value does, such as SELECT max(updated_at) FROM the_table, or use automation.retrain."
            )
