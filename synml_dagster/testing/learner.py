"""What a learner family has to hold, whatever it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest

from synml_dagster.errors import ConfigError, ModelError
from synml_dagster.explain import explain_predictions, explainer_for, is_explained_exactly
from synml_dagster.export import check_parity, export_pipeline, model_to_onnx
from synml_dagster.features import LABEL, SPLIT, FeaturePlan, FeatureSpec, assemble, fit_plan
from synml_dagster.learners import Learner, Link, TrainedModel, TrainSpec, learner_of
from synml_dagster.learners.one_process.rows import read_rows
from synml_dagster.onnx import OnnxModel, Scorer
from synml_dagster.tables import Table, publish_table
from synml_dagster.testing.tables import awkward_table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Trained:
    """A model of the family with what it was made of."""

    spark: SparkSession
    learner: Learner
    spec: TrainSpec
    task: str
    raw: DataFrame
    plan: FeaturePlan
    table: Table
    model: TrainedModel

    def features(self, split: str) -> np.ndarray:
        """The features of one split, float32 `[rows, features]`."""
        rows = self.table.files(**{SPLIT: split}).dataframe(self.spark).toArrow().to_pandas()
        return rows[self.plan.feature_names].to_numpy(np.float32)


_trained: dict[tuple[Any, ...], Trained] = {}


class LearnerContract:
    """Inherit from it, name the family, and let pytest have a fixture `spark`, a session of any kind.

    Attributes
    ----------
    learner
        Name of the family.
    train
        More keys of `train`, to keep the trainings small.
    """

    learner: ClassVar[str]
    train: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(params=["binary", "multiclass", "regression", "ranking"])
    def trained(
        self, request: pytest.FixtureRequest, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
    ) -> Trained:
        """A model of each task that the family learns, trained once for all tests on one session."""
        family, task = learner_of(self.learner), request.param
        key = (type(self), task, id(spark))
        if key in _trained:
            return _trained[key]
        if task not in family.tasks:
            pytest.skip(f"{self.learner} does not learn {task}")
        raw = spark.createDataFrame(awkward_table(task))
        plan = fit_plan(
            raw,
            name="contract",
            label="label",
            task=task,
            weight="weight",
            group="query" if task == "ranking" else None,
            features=FeatureSpec(exclude=[] if task == "ranking" else ["query"]),
        )
        place = tmp_path_factory.mktemp("contract") / "features"
        table = publish_table(assemble(raw, plan), str(place), partition_by=[SPLIT])
        spec = TrainSpec(learner=self.learner, **self.train)
        parts = [table.files(**{SPLIT: split}) for split in ("train", "validation")]
        model = family.fit(spark, plan, spec, dict(family.start()), *parts)
        _trained[key] = Trained(spark, family, spec, task, raw, plan, table, model)
        return _trained[key]

    def test_it_learns(self, trained: Trained) -> None:
        """The loss on validation rows is better than that of knowing nothing, and it says which metric it is."""
        metric, maximize = trained.learner.metric(trained.plan, trained.spec)
        name, value = trained.model.validation_score(metric)
        assert name.split("@")[0] == metric
        labels = (
            trained.table.files(**{SPLIT: "validation"}).dataframe(trained.spark).toArrow().to_pandas()[LABEL]
        )
        if trained.task == "regression":
            assert value < labels.std()
        elif trained.task != "ranking":
            share = labels.value_counts(normalize=True)
            assert value < -(share * np.log(share)).sum()
        else:
            assert maximize
            assert value > 0.6

    def test_rows_in_memory_give_such_a_model_too(self, trained: Trained) -> None:
        """What a sweep's trial trains on an executor is as good as what the asset of the model trains."""
        splits = (trained.table.files(**{SPLIT: split}) for split in ("train", "validation"))
        rows, held = (read_rows(trained.spark, files, trained.plan.feature_names) for files in splits)
        family = trained.learner
        found = family.fit_rows(trained.plan, trained.spec, dict(family.start()), rows, held)
        (_, value), (_, other) = found.validation_score(), trained.model.validation_score()
        assert value == pytest.approx(other, rel=0.05)
        again = family.fit_rows(trained.plan, trained.spec, dict(family.start()), rows, held)
        assert again.text == found.text

    def test_a_saved_model_is_the_same(self, trained: Trained, tmp_path: Any) -> None:
        """It opens without its library's pickle, by the common class and by its own, and a damaged one says so."""
        trained.model.save(tmp_path / "m")
        X = trained.features("test")
        for kind in (TrainedModel, type(trained.model)):
            again = kind.load(tmp_path / "m")
            assert type(again) is type(trained.model)
            np.testing.assert_array_equal(again.predict(X), trained.model.predict(X))
            assert again.validation_score() == trained.model.validation_score()
        (tmp_path / "m" / "model.json").write_text("{")
        with pytest.raises(ModelError):
            TrainedModel.load(tmp_path / "m")

    def test_the_same_seed_gives_the_same_model(self, trained: Trained) -> None:
        """A second training of the same rows gives the same text."""
        parts = [trained.table.files(**{SPLIT: split}) for split in ("train", "validation")]
        start = dict(trained.learner.start())
        again = trained.learner.fit(trained.spark, trained.plan, trained.spec, start, *parts)
        assert again.text == trained.model.text

    def test_spark_answers_as_the_model_does(self, trained: Trained) -> None:
        """By files and by Spark's rows alike."""
        files = trained.table.files(**{SPLIT: "test"})
        names = trained.plan.feature_names
        for data in (files, files.dataframe(trained.spark)):
            scored = trained.model.transform(data, keep=names, spark=trained.spark).toArrow().to_pandas()
            assert len(scored) == files.count()
            expected = trained.model.predict(scored[names].to_numpy(np.float32))
            if trained.task in ("binary", "multiclass"):
                found = np.array(scored["probability"].tolist(), dtype=np.float64)
                assert found.min() >= 0
                assert found.max() <= 1
                labels = expected > 0.5 if expected.ndim == 1 else expected.argmax(axis=1)
                np.testing.assert_array_equal(scored["prediction"].astype(int), labels.astype(int))
            else:
                found = scored["prediction"].to_numpy()
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)

    def test_the_graph_answers_as_the_model_does(self, trained: Trained) -> None:
        """With missing and infinite values, unseen categories and values on thresholds; alone and from raw columns."""
        graph = OnnxModel(export_pipeline(trained.plan, trained.model))
        report = check_parity(
            trained.spark, trained.plan, trained.model, graph, trained.raw, rows=300, tolerance=1e-6
        )
        assert report.passed, report.worst
        X = awkward_rows(trained.features("test"))
        alone = Scorer(OnnxModel(model_to_onnx(trained.model)), outputs=["raw_score"])
        raw = alone.score({"features": X})
        found = np.array(raw.column(0).to_pylist(), dtype=np.float64).reshape(len(X), -1)
        with np.errstate(over="ignore"):  # the graph's raw score is a float32
            expected = trained.model.predict(X, raw_score=True).reshape(len(X), -1).astype(np.float32)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)

    def test_explanations_add_up(self, trained: Trained) -> None:
        """For every row, base and values are the raw score."""
        X = awkward_rows(trained.features("test"))
        if not is_explained_exactly(trained.model.form):
            X = X[:5]  # thousands of other rows for each of them
        explainer = explainer_for(trained.model.form)
        phi, base = explainer.values(X)
        raw = trained.model.predict(X, raw_score=True)
        size = max(1.0, float(np.abs(raw).max()))
        np.testing.assert_allclose(phi.sum(1) + base, raw, rtol=0, atol=1e-6 * size)

    def test_scored_rows_say_why(self, trained: Trained) -> None:
        """Beside each score what the raw columns add to it, which adds up to the raw score that the score is made of."""
        graph = OnnxModel(export_pipeline(trained.plan, trained.model))
        form = trained.model.form
        rows = trained.raw.limit(100 if is_explained_exactly(form) else 3)
        told = explain_predictions(rows, graph, trained.model, trained.plan, keep=[]).toArrow().to_pandas()
        added = [f"contribution_{column.name}" for column in trained.plan.columns]
        raw = told["raw_score"].to_numpy()
        size = max(1.0, float(np.abs(raw).max()))
        np.testing.assert_allclose(told[added].sum(axis=1) + told["base_value"], raw, atol=1e-6 * size)
        if form.num_outputs == 1:
            answer = "probability" if form.classifies else "prediction"
            offset = trained.model.label_offset
            expected = (form.link or Link()).apply(raw - offset) + offset
            np.testing.assert_allclose(told[answer], expected, rtol=1e-5, atol=1e-5)

    def test_importance_names_every_feature(self, trained: Trained) -> None:
        """Greatest first, and none below zero."""
        found = trained.model.importance()
        assert set(found) == set(trained.plan.feature_names)
        assert list(found.values()) == sorted(found.values(), reverse=True)
        assert min(found.values()) >= 0

    def test_its_portfolio_is_of_its_own_parameters(self, trained: Trained) -> None:
        """Each named set is under main names, goes with the plan, and is what the library would be given."""
        family = trained.learner
        for name, chosen in family.portfolio(trained.task).items():
            assert chosen, name
            assert family.checked_params(chosen) == dict(chosen), name
            searched = {key: values for key, values in family.space().items() if key in chosen}
            assert all(values.holds(chosen[key]) for key, values in searched.items()), name
            given = family.params(trained.plan, trained.spec, chosen)
            assert {key: given.get(key) for key in chosen} == dict(chosen) | {
                key: value for key, value in trained.spec.params.items() if key in chosen
            }, name

    def test_what_it_does_not_know_is_refused(self) -> None:
        """A parameter that is misspelt is an error before any work, and so is a family."""
        family = learner_of(self.learner)
        with pytest.raises(ValueError, match="no_such_parameter"):
            TrainSpec(learner=self.learner, params={"no_such_parameter": 1})
        with pytest.raises(ConfigError, match="there is no learner"):
            learner_of(self.learner + "x")
        assert set(family.start()) <= set(family.space())
        assert all(family.space()[name].holds(value) for name, value in family.start().items())


def awkward_rows(X: np.ndarray) -> np.ndarray:
    """Return rows, and rows of them with missing, infinite, huge, tiny and unseen values in each place."""
    values = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-38, 3e38, -3e38, 0.5, 77.0, -1.0]
    made = [X[:50]]
    for i in range(X.shape[1]):
        block = np.repeat(X[:1], len(values), axis=0)
        block[:, i] = values
        made.append(block)
    return np.concatenate(made).astype(np.float32)
