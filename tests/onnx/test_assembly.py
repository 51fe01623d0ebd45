"""Features that tasks assemble from files are those that Spark assembles, row for row."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synml_dagster.errors import DataError
from synml_dagster.features import SPLIT, FeatureSpec, SplitSpec, assemble, assemble_files, fit_plan
from synml_dagster.files import ParquetFiles
from synml_dagster.tables import publish_files, publish_table
from synml_dagster.tables.task_writes import MadeRows

ROWS = 900


def _table(seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=ROWS)
    when = [dt.datetime(2024, 1, 1) + dt.timedelta(hours=int(h)) for h in rng.integers(0, 9000, ROWS)]
    return pa.table(
        {
            "x": pa.array(x, mask=rng.random(ROWS) < 0.1),
            "features": pa.array(rng.integers(0, 99, ROWS), mask=rng.random(ROWS) < 0.1),
            "a.b `c`": pa.array(rng.normal(size=ROWS).astype(np.float32)),
            "yes": pa.array(rng.random(ROWS) < 0.5, mask=rng.random(ROWS) < 0.1),
            "word": pa.array(
                rng.choice(["é", "b", "c", "d"], ROWS).astype(object), mask=rng.random(ROWS) < 0.1
            ),
            "time": pa.array([w.replace(tzinfo=dt.UTC) for w in when], pa.timestamp("us", tz="UTC")),
            "day": pa.array([w.date() for w in when], pa.date32()),
            "owner": rng.integers(0, 100, ROWS),
            "cost": rng.random(ROWS),
            "grade": pa.array(np.where(x > 0, "high", "low").astype(object), mask=rng.random(ROWS) < 0.05),
            "rank": rng.integers(1, 4, ROWS),
            "price": np.round(x, 2),
        }
    )


def _files(folder, table: pa.Table) -> ParquetFiles:
    folder.mkdir()
    paths = [str(folder / f"part-{i}.parquet") for i in range(2)]
    pq.write_table(table.slice(0, 300), paths[0], row_group_size=100)
    pq.write_table(table.slice(300), paths[1])
    return ParquetFiles(tuple(paths))


def _sorted(table, spark) -> pa.Table:
    rows = table.dataframe(spark).toArrow()
    return rows.sort_by([(name, "ascending") for name in rows.schema.names])


CASES = [
    ("grade", SplitSpec(), {}),
    ("grade", SplitSpec(by="stratified"), {"weight": "cost"}),
    ("grade", SplitSpec(by="time", column="time"), {}),
    ("rank", SplitSpec(by="group", column="owner"), {"group": "owner", "task": "ranking"}),
    (
        "price",
        SplitSpec(),
        {"features": {"word": {"encoding": "onehot"}, "x": {"impute": "median", "scale": "standard"}}},
    ),
]


@pytest.mark.parametrize(("label", "split", "more"), CASES)
def test_the_features_of_files_are_those_of_rows(spark, tmp_path, label, split, more):
    files = _files(tmp_path / "raw", _table())
    features = FeatureSpec.model_validate({"overrides": more.get("features", {})})
    roles = {k: v for k, v in more.items() if k != "features"}
    plan = fit_plan(files, name="p", label=label, features=features, split=split, spark=spark, **roles)
    made = assemble_files(spark, files, plan)
    assert isinstance(made, MadeRows)
    ours = publish_files(spark, made, tmp_path / "ours", partition_by=[SPLIT])
    theirs = publish_table(assemble(files.dataframe(spark), plan), tmp_path / "theirs", partition_by=[SPLIT])
    assert (ours.rows, ours.columns) == (theirs.rows, theirs.columns)
    mine, sparks = _sorted(ours, spark), _sorted(theirs, spark)
    assert mine.schema.types == sparks.schema.types
    for name in mine.schema.names:
        a, b = mine.column(name).to_pandas(), sparks.column(name).to_pandas()
        if a.dtype.kind == "f":
            np.testing.assert_allclose(a, b, rtol=1e-6, err_msg=name)
        else:
            assert a.tolist() == b.tolist(), name
    assert {p for p in ("train", "validation", "test") if ours.files(**{SPLIT: p}).paths}


def test_what_only_spark_can_make_is_left_to_it(classic_spark, tmp_path):
    table = _table()
    files = _files(tmp_path / "raw", table)

    def possible(files, **overrides):
        features = FeatureSpec.model_validate({"overrides": overrides})
        plan = fit_plan(files, name="p", label="grade", features=features, spark=classic_spark)
        return assemble_files(classic_spark, files, plan)

    assert possible(files) is not None
    assert possible(files, word={"encoding": "target"}) is None
    nested = table.append_column("s", pa.array([{"a": i} for i in range(ROWS)]))
    assert possible(_files(tmp_path / "nested", nested)) is None
    plan = fit_plan(files, name="p", label="grade", spark=classic_spark)
    wider = table.set_column(7, "owner", table.column("owner").cast(pa.int32()))
    assert assemble_files(classic_spark, _files(tmp_path / "other", wider), plan) is None
    with pytest.raises(DataError, match="lacks 1 column"):
        assemble_files(classic_spark, _files(tmp_path / "short", table.drop_columns(["word"])), plan)


def test_rows_that_cannot_be_trained_on_are_refused(classic_spark, tmp_path):
    table = _table()
    plan = fit_plan(
        _files(tmp_path / "raw", table), name="p", label="grade", weight="cost", spark=classic_spark
    )

    def publish(name, changed):
        files = _files(tmp_path / name, changed)
        publish_files(classic_spark, assemble_files(classic_spark, files, plan), tmp_path / f"{name}-made")

    place = table.schema.get_field_index("grade")
    with pytest.raises(DataError, match=r"class that the feature plan has not seen: odd"):
        publish("odd", table.set_column(place, "grade", pa.array(["odd"] * ROWS)))
    place = table.schema.get_field_index("cost")
    with pytest.raises(DataError, match="weight 'cost' is missing or negative"):
        publish("negative", table.set_column(place, "cost", pa.array(np.full(ROWS, -1.0))))
    assert not (tmp_path / "odd-made" / "versions").exists() or not list(
        (tmp_path / "odd-made" / "versions").iterdir()
    )
