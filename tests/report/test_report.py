"""The report: one page, whole by itself, that no name from the data can break."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from types import SimpleNamespace

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

from synml_dagster.balance import ErrorSlices
from synml_dagster.balance.slices import Slice
from synml_dagster.evaluation import ChosenThreshold, CostMatrix, Costs, evaluate
from synml_dagster.explain import explain
from synml_dagster.explain.interactions import strongest_partner
from synml_dagster.features import LABEL, assemble, fit_plan
from synml_dagster.learners.lightgbm import LightGBMModel
from synml_dagster.plots import explanations as figures
from synml_dagster.report import CardSpec, Check, ReportInputs, render_markdown, render_report
from synml_dagster.report.cases import telling_cases
from synml_dagster.tuning import SweepResult, TrialRecord
from synml_dagster.tuning.result import EnsembleMember

HOSTILE = "<script>alert('x')</script> & \"q\" {{ 7*7 }}"
VOID = {"meta", "br", "img", "link"}
PNG = b"\x89PNG\r\n\x1a\n"


SLICES = ErrorSlices(
    measure="wrong answers",
    rows=100,
    error=0.1,
    looked_at=41,
    slices=[
        Slice(
            columns=[HOSTILE, "kind"],
            values=["< 5", "'<b>wide</b>'"],
            rows=30,
            share=0.3,
            error=0.4,
            low=0.25,
            high=0.57,
        )
    ],
)
CARD = CardSpec(
    intended_use=f"Orders a work list.\n{HOSTILE}",
    not_for=["[click](javascript:alert(1))", "a diagnosis without a physician"],
    owner="Team <i>one</i>",
    machine_price=1.2,
    currency="EUR",
)


class Whole(HTMLParser):
    """Collects text, and fails on tags that do not match."""

    def __init__(self):
        super().__init__()
        self.open, self.texts, self.tags = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def read(page: str) -> Whole:
    whole = Whole()
    whole.feed(page)
    whole.close()
    assert whole.open == []
    return whole


def table(task: str) -> pd.DataFrame:
    load = {"binary": load_breast_cancer, "multiclass": load_wine, "regression": load_diabetes}[task]
    data = load(as_frame=True)
    frame = data.data.iloc[:, :6].copy()
    frame.columns = [HOSTILE, *frame.columns[1:]]
    frame.insert(1, "kind", np.where(frame.iloc[:, 1] > frame.iloc[:, 1].median(), "<b>wide</b>", "slim"))
    frame["same"] = 1
    names = data.target_names if task != "regression" else None
    return frame.assign(label=names[data.target] if names is not None else data.target)


@pytest.fixture(scope="module", params=["binary", "multiclass", "regression"])
def inputs(request, classic_spark) -> ReportInputs:
    """A pipeline's results on a table that scikit-learn ships, with a hostile column and category name."""
    task = request.param
    frame = classic_spark.createDataFrame(table(task))
    plan = fit_plan(frame, name="flowers & co", label="label")
    features = assemble(frame, plan).toPandas()
    names = plan.feature_names
    X, y = features[names].to_numpy(np.float32), features[LABEL].to_numpy()
    k = len(plan.label.classes or [])
    params = {"objective": task, "verbose": -1, "num_threads": 2, "min_data_in_leaf": 5}
    params |= {"num_class": k} if task == "multiclass" else {}
    history: dict = {}
    booster = lgb.train(
        params,
        lgb.Dataset(X, y, categorical_feature=[names.index(c) for c in plan.categorical_features]),
        num_boost_round=10,
        valid_sets=[lgb.Dataset(X, y)],
        valid_names=["validation"],
        callbacks=[lgb.record_evaluation(history)],
    )
    model = LightGBMModel(
        text=booster.model_to_string(),
        features=names,
        history={s: dict(m) for s, m in history.items()},
        params=params,
    )
    said = booster.predict(X)
    answer = {"binary": "probability", "multiclass": "probabilities", "regression": "prediction"}[task]
    scored = classic_spark.createDataFrame(pd.DataFrame({LABEL: y, answer: list(said)}))
    chosen = ChosenThreshold(0.3, Costs(false_positive=1, false_negative=5, unit="<EUR>"), 90)
    matrix = None
    if task == "multiclass":
        known = plan.label.classes
        matrix = CostMatrix(costs={t: {a: 2 for a in known if a != t} for t in known}, unit="<EUR>")
    evaluation = evaluate(
        scored,
        task=task,
        classes=plan.label.classes,
        chosen=chosen if task == "binary" else None,
        cost_matrix=matrix,
    )
    evaluation.slices = SLICES
    explanations = explain(classic_spark.createDataFrame(features[[*names, LABEL]]), model, plan, rows=100)
    return ReportInputs(
        name="flowers & co",
        plan=plan,
        evaluation=evaluation,
        validation=evaluation,
        source="s3://bucket/<path>",
        rows=len(features),
        split_rows={"train": 300, "validation": 100, "test": 100},
        model=model,
        explanations=explanations,
        run_id="run-1",
        card=CARD,
        parity={
            "rows": 700,
            "adversarial_rows": 200,
            "labels_different": 0,
            "max_difference": 2e-7,
            "tolerance": 1e-6,
            "passed": True,
        },
        checks=[
            Check("baseline", "evaluation", True, "auc is 0.99"),
            Check("promotion", "champion", False, "<u>no better</u>", only_warns=True),
        ],
        seconds={"raw": 12.0, "model": 190.0},
        onnx_model=SimpleNamespace(
            inputs=[SimpleNamespace(name=r.name, type=f"tensor({r.onnx_type})") for r in plan.raw_inputs],
            outputs=[SimpleNamespace(name="prediction", type="tensor(float)")],
        ),
        champion=SimpleNamespace(
            version="2",
            promoted=True,
            reason="<i>better</i>",
            metric={"binary": "auc", "multiclass": "logloss", "regression": "rmse"}[task],
            challenger_value=0.9,
            champion_value=0.8,
            champion_version="2",
        ),
    )


@pytest.fixture(scope="module")
def page(inputs) -> str:
    return render_report(inputs)


def test_the_page_is_whole_and_names_no_address_outside(page):
    whole = read(page)
    for tag, attributes in whole.tags:
        for name in ("src", "href", "xlink:href", "action", "data"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:image/png;base64,")), (tag, name, value[:80])
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=\s]+", "", page)
    assert "@import" not in page
    assert not [tag for tag, _ in whole.tags if tag in ("script", "link", "iframe", "object")]


def test_names_from_data_are_shown_and_do_nothing(page):
    whole = read(page)
    text = " ".join(whole.texts)
    assert HOSTILE in text
    assert "<b>wide</b>" in text
    assert "<i>better</i>" in text
    assert "49" not in [t.strip() for t in whole.texts]
    assert not [tag for tag, _ in whole.tags if tag == "i" and not _]


def test_every_section_and_its_links_are_there(inputs, page):
    whole = read(page)
    ids = {attributes["id"] for _, attributes in whole.tags if "id" in attributes}
    links = {attributes["href"][1:] for tag, attributes in whole.tags if tag == "a"}
    assert links == {
        "about",
        "decision",
        "quality",
        "weak",
        "drivers",
        "rows",
        "data",
        "training",
        "checks",
        "use",
        "provenance",
    }
    assert links <= ids
    text = " ".join(whole.texts)
    assert "same" in text  # the dropped column, with its reason
    assert inputs.plan.fingerprint in text
    assert "lightgbm 4." in text


def test_the_card_says_what_people_said_and_how_sure_each_metric_is(inputs, page):
    whole = read(page)
    text = " ".join(" ".join(whole.texts).split())
    assert "Orders a work list." in text
    assert "What it must not be used for a diagnosis" in text.replace("[click](javascript:alert(1)) ", "")
    assert "Team <i>one</i>" in text
    from synml_dagster.evaluation import format_metric

    for name, interval in inputs.evaluation.intervals.items():
        assert f"{format_metric(name, interval.low)} to {format_metric(name, interval.high)}" in text, name
    assert "among 41 slices" in text
    assert "25.0% to 57.0%" in text
    assert "no label differs" in text
    assert "3 min 22 s" in text
    assert "0.07 EUR" in text
    assert ("Choosing a threshold" in text) is (inputs.evaluation.task == "binary")
    if inputs.evaluation.task == "binary":
        assert "costs least to flag from a probability of 0.300 on" in text
        assert "Cost of 1,000 rows, <EUR>" in text
        assert "predict is the likelier class, whatever the costs" in text
    if inputs.evaluation.task == "multiclass":
        assert "Calibration by class" in text
        assert "Deciding by costs" in text
        assert "Cost of 1,000 rows, <EUR>" in text
        assert "What an answer costs, by what is true" in text


def test_the_same_card_is_markdown_that_no_text_breaks(inputs):
    from markdown_it import MarkdownIt

    card = render_markdown(inputs)
    reader = MarkdownIt("commonmark").enable("table")
    tokens = reader.parse(card)
    assert not [t for t in tokens if t.type.startswith("html")]
    inline = [child for t in tokens for child in t.children or ()]
    assert not [c for c in inline if c.type in ("html_inline", "link_open", "image", "code_inline")]
    text = " ".join(c.content for c in inline if c.type == "text")
    titles = [t.children[0].content for t in tokens if t.type == "inline" and t.level == 1 and t.map[0] == 0]
    assert titles == ["flowers & co"]
    assert HOSTILE in text
    assert "[click](javascript:alert(1))" in text
    assert "Team <i>one</i>" in text
    tables = [i for i, t in enumerate(tokens) if t.type == "table_open"]
    assert len(tables) >= 2
    for part in ("## Purpose", "## Quality", "## Weak spots", "## Data", "## Checks", "## Provenance"):
        assert f"\n{part}\n" in card, part


@pytest.mark.parametrize("most", [600, 1_500, 5_000])
def test_a_capped_card_leaves_out_whole_sections_and_says_so(inputs, most):
    inputs = replace(inputs, created=datetime(2026, 1, 2, tzinfo=UTC))  # both are made at one moment
    whole, card = render_markdown(inputs), render_markdown(inputs, most)
    assert len(card) <= most
    if len(whole) <= most:
        assert card == whole
    else:
        assert "Left out here for its length" in card
    assert card.startswith(whole[:100])


def test_secrets_in_what_people_say_are_hidden_in_the_registry(inputs):
    from dataclasses import replace

    card = render_markdown(replace(inputs, source="jdbc:postgresql://ann:s3cret@db/x"))
    assert "s3cret" not in card


def test_a_card_that_says_too_much_or_nothing_is_refused():
    with pytest.raises(ValueError, match="an entry is empty"):
        CardSpec(not_for=["  "])
    with pytest.raises(ValueError, match="at most 4000 characters"):
        CardSpec(intended_use="x" * 5_000)
    with pytest.raises(ValueError, match="Extra inputs"):
        CardSpec(purpose="x")
    assert CardSpec(not_for="hiring").not_for == ["hiring"]


def test_tables_and_pictures_can_be_read_out(page):
    whole = read(page)
    tables = [i for i, (tag, _) in enumerate(whole.tags) if tag == "table"]
    assert tables
    assert all(whole.tags[i + 1][0] == "caption" for i in tables)
    pictures = [attributes for tag, attributes in whole.tags if tag == "svg"]
    assert len(pictures) >= 8
    assert all(p["role"] == "img" and p["aria-label"] for p in pictures)
    ids = [attributes["id"] for _, attributes in whole.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_only_name_plan_and_evaluation_are_needed(inputs):
    of_an_earlier_version = inputs.evaluation.model_copy(
        update={"intervals": {}, "slices": None, "choice": None, "decision": None}
    )
    thin = ReportInputs(name="thin", plan=inputs.plan, evaluation=of_an_earlier_version)
    assert "95%" not in render_markdown(thin).replace("| Metric | Test | 95% interval", "")
    whole = read(render_report(thin))
    links = {attributes["href"][1:] for tag, attributes in whole.tags if tag == "a"}
    assert links == {"quality", "data", "provenance"}


def test_the_snippet_is_python_over_every_input(inputs):
    from synml_dagster.report.data import use

    snippet = use(inputs)["snippet"]
    compile(snippet, "snippet", "exec")
    assert len(snippet.splitlines()) == 6
    row: dict = {}
    exec(snippet.splitlines()[2], {}, row)
    assert set(row["row"]) == {i.name for i in inputs.onnx_model.inputs}


def swept(inputs, **more):
    trials = [
        TrialRecord(number=i, value=0.8 + i / 100, params={}, rounds=9, learner="lightgbm", folds=[0.8, 0.9])
        for i in range(4)
    ]
    return SweepResult(
        metric={"binary": "auc", "multiclass": "accuracy", "regression": "r2"}[inputs.evaluation.task],
        direction="maximize",
        learner="lightgbm",
        best_params={"num_leaves": 31},
        best_value=0.83,
        best_trial=3,
        trials=trials,
        importance={"num_leaves": 1.0},
        validation="5 folds of 900 rows",
        **more,
    )


def test_a_sweep_adds_its_history_and_its_leaderboard(inputs):
    sweep = swept(inputs)
    thin = ReportInputs(name="swept", plan=inputs.plan, evaluation=inputs.evaluation, sweep=sweep)
    text = " ".join(read(render_report(thin)).texts)
    assert "Parameter sweep" in text
    assert "num_leaves" in text
    assert "measured on 5 folds of 900 rows" in text
    assert text.index("0.83 ± 0.05") < text.index("0.82 ± 0.05")
    # The winner alone is looked at on test rows.
    won = f"{inputs.evaluation.metrics[sweep.metric]:.5g}"
    table = text[text.index("On test rows") :]
    assert table.index("0.83 ± 0.05") < table.index(won) < table.index("0.82 ± 0.05")


def test_of_an_ensemble_the_members_are_named_and_no_single_trials_parameters(inputs):
    members = [
        EnsembleMember(trial=3, learner="lightgbm", params={}, weight=0.7),
        EnsembleMember(trial=1, learner="linear", params={}, weight=0.3),
    ]
    sweep = swept(inputs, ensemble=members, ensemble_value=0.85, notes=["an ensemble of 2 trials"])
    thin = ReportInputs(name="swept", plan=inputs.plan, evaluation=inputs.evaluation, sweep=sweep)
    text = " ".join(read(render_report(thin)).texts)
    assert "Models that answer together" in text
    assert "70%" in text
    table = text[text.index("On test rows") :]
    won = f"{inputs.evaluation.metrics[sweep.metric]:.5g}"
    assert table.index("Together") < table.index("0.85") < table.index(won) < table.index("0.83 ± 0.05")
    assert "An ensemble of 2 trials." in text
    assert "Parameters that the sweep chose" not in text


def test_explained_rows_are_of_different_kinds(inputs):
    found = inputs.explanations
    cases = telling_cases(found)
    assert 2 <= len(cases) <= 4
    assert len({case.row for case in cases}) == len(cases)
    if found.task != "regression":
        assert any(case.right for case in cases)


def test_pictures_of_explanations_are_whole(inputs):
    found = inputs.explanations
    top = next(iter(found.importance))
    for png in (
        figures.importance(found),
        figures.beeswarm(found),
        figures.dependence(found, top),
        figures.dependence(found, "kind"),
        figures.dependence(found, HOSTILE, partner="kind"),
        figures.waterfall(found, 0),
    ):
        assert png.startswith(PNG)


def test_the_strongest_partner_is_the_one_that_interacts():
    from synml_dagster.explain import Explanations

    rng = np.random.default_rng(0)
    X = rng.normal(size=(2_000, 3)).astype(np.float32)
    phi = np.zeros((2_000, 3, 1), dtype=np.float32)
    phi[:, 0, 0] = X[:, 0] * np.sign(X[:, 2])
    phi[:, 1, 0] = X[:, 1]
    phi[:, 2, 0] = 0.5 * phi[:, 0, 0]
    found = Explanations("regression", ["a", "b", "c"], ["0"], np.zeros(1), X, phi)
    assert strongest_partner(found, 0) == 2
    assert strongest_partner(found, 1) is None


def test_groups_have_a_section_that_no_name_breaks(inputs, classic_spark):
    from dataclasses import replace

    from synml_dagster.balance import data_balance, prediction_fairness

    rng = np.random.default_rng(0)
    frame = pd.DataFrame({HOSTILE: rng.choice(["<b>f</b>", "m"], 200), "kind": rng.choice(["x", "y"], 200)})
    task = inputs.evaluation.task
    numbers = task == "regression"
    classes = None if numbers else ["<i>no</i>", *(str(i) for i in range(1, len(inputs.evaluation.classes)))]
    frame["__label"] = rng.normal(size=200) if numbers else rng.integers(0, len(classes), 200)
    frame["prediction"] = frame["__label"] + 0.5 if numbers else rng.permutation(frame["__label"])
    df = classic_spark.createDataFrame(frame)
    columns = [HOSTILE, "kind"]
    kind = "regression" if numbers else "classes"
    given = replace(
        inputs,
        data_balance=data_balance(df, columns, label="__label", task=kind, classes=classes),
        fairness=prediction_fairness(df, columns, task=task, classes=classes, minimum=10),
    )
    page = read(render_report(given))
    assert ("section", {"id": "groups"}) in page.tags
    assert not any(tag == "script" for tag, _ in page.tags)
    said = " ".join(page.texts)
    assert "<b>f</b>" in said
    assert ("Bias" if numbers else "Equalised odds") in said
    assert 'id="groups"' not in render_report(inputs)
