"""Versions of models in MLflow's registry: directories without pickle, and the aliases that say which one is used."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from synml_dagster.cache import cache_directory
from synml_dagster.errors import ConfigError, ModelError
from synml_dagster.redaction import without_secrets

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as Entity
    from mlflow.tracking import MlflowClient

_PICKLES = {".pkl", ".pickle", ".joblib", ".cloudpickle", ".dill"}


@dataclass(frozen=True)
class ModelVersion:
    """One version of a registered model.

    Attributes
    ----------
    name, version
        The model's name and the version's number, as MLflow counts them.
    source
        Where its files are.
    run_id
        The MLflow run that made it.
    aliases
        The aliases that point at it, `champion` and `challenger` among them.
    """

    name: str
    version: str
    source: str
    run_id: str | None = None
    aliases: tuple[str, ...] = ()
    description: str = ""


def register(
    client: MlflowClient, run_id: str, name: str, directory: str | os.PathLike[str], description: str | None
) -> ModelVersion:
    """Store `directory` with the run `run_id` and register it as the next version of the model `name`.

    Raises
    ------
    ConfigError
        The directory is not there or is empty, or the name is none that MLflow can keep and find.
    ModelError
        It holds a pickle: opening a model must run no code.
    """
    folder = Path(directory)
    files = [p for p in folder.rglob("*") if p.is_file()] if folder.is_dir() else []
    if not files:
        raise ConfigError(
            f"mlflow: {str(folder)!r} is not a directory with files in it; there is nothing to register"
        )
    if pickles := sorted(str(p.relative_to(folder)) for p in files if p.suffix.lower() in _PICKLES):
        raise ModelError(
            f"mlflow: {pickles} look like pickles, and a registered model holds none. Save ONNX, text or JSON."
        )
    if wrong := wrong_name(name):
        raise ConfigError(f"mlflow: {wrong}")
    # A folder of its own for each version: a step that is tried again must not change what it registered before.
    place = f"models/{name}/{os.urandom(4).hex()}"
    client.log_artifacts(run_id, str(folder), place)
    source = f"{client.get_run(run_id).info.artifact_uri}/{place}"
    ensure_model(client, name)
    made = client.create_model_version(name, source=source, run_id=run_id, description=description)
    return _ours(made)


def aliased(client: MlflowClient, name: str, alias: str) -> ModelVersion | None:
    """Return the version of the model `name` that `alias` points at, or None."""
    return (
        _ours(found) if (found := answer_of(lambda: client.get_model_version_by_alias(name, alias))) else None
    )


def numbered(client: MlflowClient, name: str, number: str) -> ModelVersion | None:
    """Return the version of that number, or None."""
    entity = answer_of(lambda: client.get_model_version(name, number))
    return None if entity is None else _ours(entity)


def set_alias(client: MlflowClient, name: str, alias: str, version: ModelVersion | str | int) -> None:
    """Let `alias` point at `version`, and at no other version of the model."""
    number = version.version if isinstance(version, ModelVersion) else str(version)
    if answer_of(lambda: client.get_model_version(name, number)) is None:
        raise ModelError(f"mlflow: the model {name!r} has no version {number!r}")
    client.set_registered_model_alias(name, alias, number)


def tagged_versions(client: MlflowClient, name: str) -> list[tuple[ModelVersion, dict[str, str]]]:
    """Return all versions of the model `name` with their tags."""
    found, token = [], None
    while True:
        page = client.search_model_versions(of_model(name), page_token=token)
        found += [(_ours(entity), dict(entity.tags or {})) for entity in page]
        token = page.token
        if not token:
            return found


def of_model(name: str) -> str:
    """Return the filter of MLflow's searches that finds the versions of the model `name`.

    Its grammar knows no way to write a quote within quotes, and both kinds of quotes.
    """
    quote = '"' if "'" in name else "'"
    return f"name={quote}{name}{quote}"


def wrong_name(name: str) -> str | None:
    """Say why MLflow cannot keep a model of that name, or not find its versions again; None where it can."""
    if not name.strip() or {"/", ":"} & set(name):
        return f"a registered model's name is not empty and has neither a slash nor a colon, but got {name!r}"
    if {"'", '"'} <= set(name):
        return f"MLflow cannot search for a registered model whose name has both kinds of quotes; keep one kind in {name!r}"
    return None


def download(client: MlflowClient, tracking_uri: str, version: ModelVersion, cache: Path | None) -> str:
    """Return a local directory with the files of `version`; files of this host are not copied.

    Raises
    ------
    ModelError
        The files are gone or cannot be fetched.
    """
    parsed = urlparse(version.source)
    if parsed.scheme in ("", "file"):
        local = unquote(parsed.path) if parsed.scheme else version.source
        if not os.path.isdir(local):
            raise ModelError(
                f"mlflow: the files of {version.name} version {version.version} are not at {local!r}"
            )
        return local
    import mlflow

    # Version 1 of one server is not version 1 of another, nor of one that was set up anew.
    told = f"{tracking_uri}|{version.name}|{version.version}|{version.source}|{version.run_id}"
    mark = hashlib.sha256(told.encode()).hexdigest()[:12]
    target = (cache or cache_directory() / "models") / version.name / f"{version.version}-{mark}"
    if target.is_dir():
        return str(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=target.parent) as folder:
        try:
            got = mlflow.artifacts.download_artifacts(
                artifact_uri=version.source, dst_path=folder, tracking_uri=tracking_uri
            )
        except Exception as problem:
            raise ModelError(
                f"mlflow: the files of {version.name} version {version.version} cannot be fetched from {version.source!r}: {problem}"
            ) from without_secrets(problem)
        try:
            os.rename(got, target)
        except OSError:
            if not target.is_dir():  # else a step beside this one was first
                raise
    return str(target)


def ensure_model(client: MlflowClient, name: str) -> None:
    """Register the model `name`, without a version, unless it is."""
    if answer_of(lambda: client.get_registered_model(name)) is not None:
        return
    try:
        client.create_registered_model(name)
    except Exception:
        # Another process was first.
        if answer_of(lambda: client.get_registered_model(name)) is None:
            raise


def answer_of(ask: Callable[[], Any]) -> Any:
    """Return the answer, or None where MLflow says that it does not exist."""
    from mlflow.exceptions import MlflowException

    try:
        return ask()
    except MlflowException as problem:
        if problem.error_code == "RESOURCE_DOES_NOT_EXIST" or "not found" in str(problem):
            return None
        raise


def _ours(entity: Entity) -> ModelVersion:
    return ModelVersion(
        name=entity.name,
        version=str(entity.version),
        source=entity.source or "",
        run_id=entity.run_id,
        aliases=tuple(entity.aliases or ()),
        description=entity.description or "",
    )
