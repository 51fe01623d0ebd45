"""Plans as files, and the parts of a fit that need no Spark."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from synml_dagster.columns import RawInput
from synml_dagster.columns.time_format import PATTERNS, recognise
from synml_dagster.columns.time_parsing import parse_text
from synml_dagster.errors import ModelError
from synml_dagster.features import ColumnSpec, FeaturePlan, FeatureSpec, SplitSpec
from synml_dagster.features.compile.label import fit_label
from synml_dagster.features.fitting.guess import guess_words, named_like_an_id
from synml_dagster.features.kinds.text import choose_words
from synml_dagster.features.kinds.zone import ZoneGrid
from synml_dagster.features.profile.outline import Outline
from synml_dagster.features.profile.profile import Profile


def outlined(values: list, storage: str = "number") -> Outline:
    words = [
        "" if v is None else str(int(v)) if isinstance(v, float) and v.is_integer() else str(v)
        for v in values
    ]
    numbers = [v if isinstance(v, int | float) else float("nan") for v in values]
    n = len(values)
    outline = Outline()
    outline.add(
        pa.RecordBatch.from_pydict(
            {
                "hash": pa.array(range(n), pa.int64()),
                "word": words,
                "number": pa.array(numbers, pa.float64()),
                "position": np.linspace(0, 1, n, endpoint=False),
            }
        )
    )
    return outline


@pytest.mark.parametrize(
    ("values", "storage", "task"),
    [
        (["<=50K", ">50K"] * 5, "string", "binary"),
        (["a", "b", "c"] * 5, "string", "multiclass"),
        ([0, 1] * 5, "integer", "binary"),
        ([1.0, 2.0] * 5, "number", "binary"),
        ([0, 1, 2] * 5, "integer", "multiclass"),
        ([3, 4, 5, 6, 7, 8] * 5, "integer", "multiclass"),
        ([100, 250, 900, 1200] * 5, "integer", "regression"),
        (list(range(100)) * 2, "integer", "regression"),
        ([0.5, 1.5, 2.25] * 5, "number", "regression"),
    ],
)
def test_the_task_follows_from_the_label(values, storage, task):
    raw = RawInput(name="y", path=("y",), spark_type="t", storage=storage, onnx_type="double")
    assert fit_label(raw, outlined(values), "auto", None)[0] == task


def test_classes_of_numbers_are_in_the_order_of_numbers():
    raw = RawInput(name="y", path=("y",), spark_type="int", storage="integer", onnx_type="double")
    assert fit_label(raw, outlined([10, 9, 11] * 3), "multiclass", None)[1].classes == ["9", "10", "11"]


def test_an_outline_of_parts_is_that_of_the_whole():
    values = [0.5, 1.5, float("inf"), 7.0, None, 2.0] * 20
    whole, parts = outlined(values), Outline()
    for start in range(0, len(values), 30):
        for piece in outlined(values[start : start + 30]).pieces():
            parts.merge(piece)
    for name in ("rows", "unlabelled", "infinite", "fractions", "low", "high", "total", "words"):
        assert getattr(parts, name) == getattr(whole, name)


def test_a_profile_of_parts_is_that_of_the_whole():
    rng = np.random.default_rng(0)
    n = 3000
    number = rng.normal(1e6, 1, n)
    number[::7], number[5] = np.nan, np.inf
    table = pa.table(
        {
            "hash": pa.array(rng.permutation(n), pa.int64()),
            "label": rng.random(n),
            "c0": number,
            "c1": pa.array(rng.choice(["a", "b", ""], n)),
        }
    )
    parts = Profile(["c0"], ["c1"])
    for start in range(0, n, 500):
        part = Profile(["c0"], ["c1"])
        for batch in table.slice(start, 500).to_batches(max_chunksize=100):
            part.add(batch)
        for piece in part.pieces():
            parts.merge(piece)
    finite = number[np.isfinite(number)]
    count, missing, infinite, low, high, mean, squares = parts.figures[:, 0]
    assert (count, missing, infinite, low, high) == (n, np.isnan(number).sum(), 1, finite.min(), finite.max())
    assert mean == pytest.approx(finite.mean(), rel=1e-12)
    assert np.sqrt(squares / len(finite)) == pytest.approx(finite.std(), rel=1e-9)
    words = table.column("c1").to_pylist()
    assert parts.counts == [{"a": words.count("a"), "b": words.count("b")}]
    assert parts.missing_words.tolist() == [words.count("")]
    assert parts.sample.column("hash").to_pylist() == list(range(n))


def test_the_sample_is_the_rows_of_the_least_hashes_in_whatever_order_they_come():
    hashes = np.random.default_rng(0).permutation(100_000)
    profile = Profile(["c0"], [])
    for start in range(0, len(hashes), 10_000):
        part = hashes[start : start + 10_000]
        batch = {"hash": pa.array(part, pa.int64()), "label": part * 0.0, "c0": part * 1.0}
        profile.add(pa.RecordBatch.from_pydict(batch))
    assert profile.sampled
    assert profile.sample.column("c0").to_pylist() == list(range(20_000))


def test_too_many_words_are_not_counted_and_a_merge_keeps_that():
    batch = pa.RecordBatch.from_pydict(
        {
            "hash": pa.array(range(200_000), pa.int64()),
            "label": np.zeros(200_000),
            "c0": [f"w{i}" for i in range(200_000)],
        }
    )
    one, two = Profile([], ["c0"]), Profile([], ["c0"])
    one.add(batch)
    for piece in one.pieces():
        two.merge(piece)
    assert one.counts == two.counts == [None]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["red", "green"] * 50, "categorical"),
        (["10%", "20%", "30%"] * 40, "numeric"),
        (["1,2", "1,3", "2"] * 40, "categorical"),
        ([f"{i % 9 + 1}/2022" for i in range(100)], "datetime"),
        (["n/a"] * 200 + [f"{i * 1001:,}" for i in range(1, 100)], "numeric"),
        ([f"2026-01-{d % 28 + 1:02d}" for d in range(100)], "datetime"),
        ([f"{i / 7:.3f}" for i in range(98)] + ["NA", "?"], "numeric"),
        ([f"0{i:04d}" for i in range(30)] * 4, "categorical"),
        ([f"the room number {i} was very nice" for i in range(100)], "text"),
        ([f"u-{i:05d}" for i in range(100)], None),
    ],
)  # fmt: skip
def test_a_column_of_strings_is_what_its_values_look_like(values, kind):
    assert guess_words("c", values, len(set(values)), len(values)).kind == kind


@pytest.mark.parametrize(("name", "is_id"), [("id", True), ("customer_id", True), ("orderId", True), ("humid", False), ("paid", False), ("grid", False)])  # fmt: skip
def test_names_of_ids(name, is_id):
    assert named_like_an_id(name) is is_id


def test_days_before_months_are_told_by_a_value_that_only_one_way_can_read():
    assert recognise(["03/25/2026", "01/02/2026"]) == "MM/dd/yyyy"
    assert recognise(["25/03/2026", "01/02/2026"]) == "dd/MM/yyyy"
    assert recognise(["soon", "later"]) is None
    assert np.isnan(parse_text("2026-02-30", PATTERNS["yyyy-MM-dd"]))


def test_offsets_of_a_zone_change_at_the_second():
    from datetime import UTC, datetime, timedelta
    from zoneinfo import ZoneInfo

    grid, zone = ZoneGrid.of("America/New_York"), ZoneInfo("America/New_York")
    rng = np.random.default_rng(0)
    for second in [1_772_953_199, 1_772_953_200, *rng.integers(-2_000_000_000, 4_000_000_000, 500).tolist()]:
        micros = second * 1_000_000
        cell = min(max((micros - grid.start) // grid.cell, 0), len(grid.change) - 1)
        ours = grid.before[cell] if micros < grid.change[cell] else grid.after[cell]
        theirs = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=second)).astimezone(zone).utcoffset()
        assert ours == theirs // timedelta(microseconds=1)


def test_words_of_one_text_or_of_all_are_left_out():
    texts = ["the good room", "the good bed", "the odd bed", "the view"]
    assert choose_words(texts, 5)[0] == ["bed", "good"]


def test_runs_of_words_are_chosen_like_words_unless_they_overlap_themselves():
    texts = ["a very very good bed", "very very good view", "good bed", "odd"]
    assert choose_words(texts, 9, 2)[0] == ["good", "bed", "good bed", "very", "very good"]
    assert "very very good" in choose_words(texts, 9, 3)[0]


def test_a_plan_that_cannot_be_read_says_why(tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        FeaturePlan.load(tmp_path)
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(ModelError, match="is damaged"):
        FeaturePlan.load(tmp_path)
    (tmp_path / "plan.json").write_text('{"version": 99}')
    with pytest.raises(ModelError, match="version 99 and this package reads version 1"):
        FeaturePlan.load(tmp_path)
    (tmp_path / "plan.json").write_text('{"version": 1}')
    with pytest.raises(ModelError, match="is damaged at name"):
        FeaturePlan.load(tmp_path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SplitSpec(test=0.6, validation=0.4), "leave nothing to train on"),
        (lambda: SplitSpec(by="time"), "needs split.column"),
        (lambda: SplitSpec(column="day"), "goes with split.by 'time' or 'group'"),
        (lambda: FeatureSpec(numeric=["a"], text=["a"]), "'a' is in both numeric and text"),
        (lambda: FeatureSpec(numeric=["a"], exclude=["a"]), "'a' is excluded and also named in numeric"),
        (lambda: ColumnSpec(kind="numeric", encoding="onehot"), "encoding does not go with kind 'numeric'"),
        (
            lambda: ColumnSpec(kind="text", encoding="onehot"),
            "encoding 'onehot' does not go with kind 'text'",
        ),
    ],
)
def test_descriptions_that_contradict_themselves_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
