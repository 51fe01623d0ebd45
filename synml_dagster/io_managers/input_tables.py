"""The tables that an input reads: what its run has published, else what is there, partition by partition."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from synml_dagster.errors import SourceError
from synml_dagster.io_managers.newest import in_order, newest_of
from synml_dagster.io_managers.partition_cut import cut_now
from synml_dagster.io_managers.place import metadata_of
from synml_dagster.io_managers.run_versions import own_versions, replaced
from synml_dagster.tables import Table, open_table, together


def opened_input(context: dg.InputContext, roots: Mapping[str | None, str]) -> Table:
    """Open the tables under `roots`, by partition or under None, as one.

    Raises
    ------
    SourceError
        One is not there, or holds the rows of another window of time than its key means now, unless partitions may be missing.
    """
    upstream, asked = context.upstream_output, metadata_of(context.definition_metadata)
    absent, newest = asked.get("allow_missing_partitions"), asked.get("newest")
    key = context.asset_key.to_user_string() if context.has_asset_key else f"the input {context.name!r}"
    # Of rows that runs append those of all runs are there, and the versions of one are no versions of them.
    appended = upstream is not None and metadata_of(upstream.definition_metadata).get("append")
    found, own = [], {} if appended else own_versions(context)
    for part, root in in_order(context, dict(roots)).items():
        version = own.get(part)
        try:
            table = open_table(root, version)
        except SourceError as problem:
            if part is None or version is not None or not absent:
                where = f"{key}, partition {part!r}" if part is not None else key
                raise replaced(where, version, problem) from problem
            continue
        # Earlier releases did not write down how time was cut.
        before = table.other_cut(cut_now(context)) if part is not None else None
        if before is None:
            found.append(table)
            continue
        said = (
            f"{key}, partition {part!r}: its rows were published when its partitions were those of {before!r}, and they are those of {cut_now(context)!r} now. "
            "Materialize that partition again."
        )
        if not absent:
            raise SourceError(said)
        context.log.warning(f"{said} It is passed over.")
    if not found:
        raise SourceError(f"{key}: none of its {len(roots)} partitions has been materialized")
    return together(newest_of(context, found, int(newest)) if newest else found)
