"""Where a model comes from: a version or an alias in MLflow's registry, a bundle's folder, or an .onnx file."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import ConfigError, ModelError, SetupError, did_you_mean
from synml_dagster.onnx import OnnxModel
from synml_dagster.redaction import redacted, without_secrets
from synml_dagster.serving.model import ServedModel

if TYPE_CHECKING:
    from synml_dagster.resources.model_registry import ModelVersion

_MODELS = "models:/"
_ADDRESS = re.compile(r"models:/(?P<name>[^/@:]+)(?:@(?P<alias>[^/@]+)|/(?P<version>[0-9]+))")


class ModelSource(ABC):
    """A place that a model is opened from."""

    moves = False
    """Whether another version may be there later."""

    @abstractmethod
    def open(self) -> ServedModel:
        """Return the model that is there now.

        Raises
        ------
        ConfigError, ModelError, SetupError
            It is not there, or cannot be opened.
        """


class FileSource(ModelSource):
    """A bundle's folder, or an .onnx file; the version is the beginning of the graph's digest."""

    def __init__(self, place: str | Path) -> None:
        self.place = Path(place)

    def open(self) -> ServedModel:
        """Open the file."""
        model = OnnxModel.load(self.place)
        given = self.place.resolve()
        name = model.metadata.get("pipeline") or (given.name if given.is_dir() else given.stem)
        return ServedModel(name, model.digest[:12], model)


class RegistrySource(ModelSource):
    """A version in MLflow's registry, by its number or by an alias.

    Parameters
    ----------
    address
        `models:/name@alias` or `models:/name/number`.
    tracking_uri
        MLflow's tracking store; the environment's, or the one in the data directory, when None.
    """

    def __init__(self, address: str, tracking_uri: str | None = None) -> None:
        found = _ADDRESS.fullmatch(address)
        if found is None:
            raise ConfigError(
                f"{address!r} names no version in MLflow's registry; write models:/name@alias, as models:/adult@champion, or models:/name/3."
            )
        self.address = address
        self.name, self.alias, self.number = found["name"], found["alias"], found["version"]
        self.moves = self.alias is not None
        self._given_uri = tracking_uri
        self._client: Any = None

    def tracking_uri(self) -> str:
        """Return the address of the tracking store."""
        if named := self._given_uri or os.environ.get("MLFLOW_TRACKING_URI"):
            return named
        from synml_dagster.resources.data_directory import DataDirectory

        return f"sqlite:///{DataDirectory().local('mlflow', 'mlflow.db')}"

    def open(self) -> ServedModel:
        """Open the version that the address names now.

        Raises
        ------
        ModelError
            There is no such model, version or alias, or its files are gone or damaged. The message names those that are there.
        SetupError
            The store cannot be reached.
        """
        version = self.find()
        if version is None:
            raise ModelError(self._absent())
        return self.open_version(version)

    def find(self) -> ModelVersion | None:
        """Return the version that the address names now, or None."""
        from synml_dagster.resources.model_registry import aliased, numbered

        client = self.client()
        try:
            return (
                aliased(client, self.name, self.alias)
                if self.moves
                else numbered(client, self.name, self.number)
            )
        except Exception as problem:
            told = next(iter(str(problem).splitlines()), type(problem).__name__)
            raise SetupError(
                f"mlflow: {redacted(self.tracking_uri())!r} did not answer: {told}"
            ) from without_secrets(problem)

    def open_version(self, version: ModelVersion) -> ServedModel:
        """Fetch the files of a version, where they are not on this host, and open them."""
        from synml_dagster.resources.model_registry import download

        folder = download(self.client(), self.tracking_uri(), version, None)
        return ServedModel(version.name, version.version, OnnxModel.load(folder))

    def client(self) -> Any:
        """Return MLflow's client, opened once."""
        if self._client is None:
            # A store that does not answer is asked again by the next look, and need not be waited for here.
            os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
            os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
            from synml_dagster.resources.mlflow_store import open_client, sqlite_file

            uri = self.tracking_uri()
            file = sqlite_file(uri)
            if file is not None and not file.exists():
                raise SetupError(
                    f"mlflow: there is no store at {str(file)!r}. Say where it is by --tracking-uri or MLFLOW_TRACKING_URI, or set SYNML_DATA_DIR to the pipelines' data directory."
                )
            self._client = open_client(uri)
        return self._client

    def _absent(self) -> str:
        """Say what is not there, and what is."""
        from synml_dagster.resources.model_registry import of_model

        client, store = self.client(), redacted(self.tracking_uri())
        try:
            model = client.get_registered_model(self.name)
        except Exception:
            names = sorted(found.name for found in client.search_registered_models(max_results=100))
            listed = ", ".join(names[:20]) or "none"
            return f"mlflow: {store!r} has no model {self.name!r}; it has {listed}.{did_you_mean(self.name, names)}"
        if not self.moves:
            numbers = sorted(
                (int(v.version) for v in client.search_model_versions(of_model(self.name))), reverse=True
            )
            listed = ", ".join(map(str, numbers[:20])) or "none"
            return f"mlflow: the model {self.name!r} has no version {self.number}; it has {listed}."
        aliases = {str(alias): str(number) for alias, number in dict(model.aliases).items()}
        listed = (
            ", ".join(f"{alias} (version {number})" for alias, number in sorted(aliases.items())) or "none"
        )
        return f"mlflow: the model {self.name!r} has no alias {self.alias!r}; it has {listed}.{did_you_mean(self.alias, aliases)}"


def model_source(given: str | Path, tracking_uri: str | None = None) -> ModelSource:
    """Return the source that an argument names.

    Raises
    ------
    ConfigError
        It is neither an address of a registry nor a file or folder.
    """
    text = os.fspath(given)
    if text.startswith("models:"):
        if not text.startswith(_MODELS):
            raise ConfigError(f"{text!r} names no model; write models:/name@alias.")
        return RegistrySource(text, tracking_uri)
    if not os.path.exists(text):
        raise ConfigError(
            f"There is no model at {text!r}: a bundle's folder or an .onnx file is needed, or models:/name@alias."
        )
    return FileSource(text)
