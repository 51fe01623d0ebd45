"""Raw values as a person reads them in a table: text of Arrow columns, as scoring was given them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synml_dagster.explain.value_names import MISSING

if TYPE_CHECKING:
    import pyarrow as pa

    from synml_dagster.columns import RawInput


def value_texts(values: pa.Array, raw: RawInput) -> pa.Array:
    """Return the values of a raw column as Arrow strings, without nulls.

    Parameters
    ----------
    values
        As the graph was given them: the table's own, or a double where Spark has made one (days of a date, microseconds of a
        timestamp).
    raw
        The column in the plan.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    kind = values.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        sizes = pc.list_value_length(values).cast(pa.string())
        return pc.fill_null(pc.binary_join_element_wise(sizes, "values", " "), MISSING)
    if pa.types.is_floating(kind):
        # NaN is how a missing number comes, and no number of days.
        values = pc.if_else(pc.is_finite(values), values, pa.scalar(None, kind))
        if raw.storage in ("date", "timestamp"):
            values = _times(values, raw.storage)
            kind = values.type
    if pa.types.is_timestamp(kind):
        values = values.cast(pa.timestamp("s", kind.tz), safe=False)
    texts = values.cast(pa.string())
    return pc.fill_null(pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts), MISSING)


def _times(values: pa.Array, storage: str) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    known = values.is_valid()
    whole = pc.fill_null(pc.floor(values), 0.0).to_numpy(zero_copy_only=False).astype(np.int64)
    if storage == "date":
        times = pa.array(whole.astype(np.int32), pa.int32()).cast(pa.date32())
    else:
        times = pa.array(whole, pa.int64()).cast(pa.timestamp("us"))
    return pc.if_else(known, times, pa.scalar(None, times.type))
