"""What the report says of the data, of using the exported graph, and of where everything came from."""

from __future__ import annotations

import platform
from datetime import date, datetime, timedelta
from importlib import metadata
from typing import TYPE_CHECKING, Any

from synml_dagster.explain.value_names import number_text
from synml_dagster.plots.style import number_between

if TYPE_CHECKING:
    from synml_dagster.features import ColumnStats
    from synml_dagster.report.inputs import ReportInputs

_SIDES = {"train": "Training", "validation": "Validation", "test": "Test"}
_PACKAGES = ("synml-dagster", "pyspark", "onnx", "onnxruntime", "dagster", "mlflow", "numpy")
_MOST_CLASSES = 12
_MOST_INPUTS = 30


def data(inputs: ReportInputs) -> dict[str, Any]:
    """Return rows, splits, classes, columns, dropped columns and warnings."""
    plan = inputs.plan
    rows = inputs.rows if inputs.rows is not None else plan.rows
    total = sum(inputs.split_rows.values()) or 1
    kinds = {column.name: column for column in plan.columns}
    importance = inputs.explanations.importance if inputs.explanations else {}
    columns: list[dict[str, Any]] = []
    for stat in plan.statistics:
        if stat.column not in kinds:
            continue
        column = kinds[stat.column]
        columns.append(
            {
                "name": stat.column,
                "kind": _kind(column),
                "type": stat.type,
                "missing": stat.missing_share,
                "missing_text": _share(stat.missing_share),
                "distinct": f"{stat.distinct:,}" if stat.distinct is not None else "–",
                "values": _values(stat),
                "features": len(column.features),
                "weight": sum(importance.get(name, 0.0) for name in column.features),
            }
        )
    most = max((c["weight"] for c in columns), default=0.0) or 1.0
    for shown in columns:
        shown["bar"] = round(100 * shown["weight"] / most, 1)
    columns.sort(key=lambda c: -c["weight"])
    label = plan.label
    facts = [
        ("Rows", f"{rows:,}"),
        ("Columns used", f"{len(plan.columns):,}"),
        ("Model inputs", f"{len(plan.feature_names):,}"),
    ]
    facts.append(("Label", label.column))
    if label.dropped_null_rows:
        facts.append(("Left out: no label", f"{label.dropped_null_rows:,} rows"))
    if plan.weight is not None:
        facts.append(("Weight", plan.weight.name))
    if plan.group is not None:
        facts.append(("Query", plan.group.name))
    if label.mean is not None and label.minimum is not None and label.maximum is not None:
        facts.append(
            (
                "Label's range",
                f"{number_text(label.minimum)} to {number_text(label.maximum)}, mean {number_text(label.mean)}",
            )
        )
    facts.append(("Split", _split(plan.split.by, plan.split.spec)))
    return {
        "facts": facts,
        "sides": [
            {
                "name": title,
                "rows": f"{inputs.split_rows[side]:,}",
                "share": round(100 * inputs.split_rows[side] / total, 1),
            }
            for side, title in _SIDES.items()
            if side in inputs.split_rows
        ],
        "classes": _classes(plan.label.classes, plan.label.class_rows),
        "columns": columns,
        "weighted": bool(importance),
        "dropped": [(d.column, d.reason) for d in plan.dropped],
        "warnings": [*plan.warnings, *plan.notes],
    }


def use(inputs: ReportInputs) -> dict[str, Any] | None:
    """Return the exported graph's signature and a snippet that runs it."""
    graph = inputs.onnx_model
    if graph is None:
        return None
    stats = {stat.column: stat for stat in inputs.plan.statistics}
    signature = [(i.name, i.type, _example(i.type, stats.get(i.name))) for i in graph.inputs]
    shown = signature[:_MOST_INPUTS]
    row = ", ".join(f"{name!r}: {example}" for name, _, example in shown)
    more = "" if len(shown) == len(signature) else f", ...  # and {len(signature) - len(shown)} more"
    outputs = [(o.name, o.type) for o in graph.outputs]
    snippet = [
        "import numpy as np, onnxruntime as ort",
        f"session = ort.InferenceSession({inputs.onnx_path!r})",
        f"row = {{{row}{more}}}",
        'types = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64, "tensor(string)": object}',
        "feed = {i.name: np.array([[row[i.name]]], dtype=types[i.type]) for i in session.get_inputs()}",
        "print(dict(zip([o.name for o in session.get_outputs()], session.run(None, feed))))",
    ]
    return {"inputs": signature, "outputs": outputs, "snippet": "\n".join(snippet)}


def provenance(inputs: ReportInputs, created: datetime) -> list[tuple[str, str]]:
    """Return where everything came from, so that it can be made again."""
    lines = [("Made", created.strftime("%Y-%m-%d %H:%M:%S UTC"))]
    if inputs.source:
        lines.append(("Source", inputs.source))
    if inputs.run_id:
        lines.append(("Dagster run", inputs.run_id))
    lines += [(key, str(value)) for key, value in inputs.provenance.items()]
    lines.append(("Feature plan", inputs.plan.fingerprint))
    lines.append(("Split seed", str(inputs.plan.split.spec.seed)))
    if inputs.model is not None and "seed" in inputs.model.params:
        lines.append(("Training seed", str(inputs.model.params["seed"])))
    versions = [f"Python {platform.python_version()}"]
    trained_by = inputs.model.packages if inputs.model is not None else ()
    for package in (*_PACKAGES, *trained_by):
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    lines.append(("Versions", ", ".join(versions)))
    return lines


def _kind(column: Any) -> str:
    if column.kind == "several":
        return ", ".join(dict.fromkeys(_kind(way) for way in column.ways))
    if column.kind == "categorical":
        return "category" if column.encoding == "index" else f"category ({column.encoding})"
    if column.kind == "numeric":
        return "yes/no" if column.input.storage == "boolean" else "number"
    return {"datetime": "date", "boolean": "yes/no"}.get(column.kind, column.kind)


def _share(share: float) -> str:
    if not share:
        return "–"
    return "< 0.1%" if share < 0.001 else f"{share:.1%}"


def _values(stat: ColumnStats) -> str:
    if (
        stat.type in ("date", "timestamp", "timestamp_ntz")
        and stat.minimum is not None
        and stat.maximum is not None
    ):
        return f"{_day(stat.minimum, stat.type)} to {_day(stat.maximum, stat.type)}"
    if stat.minimum is not None and stat.maximum is not None:
        middle = stat.quantiles.get("p50")
        low, high = stat.minimum, stat.maximum
        text = f"{number_between(low, low, high)} to {number_between(high, low, high)}"
        return f"{text}, median {number_between(middle, low, high)}" if middle is not None else text
    if stat.top:
        top = sorted(stat.top.items(), key=lambda item: -item[1])[:3]
        return ", ".join(f"{word or '(empty)'} {count / stat.rows:.0%}" for word, count in top if stat.rows)
    return ""


def _day(value: float, kind: str) -> str:
    days = int(value if kind == "date" else value // 86_400_000_000)
    try:
        return (date(1970, 1, 1) + timedelta(days=days)).isoformat()
    except OverflowError:
        return f"day {days:,}"


def _split(by: str, spec: Any) -> str:
    column = f" of {spec.column}" if spec.column else ""
    how = {
        "random": "at random",
        "stratified": "at random within each class",
        "time": f"by time{column}",
        "group": f"by group{column}",
    }
    return how.get(by, by)


def _classes(names: list[str] | None, rows: list[int] | None) -> list[dict[str, Any]]:
    if not names or not rows:
        return []
    total = sum(rows) or 1
    ranked = sorted(zip(names, rows, strict=False), key=lambda item: -item[1])
    shown = [
        {"name": n, "rows": f"{c:,}", "share": round(100 * c / total, 1)} for n, c in ranked[:_MOST_CLASSES]
    ]
    rest = sum(count for _, count in ranked[_MOST_CLASSES:])
    if rest:
        left = len(ranked) - _MOST_CLASSES
        shown.append({"name": f"{left} more", "rows": f"{rest:,}", "share": round(100 * rest / total, 1)})
    return shown


def _example(kind: str, stat: ColumnStats | None) -> str:
    """Return a value that such a column holds, as Python source."""
    if "string" in kind:
        return repr(max(stat.top, key=lambda word: stat.top[word]) if stat and stat.top else "")
    middle = stat.quantiles.get("p50", stat.mean) if stat else None
    if middle is None:
        return "float('nan')" if "int" not in kind else "0"
    return f"{middle:.6g}" if abs(middle) < 1e15 and middle != int(middle) else str(int(middle))
