"""Scored rows as an operator meets them: where they come from, and what became of the rows that could not be scored."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from synml_dagster.assets.provenance import Provenance
from synml_dagster.errors import ConfigError

FROM = Provenance("7", "abc", datetime(2026, 3, 1, 12, 30, tzinfo=UTC))


def test_every_row_is_stamped_with_one_moment_whatever_the_sessions_time_zone(classic_spark):
    stamped = FROM.stamp(classic_spark.range(3)).selectExpr("*", "unix_micros(scored_at) AS micros")
    moment = int(datetime(2026, 3, 1, 12, 30, tzinfo=UTC).timestamp() * 1_000_000)
    assert [(r.id, r.model_version, r.plan_fingerprint, r.micros) for r in stamped.collect()] == [
        (i, "7", "abc", moment) for i in range(3)
    ]


def test_a_table_with_a_column_of_that_name_is_refused_by_name(classic_spark):
    with pytest.raises(ConfigError, match=r"column 'Scored_At'.*score\.keep"):
        FROM.stamp(classic_spark.sql("SELECT 1 AS id, 2 AS Scored_At"))
