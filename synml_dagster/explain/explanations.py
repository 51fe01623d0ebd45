"""What explaining a sample found, as a bundle: the rows and their SHAP values in Parquet, the rest in JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ModelError
from synml_dagster.explain.value_names import FeatureReading
from synml_dagster.learners import Link

_SAMPLE, _ABOUT, _CHOSEN = "sample.parquet", "explanations.json", "chosen"


@dataclass(frozen=True, eq=False)
class Explanations:
    """Exact SHAP values of a sample of rows.

    For every row and output, `base + phi.sum(over features)` is the model's raw score (log-odds for binary, one score
    per class for multiclass, the label's own unit for plain regression).
    """

    task: str
    features: list[str]
    outputs: list[str]
    """One name per output: the classes of a multiclass task, else one."""
    base: NDArray[np.float64]
    """[outputs] mean raw score of the training rows."""
    values: NDArray[np.float32]
    """[rows, features] what the model saw."""
    phi: NDArray[np.float32]
    """[rows, features, outputs]"""
    label: NDArray[np.float64] | None = None
    """[rows] the label as in the features table (class index or number), where the table had it."""
    classes: list[str] = field(default_factory=list)
    readings: dict[str, FeatureReading] = field(default_factory=dict)
    """How a feature's value reads in the raw table, for the features where that differs."""
    link: Link = Link()  # noqa: RUF009 (frozen)
    """How the raw score becomes the answer."""
    method: str = "Exact tree SHAP values"
    """How the values were found, in words."""
    table_rows: int | None = None
    """Rows of the table that the sample was drawn from."""
    partners: dict[str, list[str | None]] = field(default_factory=dict)
    """The feature that each feature interacts with most, by output, None where there is none; empty where it was not told by
    interaction values."""
    chosen: Explanations | None = None
    """Rows that the description chose, explained the same way."""
    chosen_by: str = ""
    """The column that the chosen rows are told apart by."""
    ids: list[str] = field(default_factory=list)
    """The value of `chosen_by` of each chosen row."""
    notes: list[str] = field(default_factory=list)
    """What could not be explained as it was asked for."""

    @property
    def rows(self) -> int:
        """How many rows were explained."""
        return len(self.values)

    @cached_property
    def importance(self) -> dict[str, float]:
        """Mean size of the SHAP value by feature, outputs added up; largest first."""
        size = (
            np.abs(self.phi).mean(0, dtype=np.float64).sum(1) if self.rows else np.zeros(len(self.features))
        )
        order = np.argsort(-size, kind="stable")
        return {self.features[i]: float(size[i]) for i in order}

    @cached_property
    def raw_score(self) -> NDArray[np.float64]:
        """The model's raw score, float64 [rows, outputs]."""
        return self.base + self.phi.sum(1, dtype=np.float64)

    @cached_property
    def probability(self) -> NDArray[np.float64] | None:
        """Probability by class, float64 [rows, classes], of binary and multiclass tasks."""
        if self.task not in ("binary", "multiclass"):
            return None
        answers = self.link.apply(self.raw_score)
        return np.column_stack([1 - answers, answers]) if answers.shape[1] == 1 else answers

    @cached_property
    def prediction(self) -> NDArray[np.float64]:
        """The number predicted by the first output, float64 [rows]."""
        return self.link.apply(self.raw_score)[:, 0]

    def shown(self, row: int, feature: int) -> str:
        """Return a feature's value as a reader knows it from the raw table."""
        reading = self.readings.get(self.features[feature], FeatureReading())
        return reading.text(float(self.values[row, feature]))

    def save(self, directory: str | Path) -> None:
        """Write `sample.parquet` and `explanations.json` into `directory`, made if need be."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        target = Path(directory)
        target.mkdir(parents=True, exist_ok=True)
        columns: dict[str, NDArray] = {} if self.label is None else {"label": self.label}
        columns |= {f"value:{name}": self.values[:, i] for i, name in enumerate(self.features)}
        for i, name in enumerate(self.features):
            for j in range(len(self.outputs)):
                columns[self._shap_column(name, j)] = self.phi[:, i, j]
        pq.write_table(pa.table(columns), target / _SAMPLE, compression="zstd")
        about = {
            "version": 1,
            "task": self.task,
            "features": self.features,
            "outputs": self.outputs,
            "base": self.base.tolist(),
            "classes": self.classes,
            "readings": {
                name: reading.model_dump(exclude_defaults=True) for name, reading in self.readings.items()
            },
            "link": self.link.name,
            "slope": self.link.slope,
            "method": self.method,
            "rows": self.rows,
            "table_rows": self.table_rows,
            "importance": self.importance,
            "partners": self.partners,
            "chosen_by": self.chosen_by,
            "ids": self.ids,
            "notes": self.notes,
        }
        if self.chosen is not None:
            self.chosen.save(target / _CHOSEN)
        (target / _ABOUT).write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: str | Path) -> Explanations:
        """Read what `save` wrote.

        Raises
        ------
        ModelError
            When the files are absent or are no explanations.
        """
        import pyarrow.parquet as pq

        source = Path(directory)
        try:
            about = json.loads((source / _ABOUT).read_text(encoding="utf-8"))
            table = pq.read_table(source / _SAMPLE)
            features, outputs = about["features"], about["outputs"]

            def column(name: str) -> NDArray:
                return table.column(name).to_numpy()

            empty = np.zeros((table.num_rows, 0), dtype=np.float32)
            values = np.column_stack([empty, *(column(f"value:{name}") for name in features)])
            phi = np.zeros((table.num_rows, len(features), len(outputs)), dtype=np.float32)
            for i, name in enumerate(features):
                for j in range(len(outputs)):
                    phi[:, i, j] = column(f"shap:{name}" if len(outputs) == 1 else f"shap:{name}:{j}")
            return cls(
                task=about["task"],
                features=features,
                outputs=outputs,
                base=np.array(about["base"], dtype=np.float64),
                values=values.astype(np.float32),
                phi=phi,
                label=column("label") if "label" in table.column_names else None,
                classes=about["classes"],
                readings={name: FeatureReading(**reading) for name, reading in about["readings"].items()},
                link=_link(about),
                method=about.get("method", cls.method),
                table_rows=about["table_rows"],
                partners=about.get("partners", {}),
                chosen=cls.load(source / _CHOSEN) if about.get("ids") else None,
                chosen_by=about.get("chosen_by", ""),
                ids=about.get("ids", []),
                notes=about.get("notes", []),
            )
        except FileNotFoundError as error:
            raise ModelError(f"{source} holds no explanations: {error.filename} is not there.") from error
        except (KeyError, ValueError, TypeError) as error:
            raise ModelError(f"{source} holds no explanations that this version reads: {error}") from error

    def _shap_column(self, name: str, output: int) -> str:
        return f"shap:{name}" if len(self.outputs) == 1 else f"shap:{name}:{output}"


def _link(about: dict[str, Any]) -> Link:
    """Read a link; the first explanations wrote other names, and a `sigmoid` for the slope."""
    names = {"log": "exp", "sqrt": "square", "logit": "logistic"}
    name = names.get(about["link"], about["link"])
    return Link(name, float(about.get("slope", about.get("sigmoid", 1.0))))
