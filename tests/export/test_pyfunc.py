"""A bundle that MLflow opens reads values as scoring on Spark does, whatever type pandas has for them."""

from __future__ import annotations

import pandas as pd
import pytest

from synml_dagster.errors import DataError
from synml_dagster.export.pyfunc import PipelineModel
from tests.onnx.conftest import exported, pipelines, table  # noqa: F401


def test_text_is_read_as_numbers_and_dates(exported, table, tmp_path):  # noqa: F811
    exported["accepted"].save(tmp_path)
    opened = PipelineModel(str(tmp_path))
    frame = table.slice(0, 50).to_pandas()
    want = opened.predict(frame)
    as_text = frame.astype(object).where(frame.notna(), None)
    for name in ("age", "in.come", "weight", "member", "joined", "seen"):
        as_text[name] = [None if value is None else str(value) for value in as_text[name]]
    pd.testing.assert_frame_equal(opened.predict(as_text), want)
    as_text.loc[3, "age"] = "old"
    with pytest.raises(DataError, match="row 3: 'age' is not a number"):
        opened.predict(as_text)
