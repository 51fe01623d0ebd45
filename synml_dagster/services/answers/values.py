"""Values of JSON in the types of a column: exactly, or not at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


class MisfitError(ValueError):
    """A value does not have the type that its column has."""


def conform(value: Any, kind: pa.DataType, where: str = "the value") -> Any:
    """Return `value` as an Arrow array of `kind` takes it; fields that a struct does not have are left out.

    Raises
    ------
    MisfitError
        A text where a number belongs, a number with a fraction where a whole one does, and the like.
    """
    import pyarrow as pa

    if value is None:
        return None
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if pa.types.is_boolean(kind) and isinstance(value, bool):
        return value
    if pa.types.is_floating(kind) and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if pa.types.is_integer(kind) and not isinstance(value, bool):
        if isinstance(value, int) or (isinstance(value, float) and value == int(value)):
            whole, bits = int(value), kind.bit_width - 1
            if -(2**bits) <= whole < 2**bits:
                return whole
        raise MisfitError(f"{where} is no whole number that a {kind} holds")
    if pa.types.is_list(kind) and isinstance(value, list):
        simple = pa.types.is_floating(kind.value_type) and all(type(one) is float for one in value)
        return (
            value
            if simple
            else [conform(one, kind.value_type, f"{where}[{i}]") for i, one in enumerate(value)]
        )
    if pa.types.is_struct(kind) and isinstance(value, dict):
        return {
            field.name: conform(value.get(field.name), field.type, f"{where}.{field.name}") for field in kind
        }
    if pa.types.is_map(kind) and isinstance(value, dict):
        return [(str(key), conform(one, kind.item_type, f"{where}.{key}")) for key, one in value.items()]
    if pa.types.is_binary(kind) and isinstance(value, bytes):
        return value
    raise MisfitError(f"{where} is a {type(value).__name__}, and its column holds {kind}")
