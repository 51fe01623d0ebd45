"""An answer that does not fit its schema is asked for once more, with what came and what is wrong with it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from synml_dagster.services.description.paths import find, put
from synml_dagster.services.description.template import compiled

if TYPE_CHECKING:
    from synml_dagster.services.answers.reading import SchemaMisfitError
    from synml_dagster.services.description import Repair


class Repairer:
    """Makes the bodies of further requests.

    Parameters
    ----------
    repair
        The description's part; None where nothing is asked for again.
    """

    def __init__(self, repair: Repair | None) -> None:
        self._repair = repair
        self._added = None if repair is None else compiled(list(repair.add))

    @property
    def tries(self) -> int:
        """How often an answer is asked for again."""
        return 0 if self._repair is None else self._repair.tries

    def added(self, problem: SchemaMisfitError) -> list[Any]:
        """Return the messages that say what came and what is wrong with it."""
        assert self._added is not None
        made: list[Any] = self._added({"answer": problem.text, "problem": problem.problem})
        return made

    def body(self, body: Any, added: list[Any]) -> Any:
        """Return a request's body with messages added behind its own."""
        assert self._repair is not None
        asked = copy.deepcopy(body)
        messages = find(asked, self._repair.at)
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        put(asked, self._repair.at, [*messages, *added])
        return asked
