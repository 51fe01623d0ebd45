"""Tables as bytes, as Arrow streams them between processes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def as_bytes(table: pa.Table) -> bytes:
    """Return a table as one Arrow stream."""
    import pyarrow as pa

    out = io.BytesIO()
    with pa.ipc.new_stream(out, table.schema) as stream:
        stream.write_table(table)
    return out.getvalue()


def as_table(content: bytes) -> pa.Table:
    """Return the table of an Arrow stream."""
    import pyarrow as pa

    with pa.ipc.open_stream(content) as stream:
        return stream.read_all()
