"""What a model's columns do to its answers in general, as a bundle of tables that any reader of Parquet can query."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synml_dagster.errors import ConfigError, ModelError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from synml_dagster.explain.effects.ale import AccumulatedEffect
    from synml_dagster.explain.effects.dependence import Dependence
    from synml_dagster.explain.effects.permutation import PermutationImportance

_ABOUT = "effects.json"
_KINDS: dict[str, dict[str, str]] = {
    "dependence": {
        "column": "str",
        "value": "str",
        "number": "float64",
        "column_2": "str",
        "value_2": "str",
        "number_2": "float64",
        "output": "str",
        "mean": "float64",
        "deviation": "float64",
    },
    "curves": {
        "column": "str",
        "row": "int64",
        "value": "str",
        "number": "float64",
        "output": "str",
        "answer": "float64",
    },
    "accumulated": {"column": "str", "number": "float64", "output": "str", "effect": "float64"},
    "permutation": {
        "column": "str",
        "mean": "float64",
        "deviation": "float64",
        "low": "float64",
        "high": "float64",
    },
}
TABLES = tuple(_KINDS)
"""The names of the tables."""


@dataclass(frozen=True, eq=False)
class Effects:
    """Partial dependence, curves of single rows, accumulated local effects and permutation importance of raw columns.

    Attributes
    ----------
    task, outputs
        The task, and a name for each of the model's answers: the classes of several, else what is answered.
    rows
        Rows that were asked about.
    metric, baseline
        What the permutation importance is measured by, and its value on the rows as they are; None where it is not.
    tables
        `dependence`, `curves`, `accumulated` and `permutation`, each empty where it was not asked for.
    mean_answer
        By output, over the rows: what accumulated effects are added to in pictures.
    notes
        What could not be told, and why.
    """

    task: str
    outputs: list[str]
    rows: int
    tables: dict[str, pd.DataFrame]
    metric: str | None = None
    baseline: float | None = None
    mean_answer: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        task: str,
        outputs: Sequence[str],
        rows: int,
        dependence: Sequence[Dependence],
        accumulated: Sequence[AccumulatedEffect],
        permutation: PermutationImportance | None,
        mean_answer: Sequence[float],
        notes: Sequence[str] = (),
    ) -> Effects:
        """Return what the three found as tables."""
        lines: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
        for one in dependence:
            lines["dependence"] += _dependence_lines(one, outputs)
            lines["curves"] += _curve_lines(one, outputs)
        for effect in accumulated:
            lines["accumulated"] += [
                {
                    "column": effect.column,
                    "number": float(edge),
                    "output": outputs[j],
                    "effect": float(effect.effect[i, j]),
                }
                for i, edge in enumerate(effect.edges)
                for j in range(effect.effect.shape[1])
            ]
        if permutation is not None:
            lines["permutation"] = permutation.to_pandas().to_dict("records")
        return cls(
            task=task,
            outputs=list(outputs),
            rows=rows,
            tables={name: _table(name, found) for name, found in lines.items()},
            metric=permutation.metric if permutation else None,
            baseline=permutation.baseline if permutation else None,
            mean_answer=[float(v) for v in mean_answer],
            notes=list(notes),
        )

    def to_pandas(self, name: str = "dependence") -> pd.DataFrame:
        """Return one of the tables.

        Raises
        ------
        ConfigError
            There is no table of that name.
        """
        if name not in self.tables:
            raise ConfigError(
                f"effects: there is no table {name!r}, but {', '.join(self.tables)}.{did_you_mean(name, self.tables)}"
            )
        return self.tables[name]

    @property
    def columns(self) -> list[str]:
        """The columns with a partial dependence of their own, in the order that they were asked for."""
        told = self.tables["dependence"]
        return list(dict.fromkeys(told.loc[told["column_2"].isna(), "column"]))

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The pairs of columns with one together."""
        told = self.tables["dependence"].dropna(subset="column_2")
        return list(dict.fromkeys(zip(told["column"], told["column_2"], strict=True)))

    def reach(self, column: str, output: str) -> float:
        """Return by how much the mean answer moves over a column's values."""
        told = self.tables["dependence"]
        mean = told.loc[
            (told["column"] == column) & told["column_2"].isna() & (told["output"] == output), "mean"
        ]
        return float(mean.max() - mean.min()) if len(mean) else 0.0

    def save(self, directory: str | Path) -> None:
        """Write a Parquet file a table and `effects.json` into `directory`, made if need be."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        target = Path(directory)
        target.mkdir(parents=True, exist_ok=True)
        for name, table in self.tables.items():
            pq.write_table(pa.Table.from_pandas(table, preserve_index=False), target / f"{name}.parquet")
        about = {
            "version": 1,
            "task": self.task,
            "outputs": self.outputs,
            "rows": self.rows,
            "metric": self.metric,
            "baseline": self.baseline,
            "mean_answer": self.mean_answer,
            "notes": self.notes,
        }
        (target / _ABOUT).write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: str | Path) -> Effects:
        """Read what `save` wrote.

        Raises
        ------
        ModelError
            A file is absent, or is none that this version reads.
        """
        import pyarrow.parquet as pq

        source = Path(directory)
        try:
            about = json.loads((source / _ABOUT).read_text(encoding="utf-8"))
            about.pop("version")
            tables = {name: pq.read_table(source / f"{name}.parquet").to_pandas() for name in TABLES}
            return cls(tables=tables, **about)
        except FileNotFoundError as error:
            raise ModelError(f"{source} holds no effects: {error.filename} is not there.") from error
        except (KeyError, ValueError, TypeError) as error:
            raise ModelError(f"{source} holds no effects that this version reads: {error}") from error


def _dependence_lines(found: Dependence, outputs: Sequence[str]) -> list[dict[str, Any]]:
    lines = []
    for place in np.ndindex(*(len(g) for g in found.grid)):
        told: dict[str, Any] = {"column": found.columns[0], **_value(found.grid[0][place[0]], "")}
        if len(found.columns) > 1:
            told |= {"column_2": found.columns[1], **_value(found.grid[1][place[1]], "_2")}
        lines += [
            told
            | {
                "output": name,
                "mean": float(found.mean[(*place, j)]),
                "deviation": float(found.deviation[(*place, j)]),
            }
            for j, name in enumerate(outputs)
        ]
    return lines


def _curve_lines(found: Dependence, outputs: Sequence[str]) -> list[dict[str, Any]]:
    if found.curves is None:
        return []
    return [
        {
            "column": found.columns[0],
            "row": row,
            **_value(found.grid[0][i], ""),
            "output": name,
            "answer": float(found.curves[row, i, j]),
        }
        for row in range(found.curves.shape[0])
        for i in range(found.curves.shape[1])
        for j, name in enumerate(outputs)
    ]


def _value(value: Any, end: str) -> dict[str, Any]:
    """A value as text, and as a number where it is one."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return {f"value{end}": str(value), f"number{end}": float(value) if number else None}


def _table(name: str, lines: list[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    kinds = _KINDS[name]
    table = pd.DataFrame(lines, columns=list(kinds))
    whole = {c: k for c, k in kinds.items() if k != "str"}
    for column in kinds.keys() - whole.keys():
        table[column] = table[column].astype("object").where(table[column].notna(), None)
    return table.astype(whole)
