"""The YAML face of a column of answers: `type: synml_dagster.ServiceComponent` in a `defs.yaml`."""

from __future__ import annotations

from typing import Any

import dagster as dg
from dagster.components import Scaffolder, ScaffoldRequest
from pydantic import BaseModel

from synml_dagster.errors import ConfigError
from synml_dagster.scaffolding import name_of, write_executor
from synml_dagster.service_assets.column import ServiceColumn

_TEMPLATE = """\
type: {type_name}

attributes:
  name: {name}
  # A path to csv, parquet, json ... from the project's root, or one of: {{table: db.reviews}}, {{sql: SELECT ...}}, {{jdbc: ...}}
  source: {source}
  # Or openai.responses, openai.embeddings, azure.language.sentiment and its kin, or http for a service of your own
  service:
    type: openai.chat
    model: {model}
    # {{column}} takes a row's value
    prompt: "{prompt}"
  output: answer
  # The NAME of the environment variable that holds the key, never the key itself
  key: OPENAI_API_KEY
  # What your account grants: limits: {{requests_per_minute: 500, tokens_per_minute: 200000}}
  limits: {{in_flight: 32}}
  errors: {{at_most: 1%}}
"""

# What a scaffold writes where it was told nothing; a column that still says so is refused.
_NO_SOURCE = "path/to/table.csv"
_NO_PROMPT = "Sum up in one sentence: {the_column_of_texts}"


class ScaffoldParams(BaseModel):
    """What `dg scaffold defs` can fill in: `--source data.csv --prompt "Sum up: {text}" --model gpt-5-mini`."""

    source: str = _NO_SOURCE
    prompt: str = _NO_PROMPT
    model: str = "gpt-5-mini"


class ServiceScaffolder(Scaffolder[ScaffoldParams]):
    """Writes a `defs.yaml` that runs once the source and the prompt are filled in, and an executor where there is none."""

    @classmethod
    def get_scaffold_params(cls) -> type[ScaffoldParams]:
        """Return the options that the command takes."""
        return ScaffoldParams

    def scaffold(self, request: ScaffoldRequest[ScaffoldParams]) -> None:
        """Write the files; the group is named after the folder."""
        if request.scaffold_format != "yaml":
            raise ConfigError(
                "ServiceComponent is scaffolded as YAML; in Python write ServiceColumn(...).definitions()"
            )
        request.target_path.mkdir(parents=True, exist_ok=True)
        params = request.params or ScaffoldParams()
        prompt = params.prompt.replace("\\", "\\\\").replace('"', '\\"')
        text = _TEMPLATE.format(
            type_name=request.type_name, name=name_of(request, "column"), source=params.source, prompt=prompt, model=params.model
        )  # fmt: skip
        (request.target_path / "defs.yaml").write_text(text, encoding="utf-8")
        write_executor(request)
        told = (("source", params.source, _NO_SOURCE), ("prompt", params.prompt, _NO_PROMPT))
        if missing := [key for key, given, none in told if given == none]:
            print(f"Fill in {' and '.join(missing)} in {request.target_path / 'defs.yaml'}.")


@dg.scaffold_with(ServiceScaffolder)
class ServiceComponent(dg.Component):
    """A column of answers from an HTTP service: a model, one of Azure's AI services, or any other by a description.

    Each distinct input is sent once, within the limits of the key; finished answers are never asked for again; rows with an error go to
    a table of their own, and a check bounds their share. All attributes are those of `ServiceColumn`. Relative paths
    are taken from the project's root. Override `get_asset_spec` to set owners, tags or automation conditions.
    """

    def __init__(self, column: ServiceColumn) -> None:
        self.column = column

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Return the schema of `attributes`: the description itself, so that YAML and Python share every message."""
        return ServiceColumn

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> ServiceComponent:
        """Build the component from a checked `attributes`, after filling in `{{ env.X }}` and its kin."""
        assert isinstance(attributes, ServiceColumn)
        told: Any = attributes.model_dump(exclude_unset=True)
        resolved = context.resolution_context.at_path("attributes").resolve_value(told)
        column = ServiceColumn.model_validate(resolved)
        missing = []
        if column.source.path == _NO_SOURCE:
            missing.append(f"`source` is still {_NO_SOURCE!r}; say where the table is")
        if column.service.get("prompt") == _NO_PROMPT:
            missing.append("`prompt` is still that of the scaffold; say what to ask")
        if missing:
            raise ConfigError(
                f"{context.path / 'defs.yaml'} is as it was scaffolded: {', and '.join(missing)}."
            )
        service = dict(column.service)
        if service.get("type") == "local.embeddings" and isinstance(service.get("folder"), str):
            service["folder"] = str(context.project_root / service["folder"])
        return cls(
            column.model_copy(
                update={"source": column.source.under(context.project_root), "service": service}
            )
        )

    def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        """Return the spec of one of the assets; the place to add owners, tags or conditions."""
        return spec

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the column's definitions."""
        return self.column.definitions(change_spec=self.get_asset_spec)
