"""Two jobs by which a person moves the champion: to a version of their choice, and back to the one before."""

from typing import Any

import dagster as dg
from pydantic import Field

from synml_dagster.checks.shadow_registry import DATA_VERSION_TAG, DECISION_TAG, leave_for
from synml_dagster.errors import ConfigError
from synml_dagster.resources import MLflowResource, ModelVersion
from synml_dagster.resources.said_first import said_first


class PromoteRun(dg.Config):
    """What `<pipeline>_promote` asks for."""

    version: str | None = Field(
        default=None, description="The version that becomes champion; the challenger where absent."
    )
    reason: str = Field(default="by hand", description="Why, for those who read the history.")


class RollbackRun(dg.Config):
    """What `<pipeline>_rollback` asks for."""

    version: str | None = Field(
        default=None,
        description="The version to put back; the one that was champion before the present one, and was not taken back, where absent.",
    )
    reason: str = Field(default="by hand", description="Why, for those who read the history.")


def promotion_jobs(
    pipeline: str, champion: dg.AssetKey, registered: str | None = None
) -> list[dg.JobDefinition]:
    """Return the jobs `<pipeline>_promote` and `<pipeline>_rollback`; both note on the asset `champion` what they did."""
    name = registered or pipeline

    @dg.op(name=f"{pipeline}_promote_version")
    def promote_version(context: dg.OpExecutionContext, config: PromoteRun, mlflow: MLflowResource) -> None:
        with said_first(), mlflow.deciding(name):
            held = mlflow.champion(name)
            if config.version is None:
                wanted = mlflow.aliased(name, "challenger")
                if wanted is None:
                    raise ConfigError(
                        f"there is no challenger of {name!r}: run {pipeline}_train, or name a version."
                    )
            else:
                wanted = _version(mlflow, name, config.version)
            _move(context, mlflow, name, champion, held, wanted, f"promoted {config.reason}")

    @dg.op(name=f"{pipeline}_put_back")
    def put_back(context: dg.OpExecutionContext, config: RollbackRun, mlflow: MLflowResource) -> None:
        with said_first(), mlflow.deciding(name):
            held = mlflow.champion(name)
            if held is None:
                raise ConfigError(f"{name!r} has no champion, so there is nothing to take back.")
            if config.version is None:
                wanted = mlflow.promoted_before(name, held)
                if wanted is None:
                    raise ConfigError(
                        f"no version of {name!r} was champion before version {held.version} and is not taken back. Name the version to put in its place."
                    )
            else:
                wanted = _version(mlflow, name, config.version)
            _move(context, mlflow, name, champion, held, wanted, f"put back {config.reason}", back=True)

    tags = {"synml/pipeline": pipeline}

    @dg.job(
        name=f"{pipeline}_promote",
        description="Makes a version champion, the challenger where none is named. Its rows are scored by the next score run.",
        tags={**tags, "synml/job": "promote"},
    )
    def promote() -> None:
        promote_version()

    @dg.job(
        name=f"{pipeline}_rollback",
        description="Puts the version back that was champion before; launched again, the one before that. The next run does not undo it.",
        tags={**tags, "synml/job": "rollback"},
    )
    def rollback() -> None:
        put_back()

    return [promote, rollback]


def _version(mlflow: MLflowResource, name: str, number: str) -> ModelVersion:
    found = mlflow.version(name, number)
    if found is None:
        raise ConfigError(f"there is no version {number!r} of {name!r} in the registry.")
    return found


def _move(
    context: dg.OpExecutionContext,
    mlflow: MLflowResource,
    name: str,
    champion: dg.AssetKey,
    held: ModelVersion | None,
    wanted: ModelVersion,
    what: str,
    back: bool = False,
) -> None:
    before = f"version {held.version}" if held else "no version"
    if held is not None and held.version == wanted.version:
        context.log.info(f"version {wanted.version} is the champion already")
        return
    if back:
        mlflow.put_back(name, wanted)
    else:
        mlflow.promote(name, wanted)
    said = f"version {wanted.version} {what}, in place of {before}"
    if left := leave_for(mlflow, name, wanted):
        said += f"; {left}"
    mlflow.note(name, wanted, {DECISION_TAG: said})
    context.log.info(said)
    told: dict[str, Any] = {"decision": said, "champion version": wanted.version, "run": context.run_id}
    # As a materialization: what follows the champion by Dagster's conditions looks at those, and at their data version.
    serves = {DATA_VERSION_TAG: str(wanted.version)}
    context.log_event(
        dg.AssetMaterialization(asset_key=champion, description=said, metadata=told, tags=serves)
    )
