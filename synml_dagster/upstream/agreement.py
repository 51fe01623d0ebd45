"""Whether the partitions of a pipeline are those of the asset that it reads."""

from __future__ import annotations

import dagster as dg

from synml_dagster.errors import ConfigError
from synml_dagster.partitions import PartitionsSpec, partitions_definition
from synml_dagster.partitions.spec import EVERY
from synml_dagster.sources import Source


def dependency(source: Source, partitions: PartitionsSpec | None) -> dg.AssetDep:
    """Return the edge from an asset that is a source.

    In a code location that has both, Dagster asks at load whether the partitions go together, and a disagreement is an error there.
    """
    key = dg.AssetKey.from_user_string(str(source.asset))
    if partitions is None:
        return dg.AssetDep(key)
    mapping = dg.TimeWindowPartitionMapping if _is_time(partitions) else dg.IdentityPartitionMapping
    return dg.AssetDep(key, partition_mapping=_checked(mapping, key, partitions))


def check_agreement(key: dg.AssetKey, upstream: dg.PartitionsDefinition | None, spec: PartitionsSpec) -> None:
    """Refuse partitions that are not among those of the asset `key`, where this code location knows these.

    Raises
    ------
    ConfigError
        They are others; the message says which.
    """
    own = partitions_definition(spec)
    if upstream is not None and (why := _differs(upstream, own)):
        like = _as_description(upstream)
        do = f"Write partitions: {like}." if like else "Read it by path, table, jdbc or sql instead of asset."
        raise ConfigError(
            f"partitions: partition p is read from partition p of source.asset {key.to_user_string()}, and {why}. "
            f"Its partitions are {_said(upstream)}, those of the description {_said(own)}. {do}"
        )


def _differs(theirs: dg.PartitionsDefinition, own: dg.PartitionsDefinition) -> str | None:
    if isinstance(own, dg.TimeWindowPartitionsDefinition):
        if not isinstance(theirs, dg.TimeWindowPartitionsDefinition):
            return "the asset's are not of time"
        for what, one, other in (
            ("windows", theirs.cron_schedule, own.cron_schedule),
            ("time zones", theirs.timezone, own.timezone),
            ("keys", theirs.fmt, own.fmt),
        ):
            if one != other:
                return f"their {what} are not the same"
        if own.start < theirs.start:
            return "the description's begin earlier"
        if theirs.end is not None and (own.end is None or own.end > theirs.end):
            return "the description's go on after the asset's have ended"
        return None
    if isinstance(own, dg.MultiPartitionsDefinition):
        if not isinstance(theirs, dg.MultiPartitionsDefinition):
            return "the asset's have one dimension"
        ours, other_ones = (
            {d.name: d.partitions_def for d in each.partitions_defs} for each in (own, theirs)
        )
        if set(ours) != set(other_ones):
            return f"their dimensions are called {sorted(other_ones)} there and {sorted(ours)} here"
        each_why = {name: _differs(other_ones[name], ours[name]) for name in ours}
        return next((f"of dimension {name!r} {why}" for name, why in each_why.items() if why), None)
    if type(theirs) is not type(own):
        return "they are of another kind"
    if isinstance(own, dg.StaticPartitionsDefinition):
        more = [key for key in own.get_partition_keys() if key not in set(theirs.get_partition_keys())]
        return f"it has no {more[0]!r}" if more else None
    names = [getattr(each, "name", None) for each in (theirs, own)]
    return None if names[0] == names[1] else f"its dynamic partitions are {names[0]!r}, not {names[1]!r}"


def _said(cut: dg.PartitionsDefinition) -> str:
    return str(cut).rstrip(".")


def _as_description(cut: dg.PartitionsDefinition) -> str | None:
    """Write the partitions of an asset as a description does, where it can."""
    if isinstance(cut, dg.TimeWindowPartitionsDefinition):
        # By what it does: Dagster hands a definition on as one of its base class.
        word = cut.schedule_type.value.lower() if cut.schedule_type is not None else None
        window = cut.get_first_partition_window() if word in EVERY else None
        if window is None or cut.minute_offset or (word != "hourly" and cut.hour_offset):
            return None
        start = window.start
        at = start.strftime("%Y-%m-%dT%H:%M") if word == "hourly" else start.date().isoformat()
        zone = "" if cut.timezone == "UTC" else f", timezone: {cut.timezone}"
        return f"{{{word}: {at}{zone}}}"
    if isinstance(cut, dg.StaticPartitionsDefinition) and len(cut.get_partition_keys()) <= 20:
        return f"{{static: [{', '.join(cut.get_partition_keys())}]}}"
    if isinstance(cut, dg.DynamicPartitionsDefinition) and cut.name:
        return f"{{dynamic: {cut.name}}}"
    return None


def _is_time(spec: PartitionsSpec) -> bool:
    return isinstance(partitions_definition(spec), dg.TimeWindowPartitionsDefinition)


# Dagster asks a mapping at load whether it fits; a mapping of one's own would be left out of what the UI and the daemon
# are told, and warned of. Under the name of its own class each of these is written down as that: who reads it maps as
# Dagster would, and only this process asks for more.


def _checked(
    mapping: type[dg.PartitionMapping], key: dg.AssetKey, spec: PartitionsSpec
) -> dg.PartitionMapping:
    def validate_partition_mapping(
        self: dg.PartitionMapping,
        upstream_partitions_def: dg.PartitionsDefinition,
        downstream_partitions_def: dg.PartitionsDefinition | None,
    ) -> None:
        check_agreement(key, upstream_partitions_def, spec)

    made: dg.PartitionMapping = type(
        mapping.__name__, (mapping,), {"validate_partition_mapping": validate_partition_mapping}
    )()
    return made
