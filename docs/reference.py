"""Writes docs/reference/description.md: every option of a pipeline's description, from the models that check it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from synml_dagster.evaluation import METRICS, primary_metric
from synml_dagster.learners import learner_names, learner_of
from synml_dagster.pipeline import MLPipeline

PAGE = Path(__file__).parent / "reference" / "description.md"

_HEAD = """\
# The description

<!-- Written by docs/reference.py from the code; `make docs-reference` writes it anew. -->

Every option of a pipeline, as it stands under `attributes` of a `defs.yaml` and as an argument of
[`MLPipeline`](../api/pipeline.md). Only `name`, `source` and `label` are required. An unknown option, a wrong type and a
combination that cannot work are refused, with the name of the option, before anything runs.

[How-to guides](../how-to/first-model.md) show the options in use.
"""
_BOUNDS = (
    ("minimum", "≥ {}"),
    ("exclusiveMinimum", "> {}"),
    ("maximum", "≤ {}"),
    ("exclusiveMaximum", "< {}"),
)


def page() -> str:
    """Return the page's text."""
    schema = MLPipeline.model_json_schema()
    parts = [_HEAD, _table("The pipeline", "pipeline", "", schema, schema)]
    parts += [
        _table(f"`{path}`", _anchor(path), _summary(model), model, schema) for path, model in _models(schema)
    ]
    parts += [_learners(), _metrics()]
    return "\n".join(parts)


def options(schema: dict[str, Any] | None = None) -> list[str]:
    """Return the path of each option, such as `split.test` and `features.overrides.<column>.kind`."""
    schema = schema or MLPipeline.model_json_schema()
    found = list(schema["properties"])
    for path, model in _models(schema):
        found += [f"{path}.{name}" for name in model["properties"]]
    return found


def _models(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the parts of a description in the order of their options, each with its path; `score.source` is `source` again."""
    waiting, seen = [("", schema)], set[str]()
    while waiting:
        path, model = waiting.pop(0)
        for name, option in model["properties"].items():
            for reference, step in _references(option):
                if reference not in seen:
                    seen.add(reference)
                    below = (f"{path}.{name}" if path else name) + step
                    part = _resolved(reference, schema)
                    waiting.append((below, part))
                    yield below, part


def _references(option: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "$ref" in option:
        yield option["$ref"], ""
    for one in option.get("anyOf", []):
        yield from _references(one)
    if isinstance(option.get("additionalProperties"), dict):
        words = {"ParameterRange": ".<parameter>", "DimensionSpec": ".<name>"}
        word = next((w for kind, w in words.items() if kind in json.dumps(option)), ".<column>")
        for reference, step in _references(option["additionalProperties"]):
            yield reference, word + step


def _resolved(reference: str, schema: dict[str, Any]) -> dict[str, Any]:
    part: dict[str, Any] = schema["$defs"][reference.rsplit("/", 1)[-1]]
    # A source is a path or a mapping; the mapping has the options.
    return part if "properties" in part else next(one for one in part["anyOf"] if "properties" in one)


def _anchor(path: str) -> str:
    return path.replace("<", "").replace(">", "").replace(".", "-")


def _summary(model: dict[str, Any]) -> str:
    """The first paragraph of a model's docstring, in Markdown."""
    return " ".join(str(model.get("description", "")).split("\n\n")[0].split())


def _table(title: str, anchor: str, summary: str, model: dict[str, Any], schema: dict[str, Any]) -> str:
    lines = [f"## {title} {{ #{anchor} }}", ""]
    lines += [summary, ""] if summary else []
    lines += ["| option | type | default | description |", "|---|---|---|---|"]
    required, classes = model.get("required", []), _classes(MLPipeline)
    for name, option in model["properties"].items():
        default = "**required**" if name in required else _default(classes[model["title"]], name)
        cells = (f"`{name}`", _type(option, schema), default, option.get("description", ""))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, ""])


def _classes(root: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """The models that a description is made of, by name: their schema leaves out defaults that are made."""
    found, waiting = {root.__name__: root}, [f.annotation for f in root.model_fields.values()]
    while waiting:
        kind = waiting.pop()
        waiting += get_args(kind)
        if isinstance(kind, type) and issubclass(kind, BaseModel) and kind.__name__ not in found:
            found[kind.__name__] = kind
            waiting += [field.annotation for field in kind.model_fields.values()]
    return found


def _default(model: type[BaseModel], name: str) -> str:
    value = model.model_fields[name].get_default(call_default_factory=True)
    if value is None or value in ([], {}) or isinstance(value, BaseModel):
        return "-"
    if isinstance(value, list):
        return ", ".join(f"`{one}`" for one in value)
    return f"`{json.dumps(value) if not isinstance(value, str) else value}`"


def _type(option: dict[str, Any], schema: dict[str, Any]) -> str:
    """The type of an option in words, with a link where it has options of its own."""
    if "$ref" in option:
        name = option["$ref"].rsplit("/", 1)[-1]
        path = next((p for p, m in _models(schema) if m is _resolved(option["$ref"], schema)), "")
        link = f"[options](#{_anchor(path)})"
        return f"path or {link}" if name == "Source" else link
    if "anyOf" in option:
        return " or ".join(_type(one, schema) for one in option["anyOf"] if one.get("type") != "null")
    if "enum" in option:
        return ", ".join(f"`{value}`" for value in option["enum"])
    if "const" in option:
        return f"`{option['const']}`"
    kind = option.get("type")
    if kind == "array":
        return f"list of {_type(option['items'], schema)}"
    if kind == "object":
        inner = option.get("additionalProperties")
        return f"mapping to {_type(inner, schema)}" if isinstance(inner, dict) and inner else "mapping"
    word = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}.get(
        str(kind), "any"
    )
    word = {"date": "date"}.get(option.get("format", ""), word)
    bounds = [said.format(f"{option[key]:,}".replace(",", " ")) for key, said in _BOUNDS if key in option]
    return f"{word}, {', '.join(bounds)}" if bounds else word


def _learners() -> str:
    lines = [
        "## What a sweep searches { #search-space }",
        "",
        "Where `sweep.space` is absent. A parameter that `train.params` names is never searched.",
        "",
        "| learner | tasks | parameter | from | to | scale | first trial |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in learner_names():
        learner = learner_of(name)
        start = learner.start()
        for parameter, values in learner.space().items():
            scale = "log" if values.log else "linear"
            if values.choices is not None:
                low, high, scale = ", ".join(f"`{json.dumps(one)}`" for one in values.choices), "", "choice"
            else:
                low, high = str(values.low), str(values.high)
            cells = (
                name,
                ", ".join(sorted(learner.tasks)),
                f"`{parameter}`",
                low,
                high,
                scale,
                start[parameter],
            )
            lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join([*lines, ""])


def _metrics() -> str:
    lines = [
        "## Metrics { #metrics }",
        "",
        "What `promote.metric` may name. In bold: the metric that decides where it is absent.",
        "",
        "| task | metric | better | meaning |",
        "|---|---|---|---|",
    ]
    for task, infos in METRICS.items():
        for name, info in infos.items():
            shown = f"**`{name}`**" if name == primary_metric(task) else f"`{name}`"
            better = "higher" if info.higher_is_better else "lower"
            lines.append(f"| {task} | {shown} | {better} | {info.meaning} |")
    return "\n".join([*lines, ""])


def main() -> int:
    """Write the page; with `--check`, say whether it is current."""
    if "--check" in sys.argv:
        return 0 if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page() else 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
