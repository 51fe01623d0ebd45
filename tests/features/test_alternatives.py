"""Ways to make features that a sweep chooses from: each is what a description that asks for it makes, bit for bit."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from synml_dagster.errors import ConfigError
from synml_dagster.features import (
    AS_DESCRIBED,
    ColumnSpec,
    FeatureChoices,
    FeaturePlan,
    FeatureSpec,
    assemble,
    assemble_files,
    fit_plan,
)
from synml_dagster.files import ParquetFiles
from synml_dagster.tables import publish_files

CHOICES = FeatureChoices(
    impute=["median"], scale=["quantile"], encoding=["target", "frequency"], text_width=[5]
)


def table(rows=400, classes=("no", "yes")):
    rng = np.random.default_rng(3)
    income = rng.lognormal(8, 2, rows).round(2)
    words = ["good", "bad", "late", "early", "cheap", "dear", "blue", "red", "small", "large"]
    return pa.table(
        {
            "income": pa.array([None if i % 7 == 0 else v for i, v in enumerate(income)]),
            "age": rng.integers(18, 90, rows).astype(float),
            "member": rng.random(rows) < 0.5,
            "city": rng.choice(["a", "b", "c", "d"], rows),
            "said": [" ".join(rng.choice(words, 6)) for _ in range(rows)],
            "y": rng.choice(classes, rows),
        }
    )


@pytest.fixture(scope="module")
def raw(classic_spark):
    return classic_spark.createDataFrame(table())


@pytest.fixture(scope="module")
def plan(raw):
    return fit_plan(raw, name="p", label="y", features=FeatureSpec(text=["said"]), choices=CHOICES)


def test_a_plan_says_what_there_is_to_choose(plan):
    assert plan.choices == {
        "impute": [AS_DESCRIBED, "median"],
        "scale": [AS_DESCRIBED, "quantile"],
        "encoding": [AS_DESCRIBED, "target", "frequency"],
        "text_width": [AS_DESCRIBED, 5],
    }
    impute = next(a for a in plan.alternatives if a.when == {"impute": "median"})
    assert [c.name for c in impute.columns] == ["income", "age"]
    assert FeaturePlan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize(
    "choice",
    [
        {},
        {"scale": "quantile"},
        {"impute": "median", "scale": "quantile", "encoding": "target", "text_width": 5},
        {"encoding": "frequency", "scale": AS_DESCRIBED},
    ],
)
def test_a_choice_makes_the_features_that_its_description_makes(raw, plan, choice):
    told = {k: v for k, v in choice.items() if v != AS_DESCRIBED}
    alone = fit_plan(raw, name="p", label="y", features=FeatureSpec(text=["said"], **told))
    chosen = plan.chosen(choice)
    assert len(chosen.feature_names) == len(alone.feature_names)
    every = assemble(raw, plan.with_all_parts())
    one, other = (
        frame.select(*(f"`{n}`" for n in names)).toPandas().to_numpy()
        for frame, names in ((every, chosen.feature_names), (assemble(raw, alone), alone.feature_names))
    )
    np.testing.assert_array_equal(one, other)
    assert chosen.categorical_features == [n for n in alone.categorical_features if not told.get("encoding")]
    if not told:
        assert chosen.identity == alone.identity


def test_tasks_that_read_files_make_the_parts_of_all_choices_too(classic_spark, tmp_path):
    pq.write_table(table(), tmp_path / "t.parquet")
    files = ParquetFiles((str(tmp_path / "t.parquet"),))
    choices = FeatureChoices(scale=["quantile", "robust"], encoding=["frequency"])
    parts = fit_plan(files, name="p", label="y", choices=choices, spark=classic_spark).with_all_parts()
    made = assemble_files(classic_spark, files, parts)
    assert made is not None
    by_files = publish_files(classic_spark, made, str(tmp_path / "made")).dataframe(classic_spark)
    by_spark = assemble(files.dataframe(classic_spark), parts)
    one, other = (
        f.select(*(f"`{n}`" for n in parts.feature_names))
        .toPandas()
        .sort_values(parts.feature_names)
        .to_numpy()
        for f in (by_files, by_spark)
    )
    np.testing.assert_allclose(one, other, rtol=1e-6)


def test_what_a_column_says_itself_is_not_searched(raw):
    said = FeatureSpec(overrides={"city": ColumnSpec(encoding="onehot"), "age": ColumnSpec(scale="standard")})
    choices = FeatureChoices(scale=["quantile"], encoding=["target"])
    plan = fit_plan(raw, name="p", label="y", features=said, choices=choices)
    assert [(a.when, [c.name for c in a.columns]) for a in plan.alternatives] == [
        ({"scale": "quantile"}, ["income"])
    ]
    assert plan.choices == {"scale": [AS_DESCRIBED, "quantile"]}


def test_means_of_the_label_are_not_tried_for_several_classes(classic_spark):
    raw = classic_spark.createDataFrame(table(classes=("a", "b", "c")))
    plan = fit_plan(raw, name="p", label="y", choices=FeatureChoices(encoding=["target", "frequency"]))
    assert plan.choices == {"encoding": [AS_DESCRIBED, "frequency"]}
    assert any("'target' is not tried" in note for note in plan.notes)
    with pytest.raises(ConfigError, match="'target' as the encoding of 'city' needs two classes"):
        fit_plan(raw, name="p", label="y", features=FeatureSpec(encoding="target"))


def test_an_option_that_there_is_none_of_is_refused(plan):
    with pytest.raises(ConfigError, match="no option 'robust' of 'scale'; there is as described, quantile"):
        plan.chosen({"scale": "robust"})


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"scale": ["quantil"]}, "quantile"),
        ({"scale": ["robust", "robust"]}, "named twice"),
        ({"text_width": [0]}, "greater than or equal to 1"),
        ({"impute": ["mean", "median"], "scale": ["standard", "minmax", "robust", "quantile"], "text_width": [8, 16, 32]}, "17 ways"),
        ({"scales": ["robust"]}, "Extra inputs"),
    ],
)  # fmt: skip
def test_choices_that_make_no_sense_are_refused(wrong, says):
    with pytest.raises(ValidationError, match=says):
        FeatureChoices(**wrong)
