"""`explain` in a description: effects, attributions and chosen rows, from the assets to the report, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from synml_dagster import MLPipeline
from synml_dagster.explain import AttributedRows, Explanations
from synml_dagster.explain.effects import Effects
from tests.pipeline.whole import run_whole

QUICK = {"sweep": {"trials": 0}, "train": {"learner": "linear"}, "evaluate": {"slices": 0}}


@pytest.fixture(scope="module")
def orders(tmp_path_factory) -> Path:
    rng = np.random.default_rng(0)
    n = 600
    frame = pd.DataFrame(
        {
            "order": np.arange(1000, 1000 + n),
            "price": rng.normal(50, 15, n).round(2),
            "city": rng.choice(["Ghent", "Oslo", None], n, p=[0.5, 0.45, 0.05]),
            "items": rng.integers(1, 9, n),
            "noise": rng.normal(size=n),
        }
    )
    score = (frame["price"] - 50) / 15 + 1.5 * (frame["city"] == "Oslo") + rng.normal(scale=0.3, size=n)
    frame["returned"] = np.where(score > 0.7, "yes", "no")
    path = tmp_path_factory.mktemp("orders") / "orders.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture
def at_home(orders, monkeypatch, classic_spark) -> Path:
    monkeypatch.setenv("SYNML_DATA_DIR", str(orders.parent / "data"))
    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    return orders


@pytest.mark.slow
def test_effects_attributions_and_chosen_rows_are_assets_and_stand_in_the_report(at_home):
    explain = {
        "rows": 60,
        "effects": {
            "columns": ["price", "city"],
            "pairs": [["price", "city"]],
            "rows": 100,
            "points": 8,
            "curves": 9,
        },
        "attributions": {"method": "lime", "rows": 4, "background": 20, "samples": 200},
        "chosen": {"column": "order", "values": [1003, 9999]},
    }
    told = run_whole(
        {
            "name": "orders",
            "source": str(at_home),
            "label": "returned",
            "features": {"exclude": ["order"]},
            "explain": explain,
            **QUICK,
        }
    )
    assert told["success"], told["failures"]
    about = told["metadata"]
    effects = Effects.load(about["effects"]["path"])
    assert (effects.rows, effects.outputs, effects.metric) == (100, ["yes"], "auc")
    assert (effects.columns, effects.pairs) == (["price", "city"], [("price", "city")])
    shuffled = effects.to_pandas("permutation").set_index("column")["mean"]
    assert shuffled["price"] > 0.1 > abs(shuffled["noise"])
    # A linear model raises the odds with the price, whatever else a row has.
    curves = effects.to_pandas("curves")
    price = curves[curves["column"] == "price"].pivot(index="row", columns="number", values="answer")
    assert (np.diff(price.to_numpy(), axis=1) > 0).all()
    assert pd.read_parquet(Path(about["effects"]["path"]) / "accumulated.parquet")["column"].unique() == [
        "price"
    ]
    asked = AttributedRows.load(about["attributions"]["path"])
    assert (asked.method, asked.rows) == ("LIME", 4)
    assert set(asked.to_pandas()["column"]) == {"price", "city", "items", "noise"}
    assert next(iter(asked.importance)) in ("price", "city")
    found = Explanations.load(about["explanations"]["path"])
    assert (found.ids, found.chosen.rows) == (["1003"], 1)
    assert "is in no row: '9999'; the table has such as '1" in found.notes[0]
    page = (Path(about["report"]["path"]) / "report.html").read_text()
    for said in (
        "What each column does",
        "What the model is without a column",
        "Reasons by asking",
        "order 1003",
        "&#39;9999&#39;",
        "How stable the order is",
    ):
        assert said in page, said
    assert "could not be drawn" not in page


def test_what_the_table_does_not_have_is_refused_before_anything_is_trained(at_home):
    for name, explain, said in (
        (
            "a",
            {"effects": {"columns": ["prize"]}},
            "explain.effects.columns names 'prize', which no feature of the model is made of. Did you mean 'price'",
        ),
        (
            "b",
            {"chosen": {"column": "ordr", "values": [1]}},
            "the table has no column 'ordr'. Did you mean 'order'",
        ),
        (
            "c",
            {"attributions": {"columns": ["order"]}},
            "explain.attributions.columns names 'order', which no feature of the model is made of",
        ),
    ):
        told = run_whole(
            {
                "name": f"refused_{name}",
                "source": str(at_home),
                "label": "returned",
                "features": {"exclude": ["order"]},
                "explain": explain,
                **QUICK,
            }
        )
        assert said in " ".join(told["failures"]), told["failures"]
        assert set(told["metadata"]) == {"raw"}


@pytest.mark.parametrize(
    ("explain", "said"),
    [
        ({"effects": {"columns": []}}, "at least 1 item"),
        ({"effects": {"columns": ["a", "a"]}}, "names a column twice"),
        ({"effects": {"pairs": [["a", "a"]]}}, "pairs 'a' with itself"),
        ({"effects": {"pairs": [["a"]]}}, "names 'a' together; a pair is of two columns"),
        ({"effects": {"columns": ["y"]}}, "explain.effects names 'y', which is the label"),
        ({"attributions": {"method": "limes"}}, "kernel_shap"),
        ({"attributions": {"background": 5_000}}, "less than or equal to 1000"),
        ({"chosen": {"column": "id", "values": []}}, "at least 1 item"),
        ({"chosen": {"column": "id", "values": [1, 1]}}, "names '1' twice"),
        ({"chosen": {"column": "y", "values": [1]}}, "which is the label; it tells no row apart"),
    ],
)
def test_what_does_not_go_together_is_refused_with_the_key(explain, said):
    with pytest.raises(ValidationError, match=said):
        MLPipeline(name="p", source="a.csv", label="y", explain=explain)
