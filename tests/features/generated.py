"""Strategies that generate tables of every type a plan reads, and fitted columns of every kind for them."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal

import pyarrow as pa
from hypothesis import strategies as st

from synml_dagster.columns import RawInput
from synml_dagster.columns.time_format import PATTERNS, Pattern
from synml_dagster.features.kinds import (
    BooleanColumn,
    CategoricalColumn,
    DatetimeColumn,
    NumericColumn,
    TextColumn,
    VectorColumn,
)
from synml_dagster.features.kinds.numeric import Affine, Quantiles
from synml_dagster.features.kinds.text import choose_words
from synml_dagster.features.plan import FeaturePlan, LabelPlan, SplitPlan
from synml_dagster.features.spec import SplitSpec

ROWS = 40
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
]
DATE_PARTS = ["days", "age", "year", "quarter", "month", "day", "dayofweek", "dayofyear"]
DATE_PARTS += ["month_cycle", "dayofweek_cycle", "dayofyear_cycle"]
TIME_PARTS = [*DATE_PARTS, "hour", "minute", "hour_cycle"]

extreme = st.sampled_from(
    [0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, 1e308, -1e308, 1e39, 2.0**53 + 2, 0.1]
)
doubles = st.one_of(extreme, st.floats(-1e6, 1e6), st.floats())
words = st.one_of(
    st.sampled_from(
        ["a", "b", "A", "ä", "日本", "", " ", "a ", "<=50K", '{"x": [1, 2]}', "🙂", "a\nb", "it's", "`", "."]
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6),
)
written_numbers = st.one_of(
    st.sampled_from(
        [
            "1",
            "-2.5",
            "1e3",
            "1e99",
            ".5",
            "7.",
            "",
            "abc",
            "1,5",
            "0x10",
            "NaN",
            "Infinity",
            " 1",
            "1e400",
            "--1",
            "1d",
            "1f",
            "१",
        ]
    ),
    st.integers(-(10**20), 10**20).map(str),
    st.floats(-1e10, 1e10).map(lambda v: f"{v:.6f}"),
)
moments = st.one_of(
    st.sampled_from(
        [
            dt.datetime(1970, 1, 1),
            dt.datetime(1969, 12, 31, 23, 59, 59, 999_999),
            dt.datetime(2000, 2, 29),
            dt.datetime(2100, 2, 28, 23, 59, 59),
            dt.datetime(2026, 3, 29, 1, 0),
            dt.datetime(2026, 10, 25, 0, 59, 59),
            dt.datetime(9999, 12, 31),
            dt.datetime(1, 1, 1),
        ]
    ),
    st.datetimes(dt.datetime(1890, 1, 1), dt.datetime(2110, 1, 1)),
    st.datetimes(),
)


def written_as(v: dt.datetime, pattern: Pattern) -> str:
    """A moment as a pattern has it, without leading zeros where they may be left out."""
    month, day, hour = (f"{n}" if pattern.short else f"{n:02d}" for n in (v.month, v.day, v.hour))
    parts = {
        "y": f"{v.year:04d}" if pattern.century else f"{v.year % 100:02d}",
        "m": v.strftime("%b").upper() if pattern.named else month,
        "d": day + "," * pattern.comma,
        "q": str((v.month + 2) // 3),
    }
    date = pattern.mark.join(parts[p] for p in pattern.order)
    if not pattern.has_time:
        return date
    half = pattern.clock.endswith("a")
    hour = str((v.hour + 11) % 12 + 1) if half else hour
    clock = f"{hour}:{v.minute:02d}" + f":{v.second:02d}" * ("ss" in pattern.clock)
    clock += f"{pattern.fraction}{v.microsecond:06d}" if pattern.fraction and v.microsecond else ""
    zone = pattern.zone.replace("hh", "05").replace("mm", "30")
    return f"{date}{pattern.before_time}{clock}" + v.strftime(" %p") * half + zone


def written_moments(pattern: str) -> st.SearchStrategy[str]:
    good = moments.map(lambda v: written_as(v, PATTERNS[pattern]))
    bad = st.sampled_from(
        [
            "",
            "soon",
            "2026-02-30",
            "30/02/2026",
            "2026-13-01",
            "0000-01-01",
            "2025-02-29 10:00:00",
            "1900-02-29",
            "29.02.1900",
            "2026-1-1",
            "13/13/2026",
            "0/1/2026 1:00",
            "30-Feb-2026",
            "2026-Q5",
            "1/1/26 13:00 PM",
            "2026-01-01x",
        ]
    )
    return st.one_of(good, good, good, bad)


def maybe(values: st.SearchStrategy) -> st.SearchStrategy[list]:
    return st.lists(st.one_of(st.none(), values, values, values), min_size=ROWS, max_size=ROWS)


@st.composite
def numbers(draw, name: str):
    kind, spark, arrow, values = draw(
        st.sampled_from(
            [
                ("number", "double", pa.float64(), doubles),
                (
                    "number",
                    "float",
                    pa.float32(),
                    st.one_of(st.sampled_from([0.0, -0.0, math.inf, math.nan]), st.floats(width=32)),
                ),
                (
                    "integer",
                    "bigint",
                    pa.int64(),
                    st.one_of(st.integers(-5, 5), st.integers(-(2**63), 2**63 - 1)),
                ),
                ("integer", "int", pa.int32(), st.integers(-(2**31), 2**31 - 1)),
                ("integer", "smallint", pa.int16(), st.integers(-(2**15), 2**15 - 1)),
                ("integer", "tinyint", pa.int8(), st.integers(-128, 127)),
                (
                    "number",
                    "decimal(20,5)",
                    pa.decimal128(20, 5),
                    st.integers(-(10**18), 10**18).map(lambda v: Decimal(v).scaleb(-5)),
                ),
                ("string", "string", pa.string(), written_numbers),
            ]
        )
    )
    small = spark in ("float", "smallint", "tinyint")
    onnx = "string" if kind == "string" else "float" if small else "double"
    raw = RawInput(name=name, path=(name,), spark_type=spark, storage=kind, onnx_type=onnx)
    scale = draw(
        st.one_of(
            st.none(),
            st.builds(
                Affine, kind=st.just("standard"), center=st.floats(-1e3, 1e3), spread=st.floats(0.01, 1e3)
            ),
            st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=8, unique=True)
            .map(lambda k: Quantiles(knots=sorted(k), shares=[i / (len(k) - 1) for i in range(len(k))]))
            .filter(lambda q: min(b - a for a, b in zip(q.knots, q.knots[1:], strict=False)) > 1e-6),
        )
    )
    indicator = draw(st.booleans())
    column = NumericColumn(
        input=raw,
        features=[f"{name}", f"{name}!"] if indicator else [name],
        impute=draw(st.none() | st.floats(-10, 10)),
        indicator=indicator,
        scale=scale,
    )
    return column, pa.array(draw(maybe(values)), arrow)


@st.composite
def booleans(draw, name: str):
    raw = RawInput(name=name, path=(name,), spark_type="boolean", storage="boolean", onnx_type="float")
    return BooleanColumn(input=raw, features=[name]), pa.array(draw(maybe(st.booleans())), pa.bool_())


@st.composite
def categories(draw, name: str):
    storage, spark, arrow, values, onnx = draw(
        st.sampled_from(
            [
                ("string", "string", pa.string(), words, "string"),
                ("string", "string", pa.string(), words, "string"),
                (
                    "integer",
                    "bigint",
                    pa.int64(),
                    st.one_of(st.integers(-3, 3), st.integers(-(2**63), 2**63 - 1)),
                    "double",
                ),
                ("integer", "tinyint", pa.int8(), st.integers(-3, 3), "float"),
                (
                    "number",
                    "double",
                    pa.float64(),
                    st.one_of(st.sampled_from([0.5, -0.0, 0.0, 1e30]), doubles),
                    "double",
                ),
            ]
        )
    )
    raw = RawInput(name=name, path=(name,), spark_type=spark, storage=storage, onnx_type=onnx)
    known = {
        "string": words.filter(bool),
        "integer": st.integers(-3, 3).map(str),
        "number": st.sampled_from(["0.5", "0.0", "1.0E30", "-7.25", "Infinity"]),
    }[storage]
    many = [f"word {i}" for i in range(draw(st.sampled_from([0, 0, 60])))] if storage == "string" else []
    vocabulary = draw(st.lists(known, unique=True, max_size=8)) + many
    encoding = draw(st.sampled_from(["index", "index", "onehot", "frequency"]))
    if encoding == "onehot":
        features = [f"{name} {i}" for i in range(len(vocabulary) + 1)]
        column = CategoricalColumn(input=raw, features=features, encoding="onehot", words=vocabulary)
    else:
        numbers = [1 / (i + 1) for i in range(len(vocabulary))] if encoding == "frequency" else []
        missing = draw(st.none() | st.floats(0, 1))
        column = CategoricalColumn(
            input=raw,
            features=[name],
            encoding=encoding,
            words=vocabulary,
            numbers=numbers,
            rare=0.125,
            missing=missing,
        )
    return column, pa.array(draw(maybe(values)), arrow)


@st.composite
def dates(draw, name: str):
    storage, spark = draw(
        st.sampled_from(
            [
                ("date", "date"),
                ("timestamp", "timestamp"),
                ("timestamp", "timestamp_ntz"),
                ("string", "string"),
            ]
        )
    )
    written = draw(st.sampled_from(sorted(PATTERNS))) if storage == "string" else None
    has_time = storage == "timestamp" or (written is not None and PATTERNS[written].has_time)
    choice = TIME_PARTS if has_time else DATE_PARTS
    parts = draw(st.lists(st.sampled_from(choice), min_size=1, unique=True))
    raw = RawInput(
        name=name,
        path=(name,),
        spark_type=spark,
        storage=storage,
        onnx_type="string" if written else "double",
    )
    width = sum(2 if p.endswith("_cycle") else 1 for p in parts)
    column = DatetimeColumn(
        input=raw,
        features=[f"{name} {i}" for i in range(width)],
        parts=parts,
        time_zone=draw(st.sampled_from(ZONES)),
        reference=20_000.0,
        written=written,
    )
    if written is not None:
        return column, pa.array(draw(maybe(written_moments(written))), pa.string())
    values = draw(maybe(moments))
    if storage == "date":
        return column, pa.array([v and v.date() for v in values], pa.date32())
    if spark == "timestamp":
        values = [v and v.replace(tzinfo=dt.UTC) for v in values]
    return column, pa.array(values, pa.timestamp("us", tz="UTC" if spark == "timestamp" else None))


@st.composite
def vectors(draw, name: str):
    width = draw(st.integers(1, 4))
    raw = RawInput(
        name=name, path=(name,), spark_type="array<double>", storage="array", onnx_type="double", width=width
    )
    fixed = st.lists(st.floats(-10, 10), min_size=width, max_size=width)
    column = VectorColumn(
        input=raw,
        features=[f"{name} {i}" for i in range(width)],
        impute=draw(st.none() | fixed),
        center=draw(fixed),
        spread=[2.0] * width,
    )
    values = maybe(st.lists(st.none() | doubles, max_size=5))
    return column, pa.array(draw(values), pa.list_(pa.float64()))


@st.composite
def texts(draw, name: str):
    raw = RawInput(name=name, path=(name,), spark_type="string", storage="string", onnx_type="string")
    word = st.sampled_from(
        [
            "good",
            "GOOD",
            "bad",
            "bad,",
            "Ärger",
            "ärger",
            "日本",
            "x_1",
            "it's",
            "a",
            "\t",
            "\n",
            "--",
            "İ",
            "🙂",
            "good-bad",
        ]
    )
    values = draw(maybe(st.one_of(st.lists(word, max_size=8).map(" ".join), words)))
    ngrams = draw(st.integers(1, 3))
    known, weights = choose_words([v for v in values if v], 6, ngrams)
    known, weights = (known, weights) if known else (["good"], [1.5])
    features = [f"{name} {w}" for w in known]
    column = TextColumn(input=raw, features=features, ngrams=ngrams, words=known, weights=weights)
    return column, pa.array(values, pa.string())


NAMES = [
    "plain",
    "with space",
    "dot.ted",
    "back`tick",
    "ünï",
    'js{o}n":,[',
    "日本",
    "SELECT",
    "a/b",
    "%s",
    "$x",
    "x" * 80,
]


@st.composite
def plans_and_tables(draw, kinds=None):
    """A plan with a column of a random kind under each of several awkward names, and a raw table for it."""
    made = []
    for i, name in enumerate(NAMES):
        choice = kinds or [numbers, categories, dates, texts, booleans, vectors, dates, numbers]
        made.append(draw(choice[i % len(choice)](name)))
    columns = [column for column, _ in made]
    plan = FeaturePlan(
        name="generated",
        task="regression",
        fingerprint="0",
        rows=ROWS,
        label=LabelPlan(column="y", path=("y",), storage="number", spark_type="double"),
        split=SplitPlan(spec=SplitSpec(), by="random", test=[0.2], validation=[0.4]),
        columns=columns,
        dropped=[],
        warnings=[],
        statistics=[],
    )
    return plan, pa.table(dict(zip(NAMES, [values for _, values in made], strict=True)))
