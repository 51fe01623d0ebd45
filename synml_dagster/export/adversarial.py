"""Rows made to break an exported graph: real rows with one value after the other replaced by an awkward one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from synml_dagster.learners import MixtureForm, TreeEnsemble

if TYPE_CHECKING:
    import pyarrow as pa

    from synml_dagster.features import FeaturePlan
    from synml_dagster.learners import TrainedModel

_WORDS = [None, "", " ", "NaN", "null", "0", "-1", "1e400", "ünseen ☃", "a" * 300, "2020-02-30", "1970-01-01"]
_NUMBERS = [
    None,
    float("nan"),
    float("inf"),
    float("-inf"),
    0.0,
    -0.0,
    1e-36,
    -1e-36,
    1e300,
    -1e300,
    3.4028236e38,
    1e-310,
]
_MOST_ROWS = 20_000
_MOST_PER_COLUMN = 400
MOST_CELLS = 20_000_000
"""So many values are compared at most, of made-up rows and of the table's own each."""


def adversarial_rows(
    raw: pa.Table, plan: FeaturePlan, model: TrainedModel, *, seed: int = 0, most_cells: int = MOST_CELLS
) -> pa.Table:
    """Return rows of `raw` in each of which a column holds an awkward value, and a row where all are missing.

    It is one column a row, unless there are more than a thousand: then several share a row, so that rows stay few.
    Numbers are missing, infinite, tiny, huge, and at the thresholds of the model's splits on that column and one step
    to each side; text is missing, blank, unseen, long or looks like something else; dates are extreme.
    """
    import pyarrow as pa

    if raw.num_rows == 0:
        raw = pa.Table.from_pylist([dict.fromkeys(raw.schema.names)], schema=raw.schema)
    rng = np.random.default_rng(seed)
    columns = list(raw.schema)
    thresholds = _thresholds(plan, model)
    per_column = min(_MOST_PER_COLUMN, max(16, _MOST_ROWS // max(1, len(columns))))
    values = [_awkward(c.type, thresholds.get(c.name, []))[:per_column] for c in columns]
    blocks = max(1, min(len(columns), most_cells // (per_column * len(columns))))
    sizes = [max(map(len, values[block::blocks])) for block in range(blocks)]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    base = raw.take(pa.array(rng.integers(0, raw.num_rows, starts[-1])))
    made = []
    for i, column in enumerate(columns):
        start, here = int(starts[i % blocks]), _array(values[i], column.type)
        ordinary = base.column(i)
        parts = [*ordinary[:start].chunks, here, *ordinary[start + len(here) :].chunks]
        made.append(pa.concat_arrays([*parts, pa.nulls(1, column.type)]))
    return pa.Table.from_arrays(made, schema=raw.schema)


def _thresholds(plan: FeaturePlan, model: TrainedModel) -> dict[str, list[float]]:
    """Return, per raw column whose feature is the number itself, the split values on it and their neighbours."""
    found: dict[int, set[float]] = {}
    form = model.form
    every = zip(form.members, form.places, strict=True) if isinstance(form, MixtureForm) else [(form, None)]
    for one, places in every:
        for tree in one.trees if isinstance(one, TreeEnsemble) else ():
            for feature, value, category in zip(
                tree.split_feature.tolist(),
                tree.threshold.tolist(),
                tree.is_categorical.tolist(),
                strict=True,
            ):
                if not category:
                    found.setdefault(feature if places is None else int(places[feature]), set()).add(value)
    out: dict[str, list[float]] = {}
    place = 0
    for column in plan.ways:
        if len(column.features) == 1 and column.input.storage in ("number", "integer"):
            near = np.array(sorted(found.get(place, ()))[:100], dtype=np.float64)
            steps = [near, np.nextafter(near, -np.inf), np.nextafter(near, np.inf)]
            small = near.astype(np.float32)
            steps += [small.astype(np.float64), np.nextafter(small, np.float32(np.inf)).astype(np.float64)]
            out.setdefault(column.input.path[0], []).extend(np.concatenate(steps).tolist())
        place += len(column.features)
    return out


def _awkward(kind: pa.DataType, thresholds: list[float]) -> list[Any]:
    import pyarrow as pa

    types = pa.types
    if types.is_string(kind) or types.is_large_string(kind):
        return list(_WORDS)
    if types.is_floating(kind):
        return [*_NUMBERS, *thresholds]
    if types.is_integer(kind):
        top = 2 ** (kind.bit_width - 1)
        whole = {int(t) + step for t in thresholds if abs(t) < 2**52 for step in (-1, 0, 1)}
        return [None, *(v for v in [0, -1, 1, top - 1, -top, *sorted(whole)] if -top <= v < top)]
    if types.is_boolean(kind):
        return [None, True, False]
    if types.is_date32(kind):
        return [None, 0, -1, -25567, 2932896, 11016, 19782]
    if types.is_timestamp(kind):
        return [None, 0, -1, 1, -2208988800_000000, 253402300799_000000, 951782400_000000]
    return [None]


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_date32(kind):
        return pa.array(values, pa.int32()).cast(kind)
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.int64()).cast(pa.timestamp("us", kind.tz)).cast(kind)
    if pa.types.is_floating(kind) and kind.bit_width == 32:
        with np.errstate(over="ignore"):
            numbers = np.array([np.nan if v is None else v for v in values], dtype=np.float64).astype(
                np.float32
            )
        return pa.array(numbers, kind, mask=np.array([v is None for v in values]))
    return pa.array(values, kind)
