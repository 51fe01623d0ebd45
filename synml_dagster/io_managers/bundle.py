"""Bundles of files between assets: models, plans, metrics, pages."""

from __future__ import annotations

import atexit
import importlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Protocol, TypeVar, get_args, get_origin, runtime_checkable

import dagster as dg
from dagster import DagsterInvariantViolationError
from pydantic import Field

from synml_dagster.errors import ConfigError, ModelError, SourceError, SynmlError
from synml_dagster.files.filesystems import filesystem_of
from synml_dagster.io_managers.failures import clearly_loaded, clearly_stored
from synml_dagster.io_managers.place import asset_root, input_roots, metadata_of, output_roots
from synml_dagster.io_managers.run_versions import own_versions, replaced
from synml_dagster.io_managers.work import work_of
from synml_dagster.tables.versions import VersionedDirectory

Loaded = TypeVar("Loaded")


@runtime_checkable
class Bundle(Protocol):
    """What the IO manager stores: it saves itself into a directory, and its class loads one."""

    def save(self, directory: str) -> Any:
        """Write files into `directory`, which exists and is empty."""

    @classmethod
    def load(cls, directory: str) -> Any:
        """Read what `save` wrote."""


@runtime_checkable
class Announced(Protocol):
    """A bundle whose run says in its log where it lies."""

    def announced(self, directory: str) -> str:
        """Return that line."""


class BundleIOManager(dg.ConfigurableIOManager):
    """Stores an object with `save(directory)` and a classmethod `load(directory)` as a versioned directory.

    The class that loads comes from the code and never from the stored files, so that opening them runs nothing that
    they choose: the input's annotation, else `metadata={"bundle": "package.module:Class"}` of the `AssetIn` or of the
    asset that returned it, else that asset's own annotation where it is part of the same run.

    Each partition of a partitioned asset is a directory of its own; a downstream asset that reads several gets a dict
    by partition key.
    """

    data_dir: str | None = Field(
        default=None, description="The data directory. Default: the environment's SYNML_DATA_DIR."
    )
    keep: int = Field(
        default=5, ge=1, description="How many versions of a bundle stay, the current one among them."
    )

    @clearly_stored
    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Save the object as a new version and let readers see it once it is whole."""
        if not isinstance(obj, Bundle):
            raise ConfigError(
                f"{_what(context)} returned a {type(obj).__qualname__}, and its IO manager stores objects with save(directory) and load(directory)"
            )
        roots = output_roots(context, self.data_dir)
        if len(roots) > 1:
            raise ConfigError(
                f"{_what(context)} returned one object for {len(roots)} partitions at once. Run its partitions one by one."
            )
        (root,) = roots.values()
        directory = VersionedDirectory(root)
        version = directory.new_version()
        try:
            files = _save(obj, directory, version)
            kind = f"{type(obj).__module__}:{type(obj).__qualname__}"
            directory.publish(version, {"format": "bundle", "class": kind, "files": files}, self.keep)
        except BaseException:
            directory.discard(version)
            raise
        if isinstance(obj, Announced):
            context.log.info(obj.announced(directory.path(version)))
        context.add_output_metadata(
            {
                "dagster/uri": directory.root,
                "dagster/storage_kind": "files",
                "version": version,
                "path": dg.MetadataValue.path(directory.path(version)),
                "files": ", ".join(files),
                # In words: Dagster plots every number, and this one would be the first plot of each asset.
                "size": _size(sum(files.values())),
                **work_of(context.run_id, context.step_key, sum(files.values())),
            }
        )

    @clearly_loaded
    def load_input(self, context: dg.InputContext) -> Any:
        """Load the version that this run published, else the current one, with the class that the code names."""
        kind = _class_of(context)
        roots, own = input_roots(context, self.data_dir), own_versions(context)
        loaded = {part: _load(kind, root, context, part, own.get(part)) for part, root in roots.items()}
        return next(iter(loaded.values())) if len(loaded) == 1 else loaded


def last_bundle(io_manager: Any, kind: type[Loaded], *key: str) -> Loaded | None:
    """Return what the asset `key` returned last, or None where there is none, or none that `kind` can load.

    For an asset that goes on from its own last output; not for one of several partitions.
    """
    if not isinstance(io_manager, BundleIOManager):
        return None
    directory = VersionedDirectory(asset_root(io_manager.data_dir, *key))
    try:
        return kind.load(_local(directory, directory.manifest()))  # type: ignore[attr-defined]
    except (SynmlError, OSError, ValueError, KeyError):
        return None


def _save(obj: Bundle, directory: VersionedDirectory, version: str) -> dict[str, int]:
    """Write the files of a version and return their sizes by name."""
    if not directory.remote:
        folder = Path(directory.path(version))
        folder.mkdir(parents=True)
        obj.save(str(folder))
        return _sizes(folder)
    with tempfile.TemporaryDirectory(prefix="synml-bundle-") as local:
        obj.save(local)
        sizes = _sizes(Path(local))
        filesystem, inside = filesystem_of(directory.path(version))
        for name in sizes:
            filesystem.put_file(os.path.join(local, name), f"{inside}/{name}")
    return sizes


def _size(count: int) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000  # type: ignore[assignment]
    return f"{count:.3g} GB"


def _sizes(folder: Path) -> dict[str, int]:
    found = {str(p.relative_to(folder)): p.stat().st_size for p in sorted(folder.rglob("*")) if p.is_file()}
    if not found:
        raise ModelError(f"nothing was saved into {str(folder)!r}: a bundle holds at least one file")
    return found


def _load(kind: Any, root: str, context: dg.InputContext, part: str | None, version: str | None) -> Any:
    directory = VersionedDirectory(root)
    where = (context.asset_key.to_user_string() if context.has_asset_key else root) + (
        f", partition {part!r}" if part is not None else ""
    )
    try:
        manifest = directory.manifest(version)
    except SourceError as problem:
        raise replaced(where, version, problem) from problem
    try:
        return kind.load(_local(directory, manifest))
    except SynmlError:
        raise
    except Exception as problem:
        raise ModelError(
            f"{where}: {kind.__qualname__} cannot load what {manifest.get('class')} saved in {directory.path(manifest['version'])!r}: {problem}"
        ) from problem


def _local(directory: VersionedDirectory, manifest: dict[str, Any]) -> str:
    path = directory.path(manifest["version"])
    if not directory.remote:
        return path
    # An object may read its files later than `load`, so they stay as long as this process.
    local = tempfile.mkdtemp(prefix="synml-bundle-")
    atexit.register(shutil.rmtree, local, ignore_errors=True)
    filesystem, inside = filesystem_of(path)
    for name in manifest["files"]:
        target = Path(local) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        filesystem.get_file(f"{inside}/{name}", str(target))
    return local


def _class_of(context: dg.InputContext) -> Any:
    upstream = context.upstream_output
    annotated = context.dagster_type.typing_type
    candidates = [
        annotated,
        get_args(annotated)[-1] if get_origin(annotated) is dict else None,  # of several partitions
        _named(metadata_of(context.definition_metadata).get("bundle")),
        _named(metadata_of(upstream.definition_metadata).get("bundle")) if upstream is not None else None,
        _returned_by(upstream),
    ]
    for kind in candidates:
        if isinstance(kind, type) and callable(getattr(kind, "load", None)):
            return kind
    raise ConfigError(
        f"nothing says which class loads the input {context.name!r}. Annotate the argument with it, or give "
        'AssetIn(metadata={"bundle": "package.module:Class"}).'
    )


def _returned_by(upstream: dg.OutputContext | None) -> Any:
    try:
        return upstream.dagster_type.typing_type if upstream is not None else None
    except DagsterInvariantViolationError:  # the upstream asset is not part of this run
        return None


def _named(name: Any) -> Any:
    if name is None or isinstance(name, type):
        return name
    module, _, attribute = str(name).partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as problem:
        raise ConfigError(
            f'metadata "bundle" must name a class as "package.module:Class" but got {name!r}: {problem}'
        ) from problem


def _what(context: dg.OutputContext) -> str:
    return context.asset_key.to_user_string() if context.has_asset_key else f"the output {context.name!r}"
