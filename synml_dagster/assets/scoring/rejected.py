"""The check of `predictions` that every row could be scored."""

import dagster as dg

from synml_dagster.assets.stage import outcome, stage_key


def build_rejected_rows(pipeline: str) -> dg.AssetChecksDefinition:
    """Return the check that every row of the last scoring could be scored; it warns, and its page says why the others could not."""
    key = stage_key(pipeline, "predictions")

    @dg.asset_check(asset=key, name="rejected_rows", description="Every row could be scored.")
    def rejected_rows(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        event = context.instance.get_latest_materialization_event(key)
        made = event.asset_materialization if event is not None else None
        told = {} if made is None else made.metadata
        count = told.get("rows set aside")
        rows = int(str(count.value)) if count is not None else 0
        names = ("rows set aside/reasons", "rows set aside/path")
        return outcome(
            "rejected_rows",
            rows == 0,
            f"{rows} rows could not be scored" if rows else "every row was scored",
            only_warns=True,
            metadata={"rows": rows} | {name.split("/")[1]: told[name] for name in names if name in told},
        )

    return rejected_rows
