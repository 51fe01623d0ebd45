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
def test_weights_that_balance_are_learned_on_training_rows_and_bring_the_answers_together(people, at_home):
    from synml_dagster.assets.artifacts import FittedPipeline
    from synml_dagster.evaluation import Evaluation

    told = {}
    for name, more in (("plain", {}), ("fair", {"reweigh": True})):
        told[name] = run_whole(
            {
                "name": name,
                "source": str(people),
                "label": "hired",
                "weight": "years",
                "features": {"include": ["skill", "sex"]},
                "split": {"seed": 1},
                "balance": {"columns": ["sex"], **more},
                "evaluate": {"costs": {"false_positive": 1, "false_negative": 2}, "slices": 0},
                **QUICK,
            }
        )
        assert told[name]["success"], told[name]["failures"]
    plain, fair = (t["metadata"] for t in told.values())
    assert (
        fair["fairness"]["difference/demographic_parity"]
        < 0.7 * plain["fairness"]["difference/demographic_parity"]
    )
    fitted = [FittedPipeline.load(m["model"]["path"]) for m in (plain, fair)]
    assert fitted[0].model.text != fitted[1].model.text
    rows = {
        s: pd.concat(map(pd.read_parquet, fitted[1].features.files(__split=s).paths))
        for s in ("train", "validation", "test")
    }
    train = rows["train"].assign(sex=rows["train"]["sex"].astype(str))
    weighed = train.groupby("sex")[["__label", "__weight"]].apply(
        lambda t: np.average(t["__label"], weights=t["__weight"])
    )
    own = train["__weight"] / train["__balance"]
    share = np.average(train["__label"], weights=own)
    assert weighed.tolist() == pytest.approx([share] * 2)
    assert set(np.round(own, 9)) <= set(range(30))
    assert sorted(train["__balance"].unique()) == pytest.approx(
        sorted(rows["validation"]["__balance"].unique())
    )
    # What is measured is measured by the table's own weights.
    assert set(rows["test"]["__balance"]) == {1.0}
    evaluations = [Evaluation.load(m["evaluation"]["path"]) for m in (plain, fair)]
    assert evaluations[0].weight == pytest.approx(evaluations[1].weight)
    assert fair["model"]["reweighed by"] == "sex"
    page = (Path(fair["report"]["path"]) / "report.html").read_text()
    assert "What training rows weighed" in page
    assert "Training was reweighed" in (Path(fair["report"]["path"]) / "MODEL_CARD.md").read_text()


def test_weights_are_refused_where_they_cannot_be_made_or_taken(people, at_home, monkeypatch):
    from synml_dagster.learners import learner_of

    described = {"source": str(people), "features": {"exclude": ["only", "pay"]}, **QUICK}
    monkeypatch.setattr(type(learner_of("linear")), "takes_weights", False)
    balance = {"columns": ["sex"], "reweigh": ["sex"]}
    told = run_whole({"name": "unable", "label": "hired", "balance": balance, **described})
    assert "balance.reweigh gives rows weights, and learner linear cannot take them" in " ".join(
        told["failures"]
    )
    balance = {"columns": ["sex"], "reweigh": True}
    told = run_whole({"name": "numbers", "label": "skill", "balance": balance, **described})
    assert "same share of each class, and task regression has none" in " ".join(told["failures"])
    assert "features" not in told["metadata"]


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
        ({"columns": ["sex"], "reweigh": ["sx"]}, "balance.reweigh names 'sx'.*Did you mean 'sex'"),
        ({"columns": ["sex"], "reweigh": []}, "balance.reweigh names no column"),
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
