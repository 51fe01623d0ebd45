"""Balance of a table: worked examples, SynapseML's nine rows, scipy's distances, and what is refused."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from synml_dagster.balance import DataBalance, data_balance
from synml_dagster.balance.association import association
from synml_dagster.balance.distribution import aggregate, distribution_distance
from synml_dagster.errors import ConfigError, DataError, ModelError

NINE = pd.DataFrame(
    [
        (0, "Male", "Asian"),
        (0, "Male", "White"),
        (1, "Male", "Other"),
        (1, "Male", "Black"),
        (0, "Female", "White"),
        (0, "Female", "Black"),
        (1, "Female", "Black"),
        (0, "Other", "Asian"),
        (0, "Other", "White"),
    ],
    columns=["Label", "Gender", "Ethnicity"],
)
"""The rows that SynapseML tests its balance measures on."""


@pytest.fixture(scope="module")
def nine(classic_spark):
    return data_balance(classic_spark.createDataFrame(NINE), ["Gender", "Ethnicity"], label="Label")


def pair(found: DataBalance, a: str, b: str):
    return next(p for p in found.pairs if {p.group_a, p.group_b} == {a, b})


def test_gaps_of_two_groups_are_those_of_the_worked_example(nine):
    """Male: 2 of 4 are positive; Female: 1 of 3; 3 of 9 in all."""
    found = pair(nine, "Female", "Male")  # Female less Male
    expected = {
        "demographic_parity": 1 / 3 - 2 / 4,
        "dice": 2 * 1 / (3 + 3) - 2 * 2 / (4 + 3),
        "jaccard": 1 / 5 - 2 / 5,
        "pmi": log((1 / 3) / (2 / 4)),
        "npmi_y": log((1 / 3) / (2 / 4)) / log(3),
        "pmi2": log((1 / 9) ** 2 / (3 / 9 * 3 / 9)) - log((2 / 9) ** 2 / (4 / 9 * 3 / 9)),
        "log_likelihood_ratio": log((1 / 3) / (2 / 6)) - log((2 / 3) / (2 / 6)),
        "kendall": 0.0 - (2 / 9 - 12 / 81) / sqrt(20 / 81 * 18 / 81),
    }
    for name, value in expected.items():
        assert found.gaps[name] == pytest.approx(value, abs=1e-12), name


def test_synapseml_s_values_follow_where_its_formula_is_the_literature_s(nine):
    """The figures of its own test suite; where its formula differs the note's relation holds."""
    gaps = pair(nine, "Female", "Male").gaps
    assert gaps["demographic_parity"] == pytest.approx(-0.16666666666666669, abs=1e-15)
    assert gaps["dice"] == pytest.approx(-2 * 0.1190476190476191, abs=1e-15)
    assert gaps["jaccard"] == pytest.approx(-0.20000000000000004, abs=1e-15)
    assert gaps["pmi"] == pytest.approx(-0.4054651081081645, abs=1e-15)
    assert gaps["npmi_y"] == pytest.approx(-0.3690702464285426, abs=1e-15)  # its Male less Female
    assert gaps["pmi2"] == pytest.approx(-1.0986122886681098, abs=1e-14)
    by_column = {d.column: d.measures for d in nine.distributions}
    gender, ethnicity = by_column["Gender"], by_column["Ethnicity"]
    for found, theirs in (
        (gender, (0.03775534151008829, 0.09785224086736323, 0.1111111111111111, 0.1111111111111111)),
        (ethnicity, (0.07551068302017659, 0.14172745151398888, 0.1388888888888889, 0.16666666666666666)),
    ):
        names = ("kl_divergence", "js_distance", "infinity_norm", "total_variation")
        assert [found[n] for n in names] == pytest.approx(theirs, abs=1e-14)
    assert gender["chi_square"] == pytest.approx(0.6666666666666666)
    assert gender["chi_square_p"] == pytest.approx(0.7165313105737893)
    assert ethnicity["chi_square_p"] == pytest.approx(0.7476795872877147)
    (both,) = nine.aggregates
    assert both.measures == pytest.approx(
        {"atkinson": 0.030659793186437745, "theil_t": 0.03624967113471546, "theil_l": 0.03113963808639034}
    )
    assert (both.cells, both.empty) == (8, 4)
    assert aggregate([4, 3, 2], 0.9)["atkinson"] == pytest.approx(0.03461369487253463)


def test_a_group_without_a_positive_row_says_so(nine):
    other = next(g for g in nine.groups if g.group == "Other" and g.column == "Gender")
    assert other.measures["demographic_parity"] == 0
    assert other.measures["pmi"] is None
    assert "no row of the group is of the class" in other.reasons["pmi"]
    gap = pair(nine, "Female", "Other")
    assert gap.gaps["pmi"] is None
    assert gap.reasons["pmi"].startswith("Other: no row")
    assert all(np.isfinite(v) for g in nine.groups for v in g.measures.values() if v is not None)
    assert all(np.isfinite(v) for p in nine.pairs for v in p.gaps.values() if v is not None)


def test_measures_are_scipy_s_on_random_tables():
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y = rng.random(60) < 0.4, rng.random(60) < 0.3
        if not (x & y).any() or not (x & ~y).any():
            continue
        found, why = association(60, int(x.sum()), int(y.sum()), int((x & y).sum()))
        assert not why
        assert found["kendall"] == pytest.approx(stats.kendalltau(x, y).statistic, abs=1e-12)
        assert found["jaccard"] == pytest.approx((x & y).sum() / (x | y).sum())
    # Independent columns: nothing is associated. The formula that SynapseML has for Kendall's tau gives 1.3 here.
    found, _ = association(100, 20, 30, 6)
    assert found["kendall"] == pytest.approx(0, abs=1e-12)
    assert found["pmi"] == pytest.approx(0, abs=1e-12)
    assert found["t_score"] == pytest.approx(0, abs=1e-12)


def test_distances_are_scipy_s():
    rng = np.random.default_rng(1)
    groups, rows = ["1", "2", "5", "9"], rng.integers(1, 50, 4)
    reference = dict(zip(groups, rng.dirichlet(np.ones(4)), strict=True))
    p, q = rows / rows.sum(), np.array(list(reference.values()))
    _, found, why = distribution_distance(groups, rows.tolist(), reference, numeric=True)
    assert not why
    assert found["kl_divergence"] == pytest.approx(stats.entropy(p, q))
    assert found["js_distance"] == pytest.approx(jensenshannon(p, q))
    places = [float(g) for g in groups]
    assert found["wasserstein"] == pytest.approx(stats.wasserstein_distance(places, places, p, q))
    theirs = stats.chisquare(rows, q / q.sum() * rows.sum())
    assert (found["chi_square"], found["chi_square_p"]) == pytest.approx((theirs.statistic, theirs.pvalue))
    _, words, _ = distribution_distance(["a", "b"], [1, 3], {"a": 0.5, "b": 0.5})
    assert words["wasserstein"] == words["total_variation"] == 0.25


def test_a_group_that_the_reference_has_and_the_table_has_not_counts():
    shares, found, _ = distribution_distance(["a", "b", "c"], [5, 5, 0], {"a": 0.25, "b": 0.25, "c": 0.5})
    assert shares == [0.25, 0.25, 0.5]
    assert found["total_variation"] == 0.5
    _, impossible, why = distribution_distance(["a", "b"], [5, 5], {"a": 1.0})
    assert impossible["kl_divergence"] is None
    assert impossible["chi_square_p"] == 0
    assert "no share of the reference" in why["kl_divergence"]


def test_a_number_to_predict_is_compared_by_means(spark):
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"g": rng.choice(["a", "b"], 200), "h": rng.choice([1.0, 2.0], 200)})
    frame["y"] = 1e6 + rng.normal(size=200) + (frame["g"] == "b")
    frame.loc[::25, "y"] = np.nan
    frame.loc[25, "y"] = np.inf
    found = data_balance(spark.createDataFrame(frame), ["g", "h"], label="y", task="regression")
    assert (found.rows, found.unlabelled) == (192, 8)
    known = frame[np.isfinite(frame["y"])]
    for one in found.groups:
        value = one.group if one.column == "g" else float(one.group)
        inside = known.loc[known[one.column] == value, "y"]
        assert one.mean == pytest.approx(inside.mean(), rel=1e-12)
        assert one.deviation == pytest.approx(inside.std(), rel=1e-9)
    a, b = (known.loc[known["g"] == v, "y"] for v in "ab")
    theirs = stats.ttest_ind(a, b, equal_var=False)
    first = found.pairs[0]
    assert (first.t, first.p_value) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-6)
    assert found.to_pandas("pairs")["mean"][0] == pytest.approx(a.mean() - b.mean())


def test_shares_are_tested_as_scipy_does(nine):
    a, b = (NINE.loc[NINE["Gender"] == v, "Label"] for v in ("Female", "Male"))
    theirs = stats.ttest_ind(a, b, equal_var=False)
    found = pair(nine, "Female", "Male")
    assert (found.t, found.p_value) == pytest.approx((theirs.statistic, theirs.pvalue))


def test_several_classes_are_each_measured_against_the_rest(classic_spark):
    frame = pd.DataFrame({"g": ["a"] * 6 + ["b"] * 4, "y": [0, 0, 1, 1, 2, 2, 0, 1, 1, 1]})
    df = classic_spark.createDataFrame(frame)
    found = data_balance(df, ["g"], label="y", classes=["x", "y", "z"])
    assert found.classes == ["x", "y", "z"]
    shares = {(g.group, g.label): g.measures["demographic_parity"] for g in found.groups}
    assert shares[("b", "y")] == 0.75
    assert shares[("b", "z")] == 0
    one = data_balance(df, ["g"], label="y", classes=["x", "y", "z"], positive="z")
    assert {g.label for g in one.groups} == {"z"}


def test_the_changes_that_are_named_bring_the_groups_together(classic_spark):
    rows = [("f", 1)] * 20 + [("f", 0)] * 80 + [("m", 1)] * 40 + [("m", 0)] * 60
    frame = pd.DataFrame(rows, columns=["sex", "y"])
    found = data_balance(classic_spark.createDataFrame(frame), ["sex"], label="y")
    for change in found.changes:
        of_class = not change.label.startswith("not ")
        here = [(change.group, int(of_class))]
        if change.add:
            after = rows + here * change.add
        else:
            after = list(rows)
            for _ in range(change.take):
                after.remove(here[0])
        shares = pd.DataFrame(after, columns=["sex", "y"]).groupby("sex")["y"].mean()
        assert shares.max() - shares.min() == pytest.approx(change.gap_after)
        assert change.gap_after < 0.01 < change.gap_before
    assert {(c.group, c.label, c.add, c.take) for c in found.changes} >= {
        ("f", "1", 34, None),
        ("m", "1", None, 25),
    }


def test_numbers_have_groups_by_limits_and_missing_is_a_group(spark):
    frame = pd.DataFrame({"age": [17.0, 25.0, 40.0, None, 70.0], "who": ["a", "b", "b", None, "a"]})
    found = data_balance(spark.createDataFrame(frame), ["age", "who"], bins={"age": [25, 65]})
    assert found.distributions[0].groups == ["(missing)", "25 to < 65", "< 25", ">= 65"]
    assert found.distributions[1].shares == pytest.approx([0.2, 0.4, 0.4])
    assert found.task is None


def test_results_survive_their_file_and_say_what_they_are_in_a_line(nine, tmp_path):
    nine.save(tmp_path)
    assert DataBalance.load(tmp_path) == nine
    assert (tmp_path / "data_balance.json").exists()
    assert repr(nine) == (
        "DataBalance(9 rows by Gender, Ethnicity; largest gap of demographic_parity 1: Ethnicity 'Asian' and 'Other')"
    )
    assert list(nine.to_pandas("groups")["rows"])[:3] == [3, 4, 2]
    with pytest.raises(ConfigError, match=r"no table 'pair'.*Did you mean 'pairs'"):
        nine.table("pair")
    with pytest.raises(ModelError, match="holds no DataBalance"):
        DataBalance.load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("columns", "more", "error", "said"),
    [
        (["Gendre"], {}, ConfigError, "no sensitive column 'Gendre'. Did you mean 'Gender'"),
        ([], {}, ConfigError, "at least one"),
        (["Gender", "Gender"], {}, ConfigError, "named twice"),
        (["one"], {}, DataError, "has one value only .'x'."),
        (["many"], {}, DataError, "has 60 values and at most 50"),
        (["list"], {}, ConfigError, "is of type array"),
        (["Gender"], {"label": "Lable"}, ConfigError, "no label 'Lable'. Did you mean 'Label'"),
        (["Gender"], {"label": "Gender"}, ConfigError, "is the label"),
        (["Gender"], {"label": "one"}, DataError, "all rows are of class 'x'"),
        (["Gender"], {"label": "many"}, DataError, "task='regression'"),
        (["Gender"], {"label": "Label", "positive": "2"}, ConfigError, "no class '2'"),
        (["Gender"], {"bins": {"Gender": [1]}}, ConfigError, "no numbers"),
        (["many"], {"bins": {"many": [2, 1]}}, ConfigError, "must increase"),
        (["Gender"], {"reference": {"Gender": {"Male": 0.7}}}, ConfigError, "add up to 0.7"),
        (["Gender"], {"reference": {"Gender": {"male": 1.0}}}, ConfigError, "'male'. Did you mean 'Male'"),
        (["Gender"], {"reference": {"Ethnicity": {}}}, ConfigError, "no sensitive column"),
    ],
)
def test_what_cannot_be_measured_is_refused_by_name(classic_spark, columns, more, error, said):
    frame = pd.concat([NINE] * 7, ignore_index=True).head(60)
    frame = frame.assign(one="x", many=range(60), list=[[1]] * 60)
    with pytest.raises(error, match=said):
        data_balance(classic_spark.createDataFrame(frame), columns, **more)


def test_an_empty_table_is_refused(classic_spark):
    with pytest.raises(DataError, match="no rows"):
        data_balance(classic_spark.createDataFrame(NINE).limit(0), ["Gender"])
