"""`balance` in a description: tables and checks of the data and of the answers, gates, a section of the report, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from synml_dagster import MLPipeline
from synml_dagster.balance import DataBalance, Fairness
from tests.pipeline.whole import run_whole

QUICK = {"sweep": {"trials": 0}, "train": {"learner": "linear"}, "explain": {"rows": 20}}


@pytest.fixture(scope="module")
def people(tmp_path_factory) -> Path:
    rng = np.random.default_rng(0)
    n = 1_200
    frame = pd.DataFrame({"skill": rng.normal(size=n), "years": rng.integers(0, 30, n)})
    frame["sex"] = rng.choice(["f", "m"], n)
    frame["region"] = rng.choice(["north", "south", None], n, p=[0.5, 0.47, 0.03])
    frame["only"] = "x"
    score = (
        frame["skill"] + 0.05 * frame["years"] + 1.2 * (frame["sex"] == "m") + rng.normal(scale=0.5, size=n)
    )
    frame["hired"] = np.where(score > 1.2, "yes", "no")
    frame["pay"] = 30_000 + 5_000 * score
    path = tmp_path_factory.mktemp("people") / "people.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture
def at_home(people, monkeypatch, classic_spark) -> Path:
    """One data directory for all runs: MLflow takes seconds to make a database."""
    monkeypatch.setenv("SYNML_DATA_DIR", str(people.parent / "data"))
    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    return people.parent / "data"


def test_a_whole_pipeline_compares_groups_before_and_after_training(people, at_home):
    checks = {
        "label_gap": 0.05,
        "smallest_group": {"limit": 0.2, "severity": "warn"},
        "demographic_parity_ratio": 0.99,
        "accuracy_difference": {"limit": 0.9, "blocking": True},
    }
    told = run_whole(
        {
            "name": "hire",
            "source": str(people),
            "label": "hired",
            # Neither is a feature: the answers differ all the same, or the labels would not.
            "features": {"exclude": ["sex", "region", "pay", "only"]},
            "balance": {"columns": ["sex", "region", "years"], "bins": {"years": [10, 20]}, "checks": checks},
            **QUICK,
        }
    )
    assert told["success"], told["failures"]
    assert told["checks"]["label_gap"] is False
    assert told["checks"]["smallest_group"] is False
    assert told["checks"]["accuracy_difference"] is True
    assert told["checks"]["demographic_parity_ratio"] is False
    table = pd.read_csv(people)
    balance = DataBalance.load(told["metadata"]["data_balance"]["path"])
    assert balance.rows == len(table)
    shares = {g.group: g.measures["demographic_parity"] for g in balance.groups if g.column == "sex"}
    assert shares == pytest.approx((table["hired"] == "yes").groupby(table["sex"]).mean().to_dict())
    assert told["metadata"]["data_balance"]["largest gap"] == pytest.approx(
        shares["m"] - shares["f"], abs=1e-5
    )
    fairness = Fairness.load(told["metadata"]["fairness"]["path"])
    assert fairness.rows == told["metadata"]["evaluation"]["test rows"]
    # The rows of all groups of a column together are right as often as the evaluation says.
    right = sum(g.rows * g.rates["accuracy"].value for g in fairness.groups if g.columns == ["sex"])
    assert right / fairness.rows == pytest.approx(told["metadata"]["evaluation"]["test/accuracy"], abs=1e-5)
    assert fairness.notes[-1].startswith("years is an input of the model")
    assert ["(missing)"] in [g.group for g in fairness.groups if g.columns == ["region"]]
    page = (Path(told["metadata"]["report"]["path"]) / "report.html").read_text()
    assert 'id="groups"' in page
    assert "Rows that would balance the label" in page


def test_a_blocking_check_of_the_table_ends_the_run_before_training(people, at_home):
    told = run_whole(
        {
            "name": "gated",
            "source": str(people),
            "label": "hired",
            "balance": {"columns": ["sex"], "checks": {"label_gap": {"limit": 0.05, "blocking": True}}},
            **QUICK,
        }
    )
    assert not told["success"]
    assert told["checks"]["label_gap"] is False
    assert set(told["metadata"]) == {"raw", "feature_plan", "data_balance"}


@pytest.mark.slow
def test_numbers_are_compared_by_means_and_errors_and_a_blocking_check_keeps_the_champion(people, at_home):
    told = run_whole(
        {
            "name": "pay",
            "source": str(people),
            "label": "pay",
            "features": {"exclude": ["hired", "sex", "only"]},
            "balance": {
                "columns": ["sex"],
                "checks": {"bias_difference": {"limit": 100, "blocking": True}, "label_gap": 10_000},
            },
            **QUICK,
        }
    )
    assert told["checks"]["label_gap"] is True
    assert told["checks"]["bias_difference"] is False
    assert "fairness" in told["metadata"]
    assert "champion" not in told["metadata"]


def test_a_sensitive_column_that_is_not_there_ends_the_run_before_training(people, at_home):
    told = run_whole(
        {"name": "bad", "source": str(people), "label": "hired", "balance": {"columns": ["sexx"]}, **QUICK}
    )
    assert not told["success"]
    assert "features" not in told["metadata"]
    assert "no sensitive column 'sexx'. Did you mean 'sex'" in " ".join(told["failures"])


@pytest.mark.slow
def test_weights_that_balance_bring_the_answers_together(people, at_home, classic_spark):
    from synml_dagster.balance import reweighed

    rows = classic_spark.createDataFrame(pd.read_csv(people).drop(columns=["pay", "only", "region"]))
    place = str(people.parent / "reweighed.parquet")
    reweighed(rows, ["sex"], "hired").write.mode("overwrite").parquet(place)
    gaps = []
    for name, more in (
        ("plain", {"features": {"exclude": ["balance_weight"]}}),
        ("fair", {"weight": "balance_weight"}),
    ):
        told = run_whole(
            {
                "name": name,
                "source": place,
                "label": "hired",
                "balance": {"columns": ["sex"]},
                **more,
                **QUICK,
            }
        )
        assert told["success"], told["failures"]
        gaps.append(told["metadata"]["fairness"]["difference/demographic_parity"])
    assert gaps[1] < 0.7 * gaps[0]


@pytest.mark.parametrize(
    ("balance", "said"),
    [
        ({"columns": []}, "at least 1 item"),
        ({"columns": ["sex"], "cheks": {}}, "Extra inputs"),
        ({"columns": ["y"]}, "balance.columns names 'y', which is the label"),
        ({"columns": ["sex"], "checks": {"label_gp": 1}}, "Did you mean 'label_gap'"),
        ({"columns": ["sex"], "bins": {"age": [1]}}, "none of balance.columns"),
        ({"columns": ["sex"], "intersections": [["sex", "race"]]}, "no sensitive column"),
        (
            {"columns": ["sex"], "checks": {"label_gap": {"limit": 1, "blocking": True, "severity": "warn"}}},
            "a blocking check is an error",
        ),
        ({"columns": ["sex"], "checks": {"mae_ratio": 0.8}}, "says nothing of task binary"),
    ],
)
def test_what_does_not_go_together_is_refused_with_the_key(balance, said):
    with pytest.raises(ValidationError, match=said):
        MLPipeline(name="p", source="a.csv", label="y", task="binary", balance=balance)


def test_a_ranking_has_no_groups_to_compare():
    with pytest.raises(ValidationError, match="the task is ranking"):
        MLPipeline(
            name="p", source="a.csv", label="y", task="ranking", group="q", balance={"columns": ["sex"]}
        )


def test_the_graph_has_the_two_assets_where_they_gate():
    described = {"name": "p", "source": "a.csv", "label": "y"}
    assets = MLPipeline(**described, balance={"columns": ["sex"]}).assets()
    edges = {(up.path[-1], key.path[-1]) for a in assets for key, ups in a.asset_deps.items() for up in ups}
    assert {("data_balance", "features"), ("fairness", "champion"), ("model", "fairness")} <= edges
    plain = {key.path[-1] for a in MLPipeline(**described).assets() for key in a.keys}
    assert not plain & {"data_balance", "fairness"}
