"""Attributions of some rows with the rows' own values, as a bundle: one Parquet table and what was asked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from synml_dagster.errors import ModelError

if TYPE_CHECKING:
    import pandas as pd

_TABLE, _ABOUT = "attributions.parquet", "attributions.json"


@dataclass(frozen=True, eq=False)
class AttributedRows:
    """What raw columns add to the answers for some rows, found by asking the model.

    Attributes
    ----------
    method, background
        In words.
    task, outputs
        The task, and a name for each of the model's answers.
    rows, of_rows
        How many rows were explained, and of how many.
    table
        A line for each row, output and column: `row`, `column`, `value` (text), `output`, `attribution`, `base`, `r2`, `answer`.
        Base and attributions add up to the answer by Kernel SHAP; by LIME `r2` says how far they do.
    """

    method: str
    background: str
    task: str
    outputs: list[str]
    rows: int
    of_rows: int
    table: pd.DataFrame

    def to_pandas(self) -> pd.DataFrame:
        """Return the table."""
        return self.table

    @property
    def importance(self) -> dict[str, float]:
        """Mean size of the attribution by column, outputs added up; largest first."""
        size = self.table["attribution"].abs().groupby(self.table["column"]).sum() / max(1, self.rows)
        return {str(k): float(v) for k, v in size.sort_values(ascending=False, kind="stable").items()}

    @property
    def fit(self) -> float | None:
        """Mean R² over rows and outputs: how well sums say what the model does; None where nothing was left to say."""
        each = self.table.drop_duplicates(["row", "output"])["r2"].dropna()
        return float(each.mean()) if len(each) else None

    def save(self, directory: str | Path) -> None:
        """Write `attributions.parquet` and `attributions.json` into `directory`, made if need be."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        target = Path(directory)
        target.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pandas(self.table, preserve_index=False), target / _TABLE)
        about = {
            "version": 1,
            "method": self.method,
            "background": self.background,
            "task": self.task,
            "outputs": self.outputs,
            "rows": self.rows,
            "of_rows": self.of_rows,
        }
        (target / _ABOUT).write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: str | Path) -> AttributedRows:
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
            return cls(table=pq.read_table(source / _TABLE).to_pandas(), **about)
        except FileNotFoundError as error:
            raise ModelError(f"{source} holds no attributions: {error.filename} is not there.") from error
        except (KeyError, ValueError, TypeError) as error:
            raise ModelError(f"{source} holds no attributions that this version reads: {error}") from error
