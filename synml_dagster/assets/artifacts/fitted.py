"""What a trained model is made of, which it carries: its plan, its sweep, and the versions of the tables that it saw."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import ModelError, SourceError
from synml_dagster.features import SPLIT, SPLITS, FeaturePlan
from synml_dagster.learners import TrainedModel
from synml_dagster.onnx import OnnxModel
from synml_dagster.tables import Accompanied, Table, TableUnion, open_table, read_text, together
from synml_dagster.tuning import SweepResult

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from synml_dagster.files import ParquetFiles
    from synml_dagster.tables.task_writes import MadeRows

_PLAN, _RAW, _MADE_OF = "_plan.json", "_raw.json", "made_of.json"
_PARITY = "parity.json"


def with_its_plan(
    rows: DataFrame | ParquetFiles | MadeRows,
    plan: FeaturePlan,
    raw: Table,
    more: Mapping[str, str] | None = None,
) -> Accompanied:
    """Return rows of a features table with the plan that made them, the versions of the raw rows, and `more` texts by their file."""
    texts = {_PLAN: plan.model_dump_json() + "\n", _RAW: json.dumps(_versions(raw)) + "\n"}
    return Accompanied(rows, {**texts, **(more or {})})


def plan_of(features: Table) -> FeaturePlan:
    """Return the plan that made a features table."""
    return FeaturePlan.from_json(read_text(features, _PLAN))


@dataclass(frozen=True)
class FittedPipeline:
    """A trained model with what it was made of: whatever looks at it sees the very rows that it was trained and held out on.

    Attributes
    ----------
    model, plan, sweep
        The model, the plan that made its features, and the search that found its parameters.
    features_at, raw_at
        (root, version) of the features table, and of the raw table or of each of its partitions.
    rows
        How many `train`, `validation` and `test` hold.
    """

    model: TrainedModel
    plan: FeaturePlan
    sweep: SweepResult
    features_at: tuple[str, str]
    raw_at: tuple[tuple[str, str], ...]
    rows: Mapping[str, int]

    @classmethod
    def of(
        cls, model: TrainedModel, plan: FeaturePlan, sweep: SweepResult, features: Table
    ) -> FittedPipeline:
        """Return it with the versions that `features` is and was made of."""
        raw = tuple((root, version) for root, version in json.loads(read_text(features, _RAW)))
        rows = {split: features.files(**{SPLIT: split}).count() for split in SPLITS}
        return cls(model, plan, sweep, (features.root, features.version), raw, rows)

    @property
    def features(self) -> Table:
        """The features table, in the version that the model was trained on."""
        return _opened([self.features_at], "features")

    @property
    def raw(self) -> Table:
        """The raw table, in the version that the features were made of."""
        return _opened(self.raw_at, "raw rows")

    def save(self, directory: str | Path) -> None:
        """Write the parts' own files and `made_of.json` into `directory`."""
        self.model.save(directory)
        self.plan.save(directory)
        self.save_origin(directory)

    def save_origin(self, directory: str | Path) -> None:
        """Write what a bundle does not have: `sweep.json` and `made_of.json`."""
        self.sweep.save(directory)
        made_of = {"features": self.features_at, "raw": self.raw_at, "rows": dict(self.rows)}
        (Path(directory) / _MADE_OF).write_text(json.dumps(made_of, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: str | Path) -> FittedPipeline:
        """Read what `save` wrote.

        Raises
        ------
        ModelError
            A file is missing: an earlier version of this package wrote the model.
        """
        folder = Path(directory)
        try:
            made_of = json.loads((folder / _MADE_OF).read_text(encoding="utf-8"))
            return cls(
                TrainedModel.load(folder),
                FeaturePlan.load(folder),
                SweepResult.load(folder),
                tuple(made_of["features"]),
                tuple((root, version) for root, version in made_of["raw"]),
                made_of["rows"],
            )
        except (FileNotFoundError, KeyError) as problem:
            raise ModelError(
                f"the model in {str(folder)!r} does not say what it was made of ({problem}): an earlier version of synml_dagster wrote it. Materialize the model again."
            ) from problem


@dataclass(frozen=True)
class ExportedPipeline:
    """A fitted pipeline, the graph that it was exported as, and what comparing the two has found."""

    fitted: FittedPipeline
    onnx: OnnxModel
    parity: Mapping[str, Any] | None = None

    def save(self, directory: str | Path) -> None:
        """Write the parts' own files into `directory`."""
        self.fitted.save(directory)
        self.onnx.save(directory)
        self.save_parity(directory)

    def save_parity(self, directory: str | Path) -> None:
        """Write `parity.json`, where the two were compared."""
        if self.parity is not None:
            (Path(directory) / _PARITY).write_text(
                json.dumps(dict(self.parity), indent=1) + "\n", encoding="utf-8"
            )

    @classmethod
    def load(cls, directory: str | Path) -> ExportedPipeline:
        """Read what `save` wrote."""
        told = Path(directory) / _PARITY
        parity = json.loads(told.read_text(encoding="utf-8")) if told.exists() else None
        return cls(FittedPipeline.load(directory), OnnxModel.load(directory), parity)


def _versions(table: Table) -> list[tuple[str, str]]:
    parts = table.parts if isinstance(table, TableUnion) else (table,)
    return [(part.root, part.version) for part in parts]


def _opened(places: Sequence[tuple[str, str]], what: str) -> Table:
    try:
        found = [open_table(root, version) for root, version in places]
    except SourceError as problem:
        raise SourceError(
            f"the {what} that this model was trained on are gone, because newer ones have been published since: {problem}. Materialize the model again."
        ) from problem
    return together(found)
