"""MLflow as a Dagster resource: one MLflow run per Dagster run, and the registry of models."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import dagster as dg
from pydantic import Field, PrivateAttr

from synml_dagster.errors import SetupError
from synml_dagster.files.filesystems import is_remote
from synml_dagster.redaction import redacted
from synml_dagster.resources.champions import Champions
from synml_dagster.resources.data_directory import DataDirectory
from synml_dagster.resources.mlflow_run import STEP_TAG, MLflowRun, find_or_make_run, find_run, settle
from synml_dagster.resources.mlflow_store import is_shared, open_client, sqlite_file
from synml_dagster.resources.model_registry import (
    ModelVersion,
    aliased,
    download,
    numbered,
    set_alias,
)
from synml_dagster.resources.registry_turns import registry_turn
from synml_dagster.resources.run_tags import MLFLOW_TAG, tag_run
from synml_dagster.turns import take_turns

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


EXPERIMENT = "mlflow/experiment"
"""In an asset's metadata, the experiment that its runs are filed under in place of the resource's own."""


class MLflowResource(dg.ConfigurableResource):
    """MLflow's client, the one MLflow run that belongs to a Dagster run, and the registry with its aliases.

    MLflow is imported when the resource is first used.

    Examples
    --------
    >>> @dg.asset  # doctest: +SKIP
    ... def model(context: dg.AssetExecutionContext, mlflow: MLflowResource):
    ...     with mlflow.run(context) as run:
    ...         run.log_metrics({"auc": 0.93})
    ...         version = run.register("adult", "path/to/bundle")
    ...     mlflow.set_alias("adult", "challenger", version)
    """

    tracking_uri: str | None = Field(
        default=None,
        description="MLflow's tracking store. Default: the environment's MLFLOW_TRACKING_URI, else SQLite in the data directory.",
    )
    experiment: str = Field(default="synml_dagster", description="The experiment that runs are filed under.")
    ui_url: str | None = Field(
        default=None,
        description="Where MLflow's UI is served, for links to runs; a tracking server's own address is known.",
    )
    dagster_url: str | None = Field(
        default=None,
        description="Where Dagster's UI is served, for the link from an MLflow run to its Dagster run. Default: the environment's DAGSTER_UI_URL.",
    )
    data_dir: str | None = Field(
        default=None, description="The data directory. Default: the environment's SYNML_DATA_DIR."
    )

    _client: Any = PrivateAttr(default=None)
    _used: bool = PrivateAttr(default=False)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[MLflowResource]:
        """Lend the resource to a run or a step; a step that failed outside of `run` marks the MLflow run too."""
        try:
            yield self
        finally:
            run_id, instance = context.run.run_id if context.run else None, context.instance
            if run_id is not None and instance is not None:
                # The step's own error is what a person has to see, not one of closing the books.
                with suppress(Exception):
                    self.close_run(instance, run_id)

    def resolved_uri(self) -> str:
        """Return the address of the tracking store."""
        if named := self.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI"):
            return named
        return f"sqlite:///{DataDirectory(self.data_dir).local('mlflow', 'mlflow.db')}"

    @property
    def client(self) -> MlflowClient:
        """MLflow's client of the tracking store and the registry.

        Raises
        ------
        SetupError
            The store cannot be opened or reached.
        """
        if self._client is None:
            self._client = open_client(self.resolved_uri())
        return self._client

    @contextmanager
    def run(self, context: Any) -> Iterator[MLflowRun]:
        """Lend the MLflow run of the Dagster run of `context` to its step.

        It is the same for all steps of the Dagster run, one after the other or at the same time. Left by an error, it
        is FAILED; left in order, it is FINISHED unless other steps of it failed or still run. Its link and id become
        metadata of the step's output.
        """
        dagster_run = context.run
        step = context.op_execution_context.get_step_execution_context().step.key
        experiment_id = self._experiment_id(_experiment_of(context) or self.experiment)
        entity = find_or_make_run(
            self.client,
            experiment_id,
            dagster_run.run_id,
            name=f"{dagster_run.job_name}-{dagster_run.run_id[:8]}",
            tags={"dagster.job_name": dagster_run.job_name, **self._address_of(dagster_run.run_id)},
        )
        run_id = entity.info.run_id
        lent = MLflowRun(self.client, run_id, experiment_id, self._url(experiment_id, run_id))
        self._used = True
        tag_run(context.instance, dagster_run.run_id, MLFLOW_TAG, lent.url)
        self.client.set_tag(run_id, STEP_TAG + step, "running")
        self.client.update_run(run_id, status="RUNNING")
        state = "failed"
        try:
            yield lent
            state = "finished"
        finally:
            self.client.set_tag(run_id, STEP_TAG + step, state)
            settle(self.client, run_id)
        _link(context, lent)

    def close_run(self, instance: dg.DagsterInstance, dagster_run_id: str) -> None:
        """Mark the MLflow run of a Dagster run FAILED where one of its steps has failed.

        Call it from a run-failure hook or sensor to mark runs whose process was killed, too.
        """
        steps = {s.step_key: s.status for s in instance.get_run_step_stats(dagster_run_id)}
        failed = sorted(k for k, s in steps.items() if s is not None and s.value == "FAILURE")
        if not failed:
            return
        if not self._used and (file := sqlite_file(self.resolved_uri())) is not None and not file.exists():
            return
        every = [str(e.experiment_id) for e in self.client.search_experiments()]
        if (entity := find_run(self.client, every, dagster_run_id)) is None:
            return
        for step in failed:
            self.client.set_tag(entity.info.run_id, STEP_TAG + step, "failed")
        settle(self.client, entity.info.run_id)

    def champion(self, name: str) -> ModelVersion | None:
        """Return the version of the model `name` that predictions are made with, or None where none was promoted."""
        return aliased(self.client, name, "champion")

    def version(self, name: str, number: str) -> ModelVersion | None:
        """Return a version of the model `name`, or None where there is none of that number."""
        return numbered(self.client, name, number)

    def aliased(self, name: str, alias: str) -> ModelVersion | None:
        """Return the version of the model `name` that `alias` points at, or None."""
        return aliased(self.client, name, alias)

    def set_alias(self, name: str, alias: str, version: ModelVersion | str | int) -> None:
        """Let `alias` point at `version`, and at no other version of the model `name`."""
        set_alias(self.client, name, alias, version)

    def remove_alias(self, name: str, alias: str) -> None:
        """Let `alias` point at no version of the model `name`."""
        self.client.delete_registered_model_alias(name, alias)

    def noted(self, version: ModelVersion) -> dict[str, str]:
        """Return the tags of a version, as they are now."""
        return dict(self.client.get_model_version(version.name, version.version).tags)

    def note(self, name: str, version: ModelVersion, facts: Mapping[str, Any]) -> None:
        """Tag a version with facts, such as why it was promoted or not."""
        for key, value in facts.items():
            self.client.set_model_version_tag(name, version.version, key, redacted(str(value))[:5000])

    def describe(self, version: ModelVersion, text: str) -> None:
        """Let `text`, which is Markdown, be the version's description in the registry."""
        self.client.update_model_version(version.name, version.version, text)

    def promote(self, name: str, version: ModelVersion) -> None:
        """Let the alias `champion` point at `version`, and note that it became champion after the one that was."""
        self._champions(name).promote(version)

    def put_back(self, name: str, version: ModelVersion) -> None:
        """Let the alias `champion` point at `version`; the champion, and those that were promoted between the two, count as taken back."""
        self._champions(name).put_back(version)

    @contextmanager
    def deciding(self, name: str, seconds: float = 120) -> Iterator[None]:
        """Let one process at a time ask for the aliases of `name` and move them: of this host, and of all that share a tracking server.

        MLflow moves an alias whatever it points at. Ask for the champion inside of the block, and compare it with the one
        that the decision was about, before you promote. See `registry_turns` for how hosts agree.

        Raises
        ------
        SetupError
            Another process has been in the block for `seconds`.
        """
        busy = SetupError(
            f"mlflow: another process has been promoting a version of {name!r} for {seconds:.0f} s; is it stuck? Ending it frees its lock."
        )
        # Processes of one SQLite file may have data directories of their own.
        file, lock = sqlite_file(self.resolved_uri()), f".{quote(name, safe='')}.lock"
        directory = DataDirectory(self.data_dir)
        place = file.parent / lock if file is not None else directory.kept_here("mlflow", lock)
        with take_turns(place, busy, seconds):
            if not is_shared(self.resolved_uri()):
                yield
                return
            with registry_turn(self.client, name, busy, seconds):
                yield

    def rolled_back_from(self, name: str, holder: ModelVersion | None) -> list[ModelVersion]:
        """Return the versions that a person has taken back since `holder`, the champion, was promoted; the last champion among them first."""
        return [] if holder is None else Champions(self.client, name, holder).rejected()

    def promoted_before(self, name: str, holder: ModelVersion) -> ModelVersion | None:
        """Return the version that was champion before `holder`, the champion, and was not taken back; None where there is none."""
        return Champions(self.client, name, holder).before()

    def _champions(self, name: str) -> Champions:
        return Champions(self.client, name, self.champion(name))

    def download(self, version: ModelVersion) -> str:
        """Return a local directory with the files of `version`."""
        directory = DataDirectory(self.data_dir)
        cache = None if is_remote(directory.resolved()) else Path(directory.path("mlflow", "downloads"))
        return download(self.client, self.resolved_uri(), version, cache)

    def _experiment_id(self, name: str) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        # Artifacts beside the SQLite file: MLflow's own default is a folder of the working directory.
        file = sqlite_file(self.resolved_uri())
        place = (file.parent / "artifacts").as_uri() if file is not None else None
        try:
            return str(self.client.create_experiment(name, artifact_location=place))
        except Exception:
            # A step beside this one was first.
            if (found := self.client.get_experiment_by_name(name)) is None:
                raise
            return str(found.experiment_id)

    def _address_of(self, dagster_run_id: str) -> dict[str, str]:
        base = self.dagster_url or os.environ.get("DAGSTER_UI_URL")
        return {"dagster.run_url": f"{redacted(base).rstrip('/')}/runs/{dagster_run_id}"} if base else {}

    def _url(self, experiment_id: str, run_id: str) -> str:
        base = redacted(self.ui_url or self.resolved_uri())
        if base.startswith(("http://", "https://")):
            return f"{base.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}"
        return f"mlflow runs describe --run-id {run_id}, with MLFLOW_TRACKING_URI={base}"


def _experiment_of(context: Any) -> str | None:
    """Return the experiment that the metadata of the step's asset names."""
    try:
        specs = list(context.assets_def.specs)
    except Exception:  # a context of something else than assets
        return None
    named = next((spec.metadata[EXPERIMENT] for spec in specs if EXPERIMENT in spec.metadata), None)
    return None if named is None else str(getattr(named, "value", named))


def _link(context: Any, run: MLflowRun) -> None:
    """Put the way to the MLflow run on the step's output or asset, where the step has exactly one."""
    shown = dg.MetadataValue.url(run.url) if run.url.startswith("http") else dg.MetadataValue.text(run.url)
    told = {"mlflow/run_id": run.run_id, "mlflow/run": shown}
    outputs = list(context.op_execution_context.selected_output_names)
    with suppress(Exception):  # contexts that take no metadata: a check's, a test's
        if len(outputs) == 1:
            context.add_output_metadata(told, output_name=outputs[0])
        else:  # an asset with checks; of several assets it is said of none
            context.add_asset_metadata(told)
