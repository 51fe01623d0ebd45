"""Error analysis: the slice that a model was made bad on is found, and no other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from synml_dagster.balance import ErrorSlices, worst_slices
from synml_dagster.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def scored() -> pd.DataFrame:
    """Wrong for young people of the south in half of the rows, and in one of ten elsewhere."""
    rng = np.random.default_rng(0)
    n = 4_000
    frame = pd.DataFrame(
        {"age": rng.integers(18, 90, n).astype(float), "region": rng.choice(["south", "north", None], n)}
    )
    frame["noise"] = rng.normal(size=n)
    bad = (frame["age"] < 30) & (frame["region"] == "south")
    frame["__label"] = rng.integers(0, 2, n)
    wrong = rng.random(n) < np.where(bad, 0.5, 0.1)
    frame["prediction"] = np.where(wrong, 1 - frame["__label"], frame["__label"])
    return frame


def test_the_worst_slice_is_the_one_that_was_made_bad(spark, scored):
    found = worst_slices(
        spark.createDataFrame(scored), ["age", "region", "noise"], task="classes", minimum=50
    )
    first = found.slices[0]
    assert first.columns == ["age", "region"]
    assert first.values[1] == "'south'"
    assert first.values[0].startswith("< ")
    limit = float(first.values[0].removeprefix("< "))
    inside = scored[(scored["age"] < limit) & (scored["region"] == "south")]
    assert first.rows == len(inside)
    assert first.error == pytest.approx((inside["__label"] != inside["prediction"]).mean())
    assert first.low < first.error < first.high
    assert not any(s.columns == ["noise"] for s in found.slices)
    assert found.error == pytest.approx((scored["__label"] != scored["prediction"]).mean())
    assert repr(found).startswith("ErrorSlices(wrong answers")
    assert found.to_pandas()["rows"][0] == first.rows


def test_errors_of_numbers_are_absolute(classic_spark, scored, tmp_path):
    numbers = scored.assign(prediction=scored["__label"] + np.where(scored["region"] == "north", 3.0, 1.0))
    found = worst_slices(classic_spark.createDataFrame(numbers), ["region"], task="regression")
    (only,) = found.slices
    assert (only.values, only.error) == (["'north'"], pytest.approx(3))
    found.save(tmp_path)
    assert ErrorSlices.load(tmp_path) == found


def test_columns_of_few_values_or_none_are_cut_too(classic_spark, scored):
    frame = scored.assign(flag=(scored["region"] == "north").astype(int), nothing=np.nan, same=1.0)
    frame["prediction"] = np.where(frame["flag"] == 1, 1 - frame["__label"], frame["__label"])
    found = worst_slices(classic_spark.createDataFrame(frame), ["flag", "nothing", "same"], task="classes")
    assert [(s.columns, s.values, s.error) for s in found.slices] == [(["flag"], [">= 1"], 1.0)]


def test_a_model_that_is_equally_good_everywhere_has_no_bad_slice(classic_spark, scored):
    even = scored.assign(prediction=scored["__label"])
    assert worst_slices(classic_spark.createDataFrame(even), ["age", "region"], task="classes").slices == []


def test_what_cannot_be_cut_is_refused(classic_spark, scored):
    df = classic_spark.createDataFrame(scored)
    with pytest.raises(ConfigError, match=r"no column 'ago'. Did you mean 'age'"):
        worst_slices(df, ["ago"], task="classes")
    with pytest.raises(ConfigError, match="different ones"):
        worst_slices(df, ["age", "age"], task="classes")
    with pytest.raises(ConfigError, match="groups from 2 to 20"):
        worst_slices(df, ["age"], task="classes", groups=1)
    with pytest.raises(ConfigError, match="not cut into slices"):
        worst_slices(df.selectExpr("array(age) AS list", "__label", "prediction"), ["list"], task="classes")
    with pytest.raises(DataError, match="4,000 rows have no label"):
        worst_slices(
            df.selectExpr("age", "__label", "CAST(NULL AS INT) AS prediction"), ["age"], task="classes"
        )
    with pytest.raises(DataError, match="empty"):
        worst_slices(df.limit(0), ["age"], task="classes")
