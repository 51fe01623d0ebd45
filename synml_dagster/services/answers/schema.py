"""JSON schemas: which Spark type one is, whether a value fits it, and the strict form that services ask for."""

from __future__ import annotations

import copy
import re
from typing import Any

from synml_dagster.errors import ConfigError

_SIMPLE = {"string": "string", "integer": "bigint", "number": "double", "boolean": "boolean"}
_KNOWN = {
    "type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf", "$ref", "$defs", "allOf",
    "title", "description", "default", "examples", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength",
    "maxLength", "minItems", "maxItems", "pattern", "format", "multipleOf", "$schema", "definitions", "$id", "strict",
}  # fmt: skip


def schema_of(given: Any) -> dict[str, Any]:
    """Return the JSON schema of a pydantic model, or a schema as it is.

    Raises
    ------
    ConfigError
        It is neither, or has no Spark type.
    """
    schema = given.model_json_schema() if hasattr(given, "model_json_schema") else given
    if not isinstance(schema, dict):
        raise ConfigError(
            f"schema: a pydantic model or a JSON schema is needed, and this is a {type(given).__name__}"
        )
    check_schema(schema)
    return schema


def check_schema(schema: dict[str, Any]) -> None:
    """Refuse a schema that is none, or whose values a column cannot hold.

    Raises
    ------
    ConfigError
        It names the place in the schema.
    """
    spark_type(schema)


def spark_type(schema: dict[str, Any]) -> str:
    """Return the schema's type in Spark's words.

    Examples
    --------
    >>> spark_type({"type": "object", "properties": {"n": {"type": "integer"}, "t": {"type": "array", "items": {"type": "string"}}}})
    'struct<`n`:bigint,`t`:array<string>>'
    """
    return _type(schema, schema, "schema", ())


def _type(part: Any, whole: dict[str, Any], where: str, above: tuple[str, ...]) -> str:
    part, above = _resolved(part, whole, where, above)
    if unknown := set(part) - _KNOWN:
        raise ConfigError(f"{where}: {sorted(unknown)[0]!r} is no keyword of schemas that a column can have")
    if "anyOf" in part:
        kinds = {_type(one, whole, where, above) for one in part["anyOf"] if one.get("type") != "null"}
        if len(kinds) != 1:
            raise ConfigError(
                f"{where}: anyOf of several types cannot be a column; leave one, and null beside it"
            )
        return kinds.pop()
    kind = part.get("type")
    if isinstance(kind, list):
        kinds = {one for one in kind if one != "null"}
        if len(kinds) != 1:
            raise ConfigError(f"{where}: {kind} are several types, which a column cannot have")
        kind = kinds.pop()
    if kind is None and ("enum" in part or "const" in part):
        values = part.get("enum", [part.get("const")])
        kind = "string" if all(isinstance(v, str) or v is None for v in values) else None
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if kind == "array":
        if "items" not in part:
            raise ConfigError(f"{where}: an array needs items, which say the type of its elements")
        return f"array<{_type(part['items'], whole, f'{where}.items', above)}>"
    if kind == "object":
        more = part.get("additionalProperties")
        if part.get("properties"):
            names = {name.casefold() for name in part["properties"]}
            if len(names) < len(part["properties"]):
                raise ConfigError(
                    f"{where}: two properties differ by case alone, which Spark cannot tell apart"
                )
            fields = (
                f"`{name.replace('`', '``')}`:{_type(one, whole, f'{where}.{name}', above)}"
                for name, one in part["properties"].items()
            )
            return f"struct<{','.join(fields)}>"
        if isinstance(more, dict) and more:
            return f"map<string,{_type(more, whole, f'{where}.additionalProperties', above)}>"
        raise ConfigError(f"{where}: an object needs properties")
    raise ConfigError(
        f"{where}: {kind!r} is no type of JSON that a column can hold; use {', '.join(_SIMPLE)}, array or object"
    )


def _resolved(
    part: Any, whole: dict[str, Any], where: str, above: tuple[str, ...]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    if not isinstance(part, dict):
        raise ConfigError(f"{where}: {part!r} is no schema")
    if "allOf" in part and len(part["allOf"]) == 1:
        part = {**part["allOf"][0], **{k: v for k, v in part.items() if k != "allOf"}}
    while "$ref" in part:
        name = str(part["$ref"])
        if name in above:
            raise ConfigError(f"{where}: {name} contains itself, which a column cannot")
        above = (*above, name)
        found: Any = whole
        for step in name.removeprefix("#/").split("/"):
            found = found.get(step) if isinstance(found, dict) else None
        if not isinstance(found, dict):
            raise ConfigError(f"{where}: there is no {name} in the schema")
        part = {**found, **{k: v for k, v in part.items() if k != "$ref"}}
    return part, above


def misfit(value: Any, schema: dict[str, Any]) -> str | None:
    """Return what about `value` does not fit the schema, None where it fits.

    Examples
    --------
    >>> misfit({"n": "3"}, {"type": "object", "properties": {"n": {"type": "integer"}}})
    "n: 'integer' is asked for, and this is 'string'"
    """
    return _misfit(value, schema, schema, "")


def _misfit(value: Any, part: dict[str, Any], whole: dict[str, Any], where: str) -> str | None:
    part, _ = _resolved(part, whole, where, ())
    said = f"{where}: " if where else ""
    if "anyOf" in part:
        problems = [_misfit(value, one, whole, where) for one in part["anyOf"]]
        return None if None in problems else problems[0]
    kinds = part.get("type")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is_kind(value, kind) for kind in kinds):
        return f"{said}{' or '.join(map(repr, kinds))} is asked for, and this is {_kind(value)!r}"
    if "enum" in part and value not in part["enum"]:
        return f"{said}is none of {part['enum']}"
    if "const" in part and value != part["const"]:
        return f"{said}is not {part['const']!r}"
    if isinstance(value, dict):
        return _misfit_object(value, part, whole, where)
    if isinstance(value, list):
        if not part.get("minItems", 0) <= len(value) <= part.get("maxItems", len(value)):
            return f"{said}has {len(value)} items"
        for i, one in enumerate(value):
            if "items" in part and (problem := _misfit(one, part["items"], whole, f"{where}[{i}]")):
                return problem
        return None
    return _out_of_bounds(value, part, said)


def _misfit_object(
    value: dict[str, Any], part: dict[str, Any], whole: dict[str, Any], where: str
) -> str | None:
    inside = f"{where}." if where else ""
    for name in part.get("required", []):
        if name not in value:
            return f"{inside}{name} is missing"
    properties, more = part.get("properties", {}), part.get("additionalProperties", True)
    for name, one in value.items():
        if name in properties:
            problem = _misfit(one, properties[name], whole, f"{inside}{name}")
        elif more is False:
            problem = f"{inside}{name} is not asked for"
        else:
            problem = _misfit(one, more, whole, f"{inside}{name}") if isinstance(more, dict) else None
        if problem:
            return problem
    return None


def _out_of_bounds(value: Any, part: dict[str, Any], said: str) -> str | None:
    if isinstance(value, str):
        if not part.get("minLength", 0) <= len(value) <= part.get("maxLength", len(value)):
            return f"{said}has {len(value)} characters"
        if "pattern" in part and not re.search(part["pattern"], value):
            return f"{said}does not match {part['pattern']!r}"
    elif isinstance(value, int | float) and not isinstance(value, bool):
        for key, wrong in (
            ("minimum", lambda bound: value < bound), ("maximum", lambda bound: value > bound),
            ("exclusiveMinimum", lambda bound: value <= bound), ("exclusiveMaximum", lambda bound: value >= bound),
        ):  # fmt: skip
            if key in part and wrong(part[key]):
                return f"{said}{value} is beyond its {key}, {part[key]}"
    return None


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    for kind, types in (
        ("boolean", bool),
        ("integer", int),
        ("number", float),
        ("string", str),
        ("array", list),
    ):
        if isinstance(value, types):
            return kind
    return "object"


def _is_kind(value: Any, kind: str) -> bool:
    own = _kind(value)
    return (
        own == kind
        or (kind == "number" and own == "integer")
        or (kind == "integer" and own == "number" and value == int(value))
    )


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema as structured outputs want it: every property required, and none beside them.

    Defaults of None go, and a reference that has words beside it is written out, as the OpenAI SDK does it.
    """
    made = copy.deepcopy(schema)
    return _strict(made, made)


def _strict(part: Any, whole: dict[str, Any]) -> Any:
    if not isinstance(part, dict):
        return part
    for group in ("$defs", "definitions"):
        for one in part.get(group, {}).values():
            _strict(one, whole)
    if part.get("type") == "object" and "additionalProperties" not in part:
        part["additionalProperties"] = False
    if isinstance(part.get("properties"), dict):
        part["required"] = list(part["properties"])
        part["properties"] = {name: _strict(one, whole) for name, one in part["properties"].items()}
    if isinstance(part.get("items"), dict):
        part["items"] = _strict(part["items"], whole)
    if isinstance(part.get("anyOf"), list):
        part["anyOf"] = [_strict(one, whole) for one in part["anyOf"]]
    if isinstance(part.get("allOf"), list):
        if len(part["allOf"]) == 1:
            part.update(_strict(part["allOf"][0], whole))
            part.pop("allOf")
        else:
            part["allOf"] = [_strict(one, whole) for one in part["allOf"]]
    if "default" in part and part["default"] is None:
        part.pop("default")
    if "$ref" in part and len(part) > 1:
        found: Any = whole
        for step in str(part["$ref"]).removeprefix("#/").split("/"):
            found = found[step]
        part.update({**copy.deepcopy(found), **part})
        part.pop("$ref")
        return _strict(part, whole)
    return part
