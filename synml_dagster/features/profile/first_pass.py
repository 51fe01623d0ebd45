"""The first pass: the outline, the profile of the rows that will be trained on if the table is large, and all rows if it is not.

Runs on executors: numpy and pyarrow only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from synml_dagster.features.profile.ipc import as_bytes, as_table
from synml_dagster.features.profile.outline import Outline
from synml_dagster.features.profile.profile import Profile

if TYPE_CHECKING:
    import pyarrow as pa


class FirstPass:
    """An outline, a profile of the labelled rows from position `cut` on, and the rows before it as long as they are few.

    Reads batches with the columns of `Outline` and of `Profile`.

    Parameters
    ----------
    cut
        Where the training side of a large table begins.
    numbers, words
        As for `Profile`.
    per_class
        As for `Outline`.
    """

    def __init__(self, cut: float, numbers: list[str], words: list[str], per_class: bool) -> None:
        self.cut = cut
        self.outline = Outline(per_class)
        self.profile = Profile(numbers, words)
        self._before: list[pa.Table] | None = []
        self._held = 0

    @property
    def all_rows(self) -> pa.Table | None:
        """All labelled rows in the order of their hashes; None where they are many."""
        import pyarrow as pa

        if self._before is None or self.profile.sampled:
            return None
        sample = self.profile.sample
        tables = [*self._before, *([sample] if sample is not None else [])]
        if not tables:
            return None
        table = pa.concat_tables(tables)
        return table.take(pa.array(np.argsort(table.column("hash").to_numpy(), kind="stable")))

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in a batch of rows."""
        import pyarrow as pa
        import pyarrow.compute as pc

        self.outline.add(batch)
        labelled = pc.not_equal(batch.column("word"), "")
        late = pc.greater_equal(batch.column("position"), self.cut)
        self.profile.add(batch.filter(pc.and_(labelled, late)))
        if self._before is not None:
            self._keep(pa.Table.from_batches([batch.filter(pc.and_(labelled, pc.invert(late)))]))

    def merge(self, piece: bytes) -> None:
        """Take in a piece of what another first pass has sent."""
        kind, payload = piece[:1], piece[1:]
        if kind == b"o":
            self.outline.merge(payload)
        elif kind == b"p":
            self.profile.merge(payload)
        elif kind == b"b":
            self._keep(as_table(payload))
        else:
            self._before = None

    def pieces(self) -> Iterator[bytes]:
        """Send the outline, the profile, and the rows before the cut or that they are many."""
        yield from (b"o" + piece for piece in self.outline.pieces())
        yield from (b"p" + piece for piece in self.profile.pieces())
        if self._before is None:
            yield b"m"
        else:
            yield from (b"b" + as_bytes(table) for table in self._before if table.num_rows)

    def _keep(self, rows: pa.Table) -> None:
        if self._before is None:
            return
        self._before.append(rows)
        self._held += rows.num_rows
        if self._held > self.profile.sample_rows:
            self._before = None
