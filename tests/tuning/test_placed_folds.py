"""Folds of tables whose split keeps groups whole or goes by time: no fold mixes what the split keeps apart."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from synml_dagster.errors import ConfigError
from synml_dagster.features import PLACE, SPLIT, SplitSpec, assemble, fit_plan
from synml_dagster.learners import TrainSpec
from synml_dagster.tables import publish_table
from synml_dagster.tuning.folds import Fewest, FoldPlan, Placed, fewest_of
from synml_dagster.tuning.losses import Measure
from synml_dagster.tuning.runner import trial_data
from synml_dagster.tuning.trial import load, run

N = 1200
rng = np.random.default_rng(0)
TABLE = {
    "x": rng.normal(size=N),
    "shop": np.array([f"shop {i}" for i in rng.integers(0, 40, N)]),
    "day": rng.integers(0, 90, N).astype(np.float64),
}
TABLE["y"] = np.where(TABLE["x"] + rng.normal(0, 0.5, N) > 0, "yes", "no")


@pytest.fixture(params=["group", "time"])
def made(request, classic_spark, tmp_path):
    """A features table by group or by time, as (by, plan, training rows, validation rows)."""
    column = {"group": "shop", "time": "day"}[request.param]
    raw = classic_spark.createDataFrame(pa.table(TABLE).to_pandas())
    plan = fit_plan(raw, name="p", label="y", split=SplitSpec(by=request.param, column=column))
    table = publish_table(assemble(raw, plan), str(tmp_path / "features"), partition_by=[SPLIT])
    return request.param, plan, *(table.files(**{SPLIT: s}) for s in ("train", "validation"))


@pytest.mark.parametrize("way", ["files", "rows"])
def test_a_small_table_is_measured_by_folds_of_its_groups_or_its_times(made, way, classic_spark, monkeypatch):
    by, plan, train, held = made
    if way == "rows":
        monkeypatch.setattr("synml_dagster.tuning.runner.files_reachable", lambda *_: False)
    fewest = fewest_of(classic_spark, plan, train, held)
    folds = FoldPlan.of(plan, None, train.count(), held.count(), fewest=fewest)
    assert (folds.folds, folds.by, folds.repeats) == (5, by, 2 if by == "group" else 1)
    data, frame = trial_data(classic_spark, plan, train, held, folds, Measure.of("binary"), None)
    batches = iter(()) if frame is None else iter(frame.toArrow().to_batches())
    loaded = load(data, {}, batches)
    for rows, apart, at in loaded.parts:
        assert rows.place is not None
        assert apart.place is not None
        if by == "group":
            assert not set(rows.place) & set(apart.place)
        else:
            assert rows.place.max() < apart.place.min()
        assert np.array_equal(loaded.held.X[at], apart.X)
    if by == "time":
        assert all(a.place.max() < b.place.min() for (_, a, _), (_, b, _) in pairwise(loaded.parts))
        oldest = loaded.parts[0][0]
        assert len(loaded.held) == train.count() + held.count() - len(oldest)
    told, answers = run(data, loaded, TrainSpec(rounds=5), {}, 1)
    assert len(told["folds"]) == folds.parts
    assert (answers > 0).all()


def test_groups_are_whole_and_folds_about_as_large():
    place = np.repeat(np.arange(30.0), np.arange(1, 31))
    folds = FoldPlan(5, 1, "", "group")._cuts(place)
    assert sorted(np.concatenate([b for _, b in folds])) == list(range(len(place)))
    assert max(len(b) for _, b in folds) < 1.5 * min(len(b) for _, b in folds)


def test_rows_without_a_time_are_the_oldest():
    place = np.r_[np.full(5, np.nan), np.arange(25.0)]
    folds = FoldPlan(5, 1, "", "time")._cuts(place)
    assert next(list(b) for _, b in folds) == [5, 6, 7, 8, 9]
    assert all(set(range(5)) <= set(a) for a, _ in folds)


class _Plan:
    task, keeps_place, feature_names, group = "multiclass", True, ["x"], None

    def __init__(self, by):
        self.split = type("Split", (), {"by": by, "column": None})


@pytest.mark.parametrize(
    ("by", "place", "label", "says"),
    [
        ("group", np.arange(300) % 3, np.arange(300) % 2, "3 groups"),
        ("time", np.arange(300) % 4, np.arange(300) % 2, "4 times"),
        ("time", np.arange(300), np.arange(300) // 290, "without class 'b'"),
        ("group", np.arange(300) % 30, np.arange(300) % 30 == 7, "without class 'b'"),
        ("time", np.r_[np.zeros(280), np.arange(1, 21)], np.arange(300) % 2, "would be empty"),
    ],
)
def test_folds_that_cannot_be_are_refused_where_asked_for_and_not_taken_else(by, place, label, says):
    placed = Placed(place.astype(float), label.astype(float), ["a", "b"])
    with pytest.raises(ConfigError, match=says):
        FoldPlan.of(_Plan(by), 5, 200, 100, fewest=Fewest(placed=placed))
    taken = FoldPlan.of(_Plan(by), None, 200, 100, fewest=Fewest(placed=placed))
    assert taken.folds == 0
    assert says in taken.why


@pytest.mark.parametrize("by", ["group", "time"])
def test_folds_whose_rows_all_have_weight_0_are_not_taken(by):
    place = np.arange(300) % 5 if by == "group" else np.arange(300)
    weight = (place != 3 if by == "group" else place >= 60).astype(float)
    label = np.arange(300) // 2 % 2
    counted = Placed(place.astype(float), label.astype(float), ["a", "b"])
    assert FoldPlan.of(_Plan(by), None, 200, 100, fewest=Fewest(placed=counted)).folds == 5
    weighted = Fewest(placed=replace(counted, weight=weight))
    assert "weight 0" in FoldPlan.of(_Plan(by), None, 200, 100, fewest=weighted).why
    with pytest.raises(ConfigError, match="weight 0"):
        FoldPlan.of(_Plan(by), 5, 200, 100, fewest=weighted)


def test_a_features_table_of_an_earlier_version_is_measured_by_its_validation_rows(
    made, classic_spark, tmp_path
):
    _, plan, train, held = made
    old = [
        publish_table(f.dataframe(classic_spark).drop(PLACE), str(tmp_path / f"old-{i}")).files()
        for i, f in enumerate((train, held))
    ]
    fewest = fewest_of(classic_spark, plan, *old)
    assert FoldPlan.of(plan, None, 800, 200, fewest=fewest).folds == 0
    with pytest.raises(ConfigError, match="Make features anew"):
        FoldPlan.of(plan, 5, 800, 200, fewest=fewest)
