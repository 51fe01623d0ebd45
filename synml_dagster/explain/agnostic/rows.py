"""Explains rows of any model in this process; the same code runs in Spark's tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ConfigError, DataError, did_you_mean
from synml_dagster.explain.agnostic.attributions import Attributions
from synml_dagster.explain.agnostic.background import Background
from synml_dagster.explain.agnostic.games import ColumnsGame, Game, TextGame, VectorGame
from synml_dagster.explain.agnostic.kernel_shap import Shared, shapley_values
from synml_dagster.explain.agnostic.lime import lime_weights
from synml_dagster.explain.agnostic.models import Scored, Takes, needed, scored

if TYPE_CHECKING:
    import pyarrow as pa

Method = Literal["kernel_shap", "lime"]
MOST_TOKENS = 400
"""Tokens of a text beyond which it is refused: each is asked about at least twice."""


@dataclass(frozen=True)
class Question:
    """What is asked of each row; it goes to tasks as it is.

    Attributes
    ----------
    method
        `kernel_shap` or `lime`.
    columns, groups
        The columns that are players, and players that are several columns at once.
    vector, text
        The column whose places or tokens are the players.
    budget, samples, features, seed, pattern
        As for `shapley_values`, `lime_weights` and `tokens`.
    """

    method: Method = "kernel_shap"
    columns: tuple[str, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    vector: str | None = None
    text: str | None = None
    budget: int | None = None
    samples: int = 5000
    features: int = 10
    seed: int = 0
    pattern: str = r"\S+"

    @property
    def words(self) -> str:
        """The method in words."""
        name = "Kernel SHAP values" if self.method == "kernel_shap" else "LIME's weights"
        of = "tokens" if self.text else f"places of {self.vector}" if self.vector else "columns"
        return f"{name} of {of}"

    def game(
        self, scores: Callable[[Any], NDArray[np.float64]], row: pa.RecordBatch, background: Background | None
    ) -> tuple[Game, list[str], list[tuple[int, int]] | None]:
        """Return the game of a row, its players' names and, of text, their places."""
        if self.text is not None:
            text = TextGame(scores, row, self.text, self.pattern)
            if text.players > MOST_TOKENS:
                raise DataError(
                    f"text: a text in column {self.text!r} has {text.players} tokens, and at most {MOST_TOKENS} are explained. Cut it, or give a pattern of longer tokens such as sentences: r'[^.!?]+'."
                )
            return text, [t.text for t in text.tokens], [(t.start, t.end) for t in text.tokens]
        assert background is not None
        if self.vector is not None:
            game = VectorGame(scores, row, self.vector, background)
            return game, [str(i) for i in range(game.players)], None
        players = {name: (name,) for name in self.columns} | dict(self.groups)
        return ColumnsGame(scores, row, background, list(players.values())), list(players), None

    def answer(self, game: Game) -> Shared:
        """Return the values of a game's players."""
        if self.method == "kernel_shap":
            return shapley_values(game, budget=self.budget, seed=self.seed)
        distance: Literal["cosine", "euclidean"] = "cosine" if self.text is not None else "euclidean"
        return lime_weights(
            game, samples=self.samples, features=self.features, distance=distance, seed=self.seed
        )


def question(
    model: Scored,
    there: Sequence[str],
    background: Background | None,
    method: str,
    columns: Sequence[str] | None,
    groups: Mapping[str, Sequence[str]] | None,
    vector: str | None,
    text: str | None,
    **more: Any,
) -> tuple[Question, list[str]]:
    """Check what is asked, before any work; return it and the columns that each row needs.

    Raises
    ------
    ConfigError
        See `explain_rows`.
    """
    if method not in ("kernel_shap", "lime"):
        raise ConfigError(
            f"method is 'kernel_shap' or 'lime' but got {method!r}.{did_you_mean(method, ['kernel_shap', 'lime'])}"
        )
    if sum(x is not None for x in (columns or groups or None, vector, text)) > 1:
        raise ConfigError(
            "Players are columns, the places of a vector or the tokens of a text; name one of them."
        )
    one = vector or text
    reads = needed(model, there, [one] if one else [])
    grouped = {name: tuple(members) for name, members in (groups or {}).items()}
    inside = [c for members in grouped.values() for c in members]
    if one is not None:
        chosen: tuple[str, ...] = ()
    elif columns is not None:
        chosen = tuple(columns)
    else:
        chosen = tuple(c for c in reads if c not in inside)
    for name in [*chosen, *inside]:
        if name not in reads:
            raise ConfigError(
                f"columns: the model is not given a column {name!r}.{did_you_mean(name, reads)}"
            )
    everyone = [*chosen, *inside]
    if len(set(everyone)) < len(everyone):
        raise ConfigError("columns: a column is named twice, and would be in two players.")
    if text is None:
        if background is None:
            raise ConfigError(
                "background: say which rows stand for what is not known, such as Background.sample(training_rows)."
            )
        for name in [vector] if vector else everyone:
            if name not in background.table.schema.names:
                raise ConfigError(
                    f"background: it has no column {name!r}.{did_you_mean(name, background.table.schema.names)}"
                )
    return Question(method, chosen, grouped, vector, text, **more), reads  # type: ignore[arg-type]


def explain_rows(
    model: Any,
    rows: Any,
    background: Background | None = None,
    *,
    method: str = "kernel_shap",
    columns: Sequence[str] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    vector: str | None = None,
    text: str | None = None,
    output: str | None = None,
    takes: Takes = "arrow",
    budget: int | None = None,
    samples: int = 5000,
    features: int = 10,
    seed: int = 0,
    pattern: str = r"\S+",
) -> Attributions:
    """Explain rows of any model, here and without Spark.

    Parameters
    ----------
    model
        An `OnnxModel`, a graph's file or bundle, or a Python function of batches (`takes`).
    rows
        A pyarrow RecordBatch or Table, a pandas DataFrame, or a mapping of column to values.
    background
        Rows that stand for what is not known; not needed for text.
    method
        `kernel_shap` (Shapley values, exact up to 12 players) or `lime`.
    columns, groups
        The raw columns that are players, all that the model reads when None; and name -> columns of players that are
        several columns at once. Other columns stay as they are in the row.
    vector
        A column of lists of numbers: its places are the players.
    text
        A column of text: its tokens are the players, and the model is asked about the original text without them.
    output, takes
        As for `synml_dagster.explain.agnostic.models.scored`.
    budget
        Kernel SHAP: coalitions at most; 2 m + 2048 of m players when None.
    samples, features
        LIME: coalitions that are drawn, and the most players that get a weight.
    seed
        The same seed gives the same values.
    pattern
        A regular expression of a token.

    Raises
    ------
    ConfigError
        A column is not there, players overlap, there is no background, or a number is out of its range.
    DataError
        The model answers something else than a row of finite numbers for each row.
    ModelError
        The graph has no such output.

    Examples
    --------
    >>> found = explain_rows("bundle", people, Background.of(others))  # doctest: +SKIP
    >>> found.to_pandas()  # doctest: +SKIP
    """
    import pyarrow as pa

    from synml_dagster.onnx.scorer import as_batch

    batch = as_batch(rows)
    opened = scored(model, output=output, takes=takes)
    asked, reads = question(
        opened,
        batch.schema.names,
        background,
        method,
        columns,
        groups,
        vector,
        text,
        budget=budget,
        samples=samples,
        features=features,
        seed=seed,
        pattern=pattern,
    )
    narrow = pa.RecordBatch.from_arrays([batch.column(name) for name in reads], names=reads)
    found, spans, players = [], [], []
    for one, names, places in explained(opened.open(), narrow, background, asked):
        found.append(one)
        players.append(names)
        spans.append(places)
    return Attributions(
        method=asked.words,
        players=players,
        values=[one.values for one in found],
        base=np.array([one.base for one in found]),
        r2=np.array([one.r2 for one in found]),
        spans=None if text is None else [s or [] for s in spans],
        background="" if background is None else background.said,
    )


def explained(
    scores: Callable[[Any], NDArray[np.float64]],
    rows: pa.RecordBatch,
    background: Background | None,
    asked: Question,
) -> Any:
    """Yield, row by row, the values, the players' names and their places in a text."""
    for i in range(rows.num_rows):
        game, names, spans = asked.game(scores, rows.slice(i, 1), background)
        if not game.players:  # a text without tokens
            whole = game.values(np.zeros((1, 0), dtype=np.bool_))[0]
            yield Shared(np.zeros((0, len(whole))), whole, np.full(len(whole), np.nan)), names, spans
            continue
        yield asked.answer(game), names, spans
