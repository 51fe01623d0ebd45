"""By which way a model's answers about changed rows are had soonest: its trees' tables, or the model itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from synml_dagster.explain.effects.changed_rows import AskedRows, ChangedRows
from synml_dagster.explain.effects.tree_rows import open_trees

if TYPE_CHECKING:
    import pyarrow as pa

    from synml_dagster.explain.agnostic.models import Scored


def open_rows(model: Scored) -> Callable[[pa.RecordBatch], ChangedRows]:
    """Return what makes a batch one of changed rows: by a pipeline's trees where it has them, else by asking the model."""
    if model.graph is not None:
        trees = open_trees(model.graph, model.output)
        if trees is not None:
            return trees.rows
    scores = model.open()
    return lambda batch: AskedRows(scores, batch)
