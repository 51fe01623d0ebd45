"""Pictures: whole PNG files for the UI, and SVG that can stand inside a page."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from synml_dagster.errors import DataError
from synml_dagster.evaluation import Evaluation
from synml_dagster.evaluation.binary import _baseline, _confusion
from synml_dagster.evaluation.bins import ScoreBins
from synml_dagster.evaluation.curves import (
    auc,
    average_precision,
    best_f1_threshold,
    calibration,
    gains_curve,
    pr_curve,
    roc_curve,
    score_histogram,
    threshold_row,
)
from synml_dagster.evaluation.result import Confusion, Histogram, Histogram2D
from synml_dagster.plots import evaluation as figures
from synml_dagster.plots import training as training_figures
from synml_dagster.plots.style import short_number, shortened

PNG = b"\x89PNG\r\n\x1a\n"


def binary(classes=("no", "yes")) -> Evaluation:
    rng = np.random.default_rng(0)
    p = np.sort(rng.beta(1, 3, 500))[::-1]
    y = (rng.random(500) < p).astype(float)
    bins = ScoreBins(p, p, y, 1 - y, y, 1 - y)
    return Evaluation(
        task="binary",
        rows=500,
        weight=500,
        classes=list(classes),
        metrics={"auc": auc(bins), "average_precision": average_precision(bins)},
        baseline=_baseline(bins),
        roc=roc_curve(bins),
        pr=pr_curve(bins),
        calibration=calibration(bins),
        scores=score_histogram(bins),
        gains=gains_curve(bins),
        best_f1=threshold_row(bins, best_f1_threshold(bins)),
        confusion=_confusion(threshold_row(bins, 0.5), list(classes)),
    )


def regression() -> Evaluation:
    edges = [0.0, 1.0, 2.0]
    return Evaluation(
        task="regression",
        rows=3,
        weight=3,
        metrics={"rmse": 1.0},
        actual_vs_predicted=Histogram2D(x_edges=edges, y_edges=edges, weight=[[1, 0], [1, 1]]),
        residuals=Histogram(edges=edges, weight=[1, 2]),
    )


def multiclass(k: int) -> Evaluation:
    names = [f"class {i}" for i in range(k)]
    table = Confusion(classes=names, weight=(np.eye(k) * 5 + 1).tolist())
    return Evaluation(task="multiclass", rows=9, weight=9, classes=names, metrics={}, confusion=table)


def ranking() -> Evaluation:
    bins = Histogram(edges=[0.0, 0.5, 1.0], weight=[3, 7])
    return Evaluation(task="ranking", rows=9, weight=9, metrics={}, groups=10, per_group=bins)


@pytest.mark.parametrize(
    ("found", "names"),
    [
        (binary(), ["ROC", "precision and recall", "calibration", "confusion", "scores", "gains"]),
        (regression(), ["actual against predicted", "residuals"]),
        (multiclass(3), ["confusion"]),
        (multiclass(12), ["confusion"]),
        (multiclass(40), []),
        (ranking(), ["queries"]),
    ],
    ids=["binary", "regression", "3 classes", "12 classes", "40 classes", "ranking"],
)
def test_each_task_has_its_pictures(found, names):
    pictures = figures.curves(found)
    assert list(pictures) == names
    assert all(png.startswith(PNG) for png in pictures.values())


def test_a_picture_whose_data_is_not_there_is_refused():
    with pytest.raises(DataError, match="holds no ROC curve"):
        figures.roc(regression())


def test_svg_stands_inside_a_page():
    one, two = (svg.decode() for svg in (figures.roc(binary(), "svg"), figures.pr(binary(), "svg")))
    ids = [re.findall(r'\bid="([^"]+)"', svg) for svg in (one, two)]
    assert not set(ids[0]) & set(ids[1])
    for svg in (one, two):
        assert svg.startswith("<svg")
        assert "var(--ink" in svg
        assert "http" not in svg
        assert "DejaVu" not in svg
        assert not re.search(r"<svg[^>]*\s(width|height)=", svg)
        for target in re.findall(r'(?:url\(|href=")#([^")]+)', svg):
            assert f'id="{target}"' in svg


def test_names_from_data_are_text_and_not_markup():
    svg = figures.confusion(binary(("<script>alert(1)</script>", "$x_1$ & y")), "svg").decode()
    assert "<script" not in svg
    assert "$x_1$ &amp; y" in svg
    ElementTree.fromstring(svg.replace("xlink:href", "href"))


@pytest.mark.parametrize("best", [None, 1, 20, 99])
def test_training_history_with_and_without_a_best_round(best):
    history = {
        "train": {"auc": list(np.linspace(0.8, 0.9, 20))},
        "validation": {"auc": list(np.linspace(0.8, 0.85, 20))},
    }
    assert training_figures.training_history(history, best).startswith(PNG)
    assert training_figures.training_history({}, best).startswith(PNG)


def test_importance_shows_the_largest_and_adds_up_the_rest():
    svg = training_figures.importance(
        {f"f{i}": float(40 - i) for i in range(40)}, most=5, form="svg"
    ).decode()
    assert "35 others" in svg
    assert training_figures.importance({"a": 0.0}).startswith(PNG)


def test_a_sweep_of_one_trial_has_a_picture():
    assert training_figures.trials([0], [0.9], [0.9], "auc").startswith(PNG)
    assert training_figures.trials(list(range(30)), [0.5] * 30, [0.5] * 30, "auc").startswith(PNG)


@pytest.mark.parametrize(
    ("trials", "chosen"),
    [
        ([(5.0, 0.3)], [(5.0, 0.3)]),
        ([(1.0, 0.3), (900.0, 0.2), (30.0, 0.4)], []),
        ([(0.0, 1.0), (0.0, 2.0)], []),
    ],
)
def test_quality_against_a_cost_has_a_picture(trials, chosen, caplog):
    drawn = training_figures.front(trials, trials[:1], chosen, 100.0, ("kB", "logloss"))
    assert drawn.startswith(PNG)
    assert "could not be drawn" not in caplog.text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (0.25, "0.25"),
        (-1200, "−1,200"),
        (48_213, "48.2k"),
        (3.4e6, "3.4M"),
        (2e-5, "2.0e−05"),
    ],
)
def test_short_numbers(value, text):
    assert short_number(value) == text


def test_long_names_keep_both_ends():
    name = shortened("a_very_long_column_name_that_ends_in_2024", 20)
    assert len(name) == 20
    assert name.startswith("a_very")
    assert name.endswith("2024")
