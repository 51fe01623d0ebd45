"""Why beside what: contributions and reasons of every scored row, against LightGBM's own and against the row's raw values."""

# ruff: noqa: F811 (fixtures of another folder)

from __future__ import annotations

from datetime import UTC, date, datetime

import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.errors import PySparkException

from synml_dagster.columns import RawInput
from synml_dagster.errors import ConfigError, ModelError
from synml_dagster.explain import contributions_of, explain_predictions
from synml_dagster.explain.value_texts import value_texts
from synml_dagster.features import assemble
from synml_dagster.files import ParquetFiles
from synml_dagster.onnx import score
from tests.onnx.conftest import exported, pipelines, table  # noqa: F401

ROWS = 400


@pytest.fixture(scope="module")
def files(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    for i in range(2):
        pq.write_table(table.slice(i * ROWS // 2, ROWS // 2), folder / f"{i}.parquet")
    return ParquetFiles(tuple(str(folder / f"{i}.parquet") for i in range(2)))


def theirs(spark, table, plan, model):
    """LightGBM's contributions by raw column, float64 [rows, columns, outputs], base values and raw scores, in the order of `id`."""
    frame = assemble(spark.createDataFrame(table.slice(0, ROWS)), plan, training=False, keep=["id"])
    rows = frame.toPandas().sort_values("id")
    X = rows[plan.feature_names].to_numpy(np.float32)
    booster = lgb.Booster(model_str=model.text)
    k = model.form.num_outputs
    found = booster.predict(X, pred_contrib=True).reshape(ROWS, k, -1).transpose(0, 2, 1)
    starts = np.cumsum([0, *(len(c.features) for c in plan.columns)][:-1])
    raw = booster.predict(X, raw_score=True).reshape(ROWS, k)
    return np.add.reduceat(found[:, :-1], starts, axis=1), found[0, -1], raw, found[:, :-1]


@pytest.mark.parametrize("label", ["accepted", "grade", "amount"])
@pytest.mark.parametrize("by", ["files", "rows"])
def test_raw_columns_contribute_what_lightgbm_says(spark, table, files, pipelines, exported, label, by):
    plan, model = pipelines[label]
    data = files if by == "files" else files.dataframe(spark)
    found = explain_predictions(data, exported[label], model, plan, keep=["id"], spark=spark)
    told = found.toPandas().sort_values("id").reset_index(drop=True)
    columns, base, raw, _ = theirs(spark, table, plan, model)
    chosen = raw.argmax(1) if model.form.num_outputs > 1 else np.zeros(ROWS, int)
    rows = np.arange(ROWS)
    values = told[[f"contribution_{c.name}" for c in plan.columns]].to_numpy()
    scale = max(1.0, np.abs(raw).max())
    np.testing.assert_allclose(values, columns[rows, :, chosen], atol=1e-9 * scale)
    np.testing.assert_allclose(told["base_value"], base[chosen] + model.label_offset, atol=1e-9 * scale)
    np.testing.assert_allclose(told["base_value"] + values.sum(1), told["raw_score"], atol=1e-9 * scale)
    np.testing.assert_allclose(told["raw_score"], raw[rows, chosen] + model.label_offset, atol=1e-9 * scale)

    plain = score(data, exported[label], keep=["id"], spark=spark).toPandas().sort_values("id")
    answers = [name for name in plain.columns if name != "id"]
    for name in answers:
        assert told[name].map(str).tolist() == plain[name].map(str).tolist()
    names = [c.name for c in plan.columns]
    order = np.argsort(-np.abs(values), axis=1, kind="stable")
    for i in (1, 2, 3):
        assert told[f"reason_{i}"].tolist() == [names[j] for j in order[:, i - 1]]
        np.testing.assert_array_equal(told[f"reason_{i}_contribution"], values[rows, order[:, i - 1]])
    assert list(found.columns) == [
        "id",
        *answers,
        "base_value",
        "raw_score",
        *(f"reason_{i}{part}" for i in (1, 2, 3) for part in ("", "_value", "_contribution")),
        *(f"contribution_{name}" for name in names),
    ]
    shown = told[told["reason_1"].isin(["age", "city"])]
    assert len(shown)
    raw_rows = table.slice(0, ROWS).to_pandas()
    for row in shown.itertuples():
        value = raw_rows.loc[row.id, row.reason_1]
        missing = value is None or value == "" or value != value
        wanted = "(missing)" if missing else str(int(value)) if row.reason_1 == "age" else value
        assert row.reason_1_value == wanted


def test_columns_of_several_features_are_told_apart_on_request(
    classic_spark, table, files, pipelines, exported
):
    plan, model = pipelines["amount"]
    several = [c for c in plan.columns if len(c.features) > 1]
    assert several
    told = (
        explain_predictions(
            files, exported["amount"], model, plan, keep=["id"], top=0, detailed=True, spark=classic_spark
        )
        .toPandas()
        .sort_values("id")
    )
    *_, features = theirs(classic_spark, table, plan, model)
    scale = np.abs(told["raw_score"]).max()
    for column in several:
        names = [f"contribution_{feature}" for feature in column.features]
        places = [plan.feature_names.index(feature) for feature in column.features]
        np.testing.assert_allclose(told[names], features[:, places, 0], atol=1e-9 * scale)
        np.testing.assert_allclose(
            told[names].sum(axis=1), told[f"contribution_{column.name}"], atol=1e-9 * scale
        )
    assert not [name for name in told.columns if name.startswith("reason")]


def test_rows_that_cannot_be_scored_have_a_reason_for_that_and_no_other(
    classic_spark, table, pipelines, exported
):
    plan, model = pipelines["accepted"]
    rows = table.slice(0, 40).to_pandas().astype({"age": object})
    rows.loc[3, "age"] = "old"
    text = rows["age"].map(lambda v: None if v is None or v != v else v if v == "old" else str(int(v)))
    frame = classic_spark.createDataFrame(pa.Table.from_pandas(rows.assign(age=text), preserve_index=False))
    told = (
        explain_predictions(frame, exported["accepted"], model, plan, keep=["id"], bad_rows="mark")
        .toPandas()
        .set_index("id")
    )
    assert told["bad_row"].notna().sum() == 1
    assert told.loc[3].drop("bad_row").isna().all()
    good = told.drop(index=3).drop(columns="bad_row")
    whole = explain_predictions(
        classic_spark.createDataFrame(table.slice(0, 40)), exported["accepted"], model, plan, keep=["id"]
    )
    expected = whole.toPandas().set_index("id").drop(index=3)
    np.testing.assert_array_equal(good["raw_score"], expected["raw_score"])
    assert good["reason_1"].tolist() == expected["reason_1"].tolist()


def test_a_column_that_changes_nothing_is_no_reason(classic_spark, table, files, pipelines, exported):
    plan, model = pipelines["accepted"]
    top = len(plan.columns) + 2
    told = explain_predictions(
        files, exported["accepted"], model, plan, keep=[], top=top, spark=classic_spark
    ).toPandas()
    assert told[f"reason_{top}"].isna().all()
    assert told[f"reason_{top}_value"].isna().all()
    filled = told[[f"reason_{i}_contribution" for i in range(1, top + 1)]].fillna(0).sum(axis=1)
    np.testing.assert_allclose(filled + told["base_value"], told["raw_score"], atol=1e-9)
    assert (told[[f"reason_{i}_contribution" for i in range(1, top + 1)]] != 0).all(axis=None)


def test_a_graph_of_another_model_is_noticed_before_its_reasons_are_believed(
    classic_spark,
    files,
    pipelines,
    exported,
):
    plan, model = pipelines["accepted"]
    other = lgb.Booster(model_str=model.text)
    shorter = type(model)(text=other.model_to_string(num_iteration=5), features=model.features)
    with pytest.raises(PySparkException, match="the bundle's graph and its model are not the same"):
        explain_predictions(files, exported["accepted"], shorter, plan, spark=classic_spark).collect()
    with pytest.raises(ModelError, match="not made of this plan"):
        contributions_of(exported["amount"], model, plan)


def test_a_kept_column_of_a_new_ones_name_is_refused(classic_spark, table, pipelines, exported):
    plan, model = pipelines["accepted"]
    frame = classic_spark.createDataFrame(table.slice(0, 5)).withColumnRenamed("amount", "reason_1")
    with pytest.raises(ConfigError, match="'reason_1'"):
        explain_predictions(frame, exported["accepted"], model, plan)


@pytest.mark.parametrize(
    ("values", "storage", "texts"),
    [
        (pa.array([39, None]), "integer", ["39", "(missing)"]),
        (pa.array([0.1, float("nan")], pa.float32()), "number", ["0.1", "(missing)"]),
        (pa.array(["Ghent", ""]).dictionary_encode(), "string", ["Ghent", "(missing)"]),
        (pa.array([True, None]), "boolean", ["true", "(missing)"]),
        (pa.array([date(2024, 5, 1), None]), "date", ["2024-05-01", "(missing)"]),
        (pa.array([19844.0, float("nan")]), "date", ["2024-05-01", "(missing)"]),
        (pa.array([datetime(2024, 5, 1, 12, 30, 5, 7)]), "timestamp", ["2024-05-01 12:30:05"]),
        (pa.array([datetime(2024, 5, 1, tzinfo=UTC)]), "timestamp", ["2024-05-01 00:00:00Z"]),
        (pa.array([1_714_566_605_000_000.0]), "timestamp", ["2024-05-01 12:30:05"]),
        (pa.array([[1.0, 2.0], None]), "array", ["2 values", "(missing)"]),
    ],
    ids=lambda v: str(v) if isinstance(v, str) else None,
)
def test_values_read_as_in_the_table(values, storage, texts):
    raw = RawInput(name="x", path=("x",), spark_type="double", storage=storage, onnx_type="double")
    assert value_texts(values, raw).to_pylist() == texts


def test_a_champion_without_a_closed_form_is_explained_up_to_so_many_rows_as_asked(
    classic_spark, table, pipelines, tmp_path
):
    from synml_dagster.assets.scoring.contributions import opened_contributions
    from synml_dagster.assets.stage import ContributionsSpec
    from synml_dagster.export import export_pipeline
    from synml_dagster.features import LABEL
    from synml_dagster.learners import TrainSpec, learner_of
    from synml_dagster.learners.one_process.rows import Rows
    from synml_dagster.onnx import OnnxModel

    plan, _ = pipelines["accepted"]
    frame = assemble(classic_spark.createDataFrame(table.slice(0, ROWS)), plan).toPandas()
    X, y = frame[plan.feature_names].to_numpy(np.float32), frame[LABEL].to_numpy(np.float64)
    rows = Rows(np.asfortranarray(X), y, np.ones(len(y)), len(y))
    family = learner_of("mlp")
    spec = TrainSpec(learner="mlp", rounds=3, params={"width": 8})
    trained = family.fit_rows(plan, spec, dict(family.start()), rows, rows)
    graph = OnnxModel(export_pipeline(plan, trained))
    for part in (plan, trained, graph):
        part.save(tmp_path)
    few = classic_spark.createDataFrame(table.slice(0, 2))
    with pytest.raises(ModelError, match=r"family mlp.*there are 2.*kernel_rows allows 1"):
        opened_contributions(str(tmp_path), graph, ContributionsSpec(kernel_rows=1), [few])
    asked = opened_contributions(str(tmp_path), graph, ContributionsSpec(kernel_rows=2), [few])
    assert not asked.exact
    told = score(few, graph, keep=[], outputs=asked.outputs, further=asked).toPandas()
    values = told[[f"contribution_{c.name}" for c in plan.columns]].sum(axis=1) + told["base_value"]
    np.testing.assert_allclose(values, told["raw_score"], atol=1e-6)
    np.testing.assert_allclose(1 / (1 + np.exp(-told["raw_score"])), told["probability"], atol=1e-6)
