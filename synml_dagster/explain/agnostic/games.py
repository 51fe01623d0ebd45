"""Games: what a model answers where only some of the players of a row are known."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

    from synml_dagster.explain.agnostic.background import Background

Scores = Callable[["pa.RecordBatch"], NDArray[np.float64]]
"""A model: a batch of rows to float64 [rows, outputs]."""

MOST_ROWS = 16_384
"""Rows that a model is asked at once."""

_CACHED = 160_000
"""Numbers of a matrix that a model is asked at once: what stays in the processor's cache is made four times as fast."""


class Game(Protocol):
    """A row whose prediction is shared among players.

    Attributes
    ----------
    players
        How many there are.
    """

    players: int

    def values(self, masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return what coalitions, bool [n, players], are worth, float64 [n, outputs]: expectations over what is not known."""
        ...

    def drawn(self, masks: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float64]:
        """Return the model's answers with one draw of what is not known for each coalition, float64 [n, outputs]."""
        ...


class FunctionGame:
    """A game given by a function of masks, bool [n, players], to worths, [n] or [n, outputs]."""

    def __init__(self, players: int, worth: Callable[[NDArray[np.bool_]], Any]) -> None:
        self.players, self._worth = players, worth

    def values(self, masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return what coalitions are worth."""
        return np.asarray(self._worth(masks), dtype=np.float64).reshape(len(masks), -1)

    def drawn(self, masks: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float64]:
        """Return what coalitions are worth; nothing is drawn."""
        return self.values(masks)


class MatrixGame:
    """Players are groups of the features of a row of numbers; what is not known comes from the background's rows.

    The worth of a coalition is the mean answer over the background: the interventional game of Lundberg and Lee 2017.

    Parameters
    ----------
    scores
        Numbers [n, features] to float64 [n, outputs].
    row
        [features]
    background, weight
        [rows, features] and their weights [rows], which add up to 1.
    player_of
        The player that each feature belongs to, int [features]; each its own when None.
    """

    def __init__(
        self,
        scores: Callable[[NDArray[Any]], NDArray[np.float64]],
        row: NDArray[Any],
        background: NDArray[Any],
        weight: NDArray[np.float64],
        player_of: NDArray[np.int64] | None = None,
    ) -> None:
        self._scores, self._row, self._background, self._weight = scores, row, background, weight
        self._player_of = np.arange(len(row)) if player_of is None else player_of
        self.players = int(self._player_of.max()) + 1 if len(row) else 0

    def values(self, masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the mean answers of coalitions over the background."""
        B, F = self._background.shape
        step = max(1, min(MOST_ROWS // B, _CACHED // max(B * F, 1)))
        found = []
        for start in range(0, len(masks), step):
            known = masks[start : start + step][:, self._player_of]
            rows = np.where(known[:, None, :], self._row, self._background)
            answers = _checked(self._scores(rows.reshape(-1, F)), len(known) * B)
            found.append(np.einsum("cbk,b->ck", answers.reshape(len(known), B, -1), self._weight))
        return np.concatenate(found)

    def drawn(self, masks: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float64]:
        """Return the answers of coalitions, each with one row of the background."""
        other = self._background[rng.choice(len(self._background), len(masks), p=self._weight)]
        found = []
        for start in range(0, len(masks), MOST_ROWS):
            known = masks[start : start + MOST_ROWS][:, self._player_of]
            rows = np.where(known, self._row, other[start : start + MOST_ROWS])
            found.append(_checked(self._scores(rows), len(known)))
        return np.concatenate(found)


class ColumnsGame:
    """Players are columns of a row of any types, or groups of columns; what is not known comes from the background's rows.

    Parameters
    ----------
    scores
        The model.
    row
        One row with all columns that the model reads.
    background
        Rows of the same columns.
    players
        The columns of each player; columns of none are as in the row.
    """

    def __init__(
        self, scores: Scores, row: pa.RecordBatch, background: Background, players: Sequence[Sequence[str]]
    ) -> None:
        import pyarrow as pa

        self._scores, self._weight = scores, background.weight
        self.players = len(players)
        self._names = row.schema.names
        of = {name: i for i, names in enumerate(players) for name in names}
        self._player = [of.get(name) for name in self._names]
        # The row's value first, then the background's: a mask becomes places to take from.
        self._values = []
        for name, player in zip(self._names, self._player, strict=True):
            own = row.column(name)
            if player is not None:
                others = background.table.column(name).combine_chunks()
                own = pa.concat_arrays(_of_one_type(own, others, name))
            self._values.append(own)

    def values(self, masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the mean answers of coalitions over the background."""
        B = len(self._weight)
        step = max(1, MOST_ROWS // B)
        places = np.arange(1, B + 1)
        found = []
        for start in range(0, len(masks), step):
            known = masks[start : start + step]
            answers = self._asked(known, np.broadcast_to(places, (len(known), B)))
            found.append(np.einsum("cbk,b->ck", answers.reshape(len(known), B, -1), self._weight))
        return np.concatenate(found)

    def drawn(self, masks: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float64]:
        """Return the answers of coalitions, each with one row of the background."""
        other = 1 + rng.choice(len(self._weight), (len(masks), 1), p=self._weight)
        found = [
            self._asked(masks[s : s + MOST_ROWS], other[s : s + MOST_ROWS])
            for s in range(0, len(masks), MOST_ROWS)
        ]
        return np.concatenate(found)

    def _asked(self, known: NDArray[np.bool_], other: NDArray[np.int64]) -> NDArray[np.float64]:
        import pyarrow as pa

        columns = []
        for values, player in zip(self._values, self._player, strict=True):
            places = (
                np.zeros(other.shape, np.int64)
                if player is None
                else np.where(known[:, player, None], 0, other)
            )
            columns.append(_taken(values, places.reshape(-1).astype(np.int32)))
        batch = pa.RecordBatch.from_arrays(columns, names=self._names)
        return _checked(self._scores(batch), batch.num_rows)


class VectorGame(MatrixGame):
    """Players are the places of a column of lists of numbers; other columns are as in the row.

    Parameters
    ----------
    scores
        The model.
    row
        One row with all columns that the model reads.
    column
        The column of lists.
    background
        Rows with lists of the same length in that column.
    """

    def __init__(self, scores: Scores, row: pa.RecordBatch, column: str, background: Background) -> None:
        import pyarrow as pa

        place = row.schema.get_field_index(column)
        kind = row.schema.field(column).type.value_type

        def asked(matrix: NDArray[Any]) -> NDArray[np.float64]:
            n = len(matrix)
            offsets = np.arange(n + 1, dtype=np.int32) * matrix.shape[1]
            lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(matrix.reshape(-1)).cast(kind))
            same = np.zeros(n, dtype=np.int32)
            columns = [lists if i == place else _taken(row.column(i), same) for i in range(row.num_columns)]
            return scores(pa.RecordBatch.from_arrays(columns, names=row.schema.names))

        own = _lists(row.column(column), column)
        others = _lists(background.table.column(column).combine_chunks(), column)
        if own.shape[1] != others.shape[1]:
            raise DataError(
                f"vector: column {column!r} has {own.shape[1]} values in a row and {others.shape[1]} in the background."
            )
        super().__init__(asked, own[0], others, background.weight)


class Token(NamedTuple):
    """A run of characters of a text."""

    text: str
    start: int
    end: int


def tokens(text: str, pattern: str = r"\S+") -> list[Token]:
    """Return the tokens of a text with their places; the text stays as it is written.

    Examples
    --------
    >>> tokens("Not BAD, really")
    [Token(text='Not', start=0, end=3), Token(text='BAD,', start=4, end=8), Token(text='really', start=9, end=15)]
    """
    return [Token(m.group(), m.start(), m.end()) for m in re.finditer(pattern, text)]


class TextGame:
    """Players are tokens of a text; the model is asked about the original text less the spans that are not known.

    Parameters
    ----------
    scores
        The model.
    row
        One row with all columns that the model reads.
    column
        The column of text.
    pattern
        A regular expression of a token.
    """

    def __init__(self, scores: Scores, row: pa.RecordBatch, column: str, pattern: str = r"\S+") -> None:
        self._scores, self._row, self._column = scores, row, column
        self._text: str = row.column(column)[0].as_py() or ""
        self.tokens = tokens(self._text, pattern)
        self.players = len(self.tokens)

    def values(self, masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the answers for the text without the tokens that are not known."""
        import pyarrow as pa

        place = self._row.schema.get_field_index(self._column)
        found = []
        for start in range(0, len(masks), MOST_ROWS):
            texts = pa.array([self._kept(mask) for mask in masks[start : start + MOST_ROWS]], pa.string())
            same = np.zeros(len(texts), dtype=np.int32)
            columns = [
                texts if i == place else _taken(self._row.column(i), same)
                for i in range(self._row.num_columns)
            ]
            batch = pa.RecordBatch.from_arrays(columns, names=self._row.schema.names)
            found.append(_checked(self._scores(batch), len(texts)))
        return np.concatenate(found)

    def drawn(self, masks: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float64]:
        """Return the same as `values`: nothing is drawn."""
        return self.values(masks)

    def _kept(self, mask: NDArray[np.bool_]) -> str:
        """The text without the spans of the tokens that are out, nor the blanks behind them."""
        parts, after = [], 0
        for i, known in enumerate(mask):
            token = self.tokens[i]
            until = self.tokens[i + 1].start if i + 1 < len(self.tokens) else len(self._text)
            if i == 0:
                parts.append(self._text[: token.start])
            if known:
                parts.append(self._text[token.start : until])
            after = until
        return "".join(parts) + self._text[after:]


def _of_one_type(own: pa.Array, others: pa.Array, name: str) -> list[pa.Array]:
    """Bring a row's value and the background's to one type: a lone missing value has none of its own, and 2 may be 2.0."""
    import pyarrow as pa

    if own.type == others.type:
        return [own, others]
    kind = own.type
    if pa.types.is_null(own.type) or (pa.types.is_floating(others.type) and pa.types.is_integer(own.type)):
        kind = others.type
    try:
        return [own.cast(kind), others.cast(kind)]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as problem:
        raise DataError(
            f"background: column {name!r} is of type {others.type}, and of {own.type} in the rows to explain: {problem}"
        ) from problem


def _taken(values: pa.Array, places: NDArray[np.int32]) -> pa.Array:
    """Take values by place; words stay in a dictionary, so that none is copied."""
    import pyarrow as pa

    kind = values.type
    if (pa.types.is_string(kind) or pa.types.is_large_string(kind)) and not values.null_count:
        return pa.DictionaryArray.from_arrays(pa.array(places), values.cast(pa.string()))
    return values.take(pa.array(places))


def _lists(column: pa.Array, name: str) -> NDArray[np.float64]:
    lengths = set(column.value_lengths().to_pylist()) if not _fixed(column) else {column.type.list_size}
    if column.null_count or len(lengths) != 1 or None in lengths:
        raise DataError(f"vector: the lists of column {name!r} are missing or of several lengths.")
    flat = column.flatten().to_numpy(zero_copy_only=False).astype(np.float64)
    return flat.reshape(len(column), -1)


def _fixed(column: pa.Array) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_fixed_size_list(column.type))


def _checked(answers: Any, rows: int) -> NDArray[np.float64]:
    found = np.asarray(answers, dtype=np.float64)
    if found.shape[:1] != (rows,):
        raise DataError(
            f"The model answered {found.shape[0] if found.ndim else 'one value'} rows where it was asked {rows}: its function must return one row of scores for each."
        )
    found = found.reshape(rows, -1)
    if not np.isfinite(found).all():
        raise DataError(
            "The model answered a number that is missing or infinite, which cannot be shared among players."
        )
    return found
