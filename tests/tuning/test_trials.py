"""Trials as Spark jobs: by files and by Spark's rows, on classic Spark and on Connect, with and without folds."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import log_loss, ndcg_score

from synml_dagster.columns import RawInput
from synml_dagster.errors import ConfigError, SetupError, TrainingError
from synml_dagster.features import SPLIT, FeaturePlan, assemble, fit_plan
from synml_dagster.learners import TrainSpec
from synml_dagster.learners.one_process.rows import Rows, read_rows
from synml_dagster.spark.session import job_tag, stop_tagged
from synml_dagster.tables import publish_table
from synml_dagster.tuning import Question, SweepResult, SweepSpec, TrialRecord
from synml_dagster.tuning import runner as runner_module
from synml_dagster.tuning.choice import families_of, family_names
from synml_dagster.tuning.folds import FoldPlan
from synml_dagster.tuning.guard import keep_default_within_noise
from synml_dagster.tuning.losses import Measure
from synml_dagster.tuning.runner import SessionTrials, TrialJobs, trial_data, wait_for_a_task
from synml_dagster.tuning.trial import labels_of, packed, packed_labels, time_to_score, unpacked

SPECS = {
    "lightgbm": TrainSpec(rounds=30, early_stopping=5),
    "linear": TrainSpec(learner="linear"),
}


def table_of(spark, place, files=3):
    rng = np.random.default_rng(5)
    n = 1500
    x, colour = rng.normal(size=n).round(3), rng.choice(["red", "green", "blue"], n)
    y = np.where(x + (colour == "red") + rng.normal(0, 0.4, n) > 0.5, "yes", "no")
    raw = spark.createDataFrame(pa.table({"x": x, "colour": colour, "y": y})).repartition(files)
    plan = fit_plan(raw, name="t", label="y")
    table = publish_table(assemble(raw, plan), str(place), partition_by=[SPLIT])
    return plan, *(table.files(**{SPLIT: split}) for split in ("train", "validation"))


def jobs(spark, found, folder, folds, own_metric=None):
    plan, train, validation = found
    measure = Measure.of(plan.task)
    data, frame = trial_data(spark, plan, train, validation, folds, measure, own_metric)
    return TrialJobs(spark, data, frame, SPECS, folder)


def question(family, order=0, **params):
    return Question(order, family, params, "search")


def test_a_trial_is_the_same_by_files_and_by_rows_however_they_are_cut(spark, tmp_path, monkeypatch):
    folds = FoldPlan(3, 1, "")
    first = jobs(spark, table_of(spark, tmp_path / "a"), tmp_path / "one", folds)
    assert first.frame is None
    monkeypatch.setattr(runner_module, "files_reachable", lambda *_: False)
    second = jobs(spark, table_of(spark, tmp_path / "b", files=1), tmp_path / "two", folds)
    assert second.frame is not None
    for order, family in enumerate(SPECS):
        asked = question(family, order)
        by_files, by_rows = first(asked), second(asked)
        assert by_files.folds == pytest.approx(by_rows.folds, abs=1e-12)
        assert len(by_files.folds) == 3
        assert by_files.value == pytest.approx(np.mean(by_files.folds))
        assert by_files.kilobytes > 0.1
        one, two = (
            unpacked((f / f"{order}.npz").read_bytes())["answers"] for f in (first.folder, second.folder)
        )
        np.testing.assert_allclose(one, two, atol=1e-9)
    held = labels_of(unpacked((first.folder / "labels.npz").read_bytes()))
    assert len(held) == len(one)
    assert log_loss(held.y, one) < 0.5


def test_what_fails_on_an_executor_says_so_here(classic_spark, tmp_path):
    run = jobs(classic_spark, table_of(classic_spark, tmp_path / "a"), tmp_path / "one", FoldPlan(0, 1, ""))
    with pytest.raises(TrainingError, match=r"num_leaves.*> \(1\)"):
        run(question("lightgbm", num_leaves=1))


def test_a_sweep_without_an_executor_says_so(classic_spark):
    wait_for_a_task(classic_spark, 60)
    taken = threading.Event()

    def busy(batches):
        time.sleep(6)
        yield from batches

    def hold():
        with job_tag(classic_spark, "holds-all"):
            taken.set()
            with suppress(Exception):
                classic_spark.range(0, 2, 1, 2).mapInArrow(busy, "id long").toArrow()

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait()
    time.sleep(1)  # both slots have their tasks
    with pytest.raises(SetupError, match="no executor has run a task within 1 s"):
        wait_for_a_task(classic_spark, 1)
    stop_tagged(classic_spark, "holds-all")
    holder.join(20)


def test_the_session_trains_what_is_too_large_for_a_task(classic_spark, tmp_path):
    plan, train, validation = table_of(classic_spark, tmp_path / "a")
    measure = Measure.of(plan.task)
    session = SessionTrials(
        classic_spark, plan, train, validation, SPECS, measure, None, tmp_path / "answers"
    )
    tasks = jobs(classic_spark, (plan, train, validation), tmp_path / "one", FoldPlan(0, 1, ""))
    for family in SPECS:
        assert session(question(family)).value == pytest.approx(tasks(question(family)).value, rel=0.05)


def test_a_learners_own_metric_decides_where_the_description_names_one(classic_spark, tmp_path):
    found = table_of(classic_spark, tmp_path / "a")
    run = jobs(classic_spark, found, tmp_path / "one", FoldPlan(0, 1, ""), own_metric="auc")
    assert 0.8 < run(question("lightgbm", metric=["binary_logloss", "auc"])).value <= 1


def rows_of(y, group=None, weight=None):
    y = np.asarray(y, float)
    X = np.asfortranarray(np.arange(2 * len(y), dtype=np.float32).reshape(-1, 2))
    return Rows(X, y, np.ones(len(y)) if weight is None else weight, len(y), group)


def test_losses_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    y, weight = rng.integers(0, 2, 50), rng.uniform(0.1, 2, 50)
    p = rng.uniform(0.01, 0.99, 50)
    binary = Measure.of("binary")
    assert binary.value(*binary.losses(p, rows_of(y, weight=weight))) == pytest.approx(
        log_loss(y, p, sample_weight=weight)
    )
    y, p = rng.integers(0, 3, 50), rng.dirichlet([1, 1, 1], 50)
    several = Measure.of("multiclass")
    assert several.value(*several.losses(p, rows_of(y))) == pytest.approx(log_loss(y, p, labels=[0, 1, 2]))
    regression = Measure.of("regression")
    assert regression.value(*regression.losses(np.array([1.0, 2.0]), rows_of([3, 2]))) == pytest.approx(
        2**0.5
    )
    group = np.repeat([0, 1, 2], [12, 20, 3])
    grades, scores = rng.integers(0, 4, 35).astype(float), rng.permutation(35).astype(float)
    ranking = Measure.of("ranking")
    each = [
        ndcg_score([2 ** grades[group == q] - 1], [scores[group == q]], k=10, ignore_ties=True)
        for q in range(3)
    ]
    assert ranking.value(*ranking.losses(scores, rows_of(grades, group))) == pytest.approx(np.mean(each))
    assert ranking.maximize


def test_folds_hold_each_row_out_once_and_each_class_alike():
    y = np.r_[np.zeros(90), np.ones(10)]
    cuts = FoldPlan(5, 2, "").cut(rows_of(y), stratified=True)
    assert len(cuts) == 10
    for repeat in (cuts[:5], cuts[5:]):
        assert sorted(np.concatenate([b for _, b in repeat])) == list(range(100))
        assert all(y[b].sum() == 2 and not set(a) & set(b) for a, b in repeat)
    assert not np.array_equal(cuts[0][1], cuts[5][1])


def test_folds_keep_queries_whole():
    group = np.repeat(np.arange(10), 7)
    cuts = FoldPlan(5, 1, "").cut(rows_of(np.zeros(70), group), stratified=False)
    assert all(not set(group[a]) & set(group[b]) and len(set(group[b])) == 2 for a, b in cuts)
    with pytest.raises(ConfigError, match="there are 10 queries"):
        FoldPlan(11, 1, "").cut(rows_of(np.zeros(70), group), stratified=False)


@pytest.mark.parametrize(
    ("by", "asked", "rows", "folds", "repeats"),
    [
        ("stratified", None, 900, 5, 2),
        ("random", None, 5000, 5, 1),
        ("stratified", None, 25_000, 0, 1),
        ("time", None, 900, 0, 1),
        ("stratified", 0, 900, 0, 1),
        ("stratified", 3, 50_000, 3, 1),
    ],
)
def test_small_tables_are_measured_by_folds(classic_plan, by, asked, rows, folds, repeats):
    split = classic_plan.split.model_copy(
        update={"spec": classic_plan.split.spec.model_copy(update={"by": by}), "by": by}
    )
    plan = classic_plan.model_copy(update={"split": split})
    found = FoldPlan.of(plan, asked, rows - 100, 100)
    assert (found.folds, found.repeats) == (folds, repeats)
    assert f"{rows if folds else 100:,}" in found.why
    if by == "time":
        with pytest.raises(ConfigError, match=r"does not go with split\.by 'time'"):
            FoldPlan.of(plan, 5, 800, 100)


@pytest.mark.parametrize(
    ("by", "column", "folds"), [("group", "q", 5), ("group", "user", 0), ("time", "t", 0)]
)
def test_a_ranking_is_measured_by_folds_where_its_split_is_by_query(classic_plan, by, column, folds):
    column, query = (
        RawInput(name=n, path=(n,), spark_type="string", storage="string", onnx_type="string")
        for n in (column, "q")
    )
    split = classic_plan.split.model_copy(update={"by": by, "column": column})
    plan = classic_plan.model_copy(update={"split": split, "task": "ranking", "group": query})
    assert FoldPlan.of(plan, None, 900, 100).folds == folds


def test_more_values_than_a_task_takes_are_not_said_to_be_measured_by_folds(classic_plan):
    assert FoldPlan.of(classic_plan, None, 900, 100).folds == 5
    assert FoldPlan.of(classic_plan, None, 900, 100, wide=True) == FoldPlan(0, 1, "100 validation rows")
    with pytest.raises(ConfigError, match=r"sweep\.folds is 5, and 1,000 rows of 1 features are too many"):
        FoldPlan.of(classic_plan, 5, 900, 100, wide=True)


@pytest.fixture(scope="module")
def classic_plan(classic_spark) -> FeaturePlan:
    rows = {"x": [float(i) for i in range(60)], "y": ["a", "b"] * 30}
    return fit_plan(classic_spark.createDataFrame(pa.table(rows)), name="p", label="y")


def result_of(*trials, direction="minimize"):
    records = [
        TrialRecord(number=i, params={"i": i}, value=np.mean(f), folds=list(f), learner="f", origin=o)
        for i, (f, o) in enumerate(trials)
    ]
    best = min(records, key=lambda t: t.value)
    return SweepResult(
        metric="logloss", direction=direction, trials=records, learner="f", best_params=best.params,
        best_value=best.value, best_trial=best.number,
    )  # fmt: skip


def test_the_defaults_stay_where_the_best_trial_is_only_luckier(tmp_path):
    measure = Measure.of("binary")
    default = ([0.50, 0.52, 0.48, 0.51, 0.49], "default")
    luck = ([0.46, 0.54, 0.47, 0.52, 0.50], "search")
    kept = keep_default_within_noise(result_of(default, luck), "f", measure, tmp_path)
    assert (kept.best_trial, kept.best_params) == (0, {"i": 0})
    assert "the defaults are kept" in kept.notes[0]
    gain = ([v - 0.02 for v in default[0]], "search")
    assert keep_default_within_noise(result_of(default, gain), "f", measure, tmp_path).best_trial == 1


def test_one_held_out_part_tells_luck_from_gain_row_by_row(tmp_path):
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, 4000).astype(float)
    (tmp_path / "labels.npz").write_bytes(packed_labels(rows_of(y)))
    measure = Measure.of("binary")
    base = np.clip(0.5 + 0.3 * (y - 0.5) + rng.normal(0, 0.1, 4000), 0.05, 0.95)
    better = np.clip(base + 0.05 * (2 * y - 1), 0.01, 0.99)
    luckier = np.clip(base + rng.normal(0, 0.02, 4000), 0.05, 0.95)
    for name, answers in (("0", base), ("1", better), ("2", luckier)):
        (tmp_path / f"{name}.npz").write_bytes(packed(answers=answers))
    value = {i: log_loss(y, p) for i, p in enumerate((base, better, luckier))}

    def result(best):
        trials = [
            TrialRecord(
                number=i, params={}, value=value[i], learner="f", origin="default" if i == 0 else "search"
            )
            for i in (0, best)
        ]
        trials[1].value = min(trials[1].value, value[0] - 1e-6)
        return SweepResult(
            metric="logloss", direction="minimize", trials=trials, learner="f", best_trial=best
        )

    assert keep_default_within_noise(result(1), "f", measure, tmp_path).best_trial == 1
    assert keep_default_within_noise(result(2), "f", measure, tmp_path).best_trial == 0


def test_trials_of_a_large_ranking_see_whole_queries(classic_spark, tmp_path):
    from synml_dagster.assets.sweep import _sampled
    from synml_dagster.features.names import GROUP, LABEL

    n, each = 100, 10
    rows = {
        "x": np.arange(n * each, dtype=float),
        LABEL: np.zeros(n * each),
        GROUP: np.repeat(np.arange(n), each),
    }
    table = publish_table(classic_spark.createDataFrame(pa.table(rows)), str(tmp_path / "t"))

    class Session:
        session = classic_spark

    with _sampled(Session, table.files(), 400, str(tmp_path / "sample")) as sample:
        seen = sample.dataframe(classic_spark).groupBy(GROUP).count().toPandas()
    assert 20 < len(seen) < 60
    assert set(seen["count"]) == {each}


def test_queries_are_numbered_by_their_value(classic_spark, tmp_path):
    from synml_dagster.features.names import GROUP, LABEL

    rows = {"x": [1.0, 2.0, 3.0, 4.0], LABEL: [0.0, 1.0, 2.0, 0.0], GROUP: ["b", "a", "b", "a"]}
    table = publish_table(classic_spark.createDataFrame(pa.table(rows)), str(tmp_path / "t"))
    found = read_rows(classic_spark, table.files(), ["x"])
    assert found.group.tolist() == [0, 0, 1, 1]
    assert sorted(found.X[found.group == 1, 0]) == [1.0, 3.0]


def test_a_family_that_trains_by_the_session_has_its_trials_here_on_the_same_rows_and_folds(
    classic_spark, tmp_path, monkeypatch
):
    spark, found = classic_spark, table_of(classic_spark, tmp_path / "table")
    params = {"maxIter": 3, "stepSize": 0.5, "maxDepth": 3}
    specs = {**SPECS, "spark_gbt": TrainSpec(learner="spark_gbt", params=params)}
    monkeypatch.setitem(SPECS, "spark_gbt", specs["spark_gbt"])
    run = jobs(spark, found, tmp_path / "answers", FoldPlan(2, 1, ""))
    told, ended = {}, []

    def work(order, name):
        ended.append(told.setdefault(order, run(question(name, order))))

    threads = [
        threading.Thread(target=work, args=(i, name)) for i, name in enumerate(["linear", "spark_gbt"])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(ended) == 2
    held = labels_of(unpacked((run.folder / "labels.npz").read_bytes()))
    answers = [unpacked((run.folder / f"{i}.npz").read_bytes())["answers"] for i in told]
    for order, one in zip(told, answers, strict=True):
        assert len(told[order].folds) == 2
        assert log_loss(held.y, one, sample_weight=held.weight) == pytest.approx(told[order].value, rel=0.02)
    assert told[1].rounds == 3
    assert told[1].value < 0.5


def test_all_learners_are_those_whose_trials_are_tasks_and_ones_own():
    sweep = SweepSpec(learners="all")
    expected = ["lightgbm", "xgboost", "extra_trees", "random_forest", "linear", "mlp"]
    assert family_names(sweep, TrainSpec(), "binary") == expected
    assert family_names(sweep, TrainSpec(learner="mlp"), "binary") == ["mlp", *expected[:-1]]
    families = families_of(expected, sweep, TrainSpec(), "binary")
    assert [family.name for family in families if family.boosted] == ["lightgbm", "xgboost"]
    own = family_names(sweep, TrainSpec(learner="spark_gbt"), "binary")
    assert own[0] == "spark_gbt"
    assert "spark_linear" not in own
    assert "spark_gbt" not in family_names(sweep, TrainSpec(learner="spark_gbt"), "multiclass")


def test_what_a_first_answer_takes_is_not_what_rows_take():
    class Slow:
        asked = 0

        def predict(self, X):
            if not self.asked:
                time.sleep(0.2)
            self.asked += len(X)

    model = Slow()
    assert time_to_score(model, rows_of(np.zeros(500))) < 200
    assert model.asked == 501
