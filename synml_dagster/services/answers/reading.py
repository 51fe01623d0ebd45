"""What of a good answer is the column's value, and which good answers are none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from synml_dagster.services.answers.schema import misfit
from synml_dagster.services.answers.values import MisfitError, conform
from synml_dagster.services.description.paths import MISSING, find
from synml_dagster.services.engine.outcome import RowError

if TYPE_CHECKING:
    import pyarrow as pa

    from synml_dagster.services.description import Answer


class SchemaMisfitError(RowError):
    """An answer is a text, and not what its schema asks for: `text` is what came."""

    def __init__(self, text: str, problem: str) -> None:
        super().__init__("schema", f"the answer does not fit the schema: {problem}")
        self.text, self.problem = text, problem


class Reader:
    """Takes values out of answers.

    Parameters
    ----------
    answer
        The description's part.
    kind
        The column's type.
    """

    def __init__(self, answer: Answer, kind: pa.DataType) -> None:
        self.answer, self.kind = answer, kind

    def value(self, body: Any) -> Any:
        """Return the value in an answer's JSON.

        Raises
        ------
        SchemaMisfitError
            The text does not hold what the schema asks for.
        RowError
            The answer is a refusal, was cut off, or holds no value.
        """
        for fails in self.answer.fails:
            found = find(body, fails.path)
            if found is MISSING or found is None or found == [] or found == "":
                continue
            if fails.equals is None or str(found) in fails.equals:
                said = (
                    find(body, fails.message) if fails.message else found if fails.equals is None else MISSING
                )
                more = f": {said[:300]}" if isinstance(said, str) and said else ""
                raise RowError(
                    fails.reason,
                    f"{fails.path} is {str(found)[:60]!r}" if fails.equals else f"{fails.path}{more}",
                )
        found = find(body, self.answer.path)
        if found is MISSING or found is None:
            if self.answer.absent == "null_text":
                return "null"
            raise RowError("malformed", f"the answer has nothing at {self.answer.path!r}")
        if self.answer.json_schema is not None:
            found = self._parsed(found)
        try:
            return conform(found, self.kind, self.answer.path or "the answer")
        except (MisfitError, OverflowError, ValueError) as problem:
            raise RowError("malformed", str(problem)[:300]) from None

    def _parsed(self, text: Any) -> Any:
        assert self.answer.json_schema is not None
        if not isinstance(text, str):
            text = json.dumps(text, ensure_ascii=False)
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise SchemaMisfitError(text, "it is no JSON") from None
        if problem := misfit(value, self.answer.json_schema):
            raise SchemaMisfitError(text, problem)
        return value
