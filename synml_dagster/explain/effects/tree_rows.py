"""The answers about changed rows of a pipeline that ends in trees: its features are made once, and its trees looked up in tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synml_dagster.explain.effects.changed_rows import AskedRows, Stepped, finite, with_column

if TYPE_CHECKING:
    import pyarrow as pa

    from synml_dagster.explain.effects.tree_masks import TreeMasks
    from synml_dagster.onnx.worker import Shipment

_MOST_SCORES = 2_000_000
"""Scores that are held at once."""
_ROWS_AT_ONCE = 1 << 14
"""Rows that go through a graph at once: what its nodes hand each other stays in the cache."""


@dataclass(frozen=True, eq=False)
class Trees:
    """A pipeline's graph, taken apart.

    Attributes
    ----------
    features
        From a batch to the features, float32 [rows, F].
    masks
        The trees.
    answers
        From float32 scores [rows, targets] to what is asked, [rows, outputs].
    own
        From a batch of one row to the features that are made of each raw column alone; a column without an entry is in some
        together with others.
    scores
        The model as it is.
    """

    features: Callable[[Any], NDArray[np.float32]]
    masks: TreeMasks
    answers: Callable[[NDArray[np.float32]], NDArray[np.float64]]
    own: Callable[[Any], Mapping[str, frozenset[int]]]
    scores: Callable[[Any], NDArray[np.float64]]

    def own_features(self, batch: pa.RecordBatch) -> Mapping[str, frozenset[int]]:
        """Return `own`, asked once."""
        known: Mapping[str, frozenset[int]] | None = self.__dict__.get("_own")
        if known is None:
            known = self.__dict__["_own"] = self.own(batch.slice(0, 1))
        return known

    def rows(self, batch: pa.RecordBatch) -> TreeRows:
        """Return a batch of which the model is asked again and again."""
        return TreeRows(self, batch)


class TreeRows:
    """Rows whose features are made once."""

    def __init__(self, trees: Trees, batch: pa.RecordBatch) -> None:
        self._trees, self._batch = trees, batch

    def as_they_are(self) -> NDArray[np.float64]:
        """Return the answers about the rows, [rows, outputs]."""
        return self._answers(self._scores)

    def stepped(self, grids: Mapping[str, pa.Array]) -> Iterator[Stepped]:
        """Yield the answers at all steps for some rows after the other."""
        free = self._free(list(grids))
        if free is None:
            yield from AskedRows(self._trees.scores, self._batch).stepped(grids)
            return
        masks = self._trees.masks
        steps = self._made(dict(zip(grids, _combined(list(grids.values())), strict=True)))
        at_once = max(1, _MOST_SCORES // (steps.shape[1] * masks.targets))
        for start in range(0, self._batch.num_rows, at_once):
            some = slice(start, min(start + at_once, self._batch.num_rows))
            scores = masks.stepped(self._bins[:, some], self._scores[:, some], free, steps)
            yield Stepped(some, slice(0, steps.shape[1]), self._answers(scores))

    def replaced(
        self, column: str, places: NDArray[np.intp], donors: pa.Array | None = None
    ) -> Iterator[NDArray[np.float64]]:
        """Yield the answers line by line of `places`."""
        free = self._free([column])
        if free is None:
            yield from AskedRows(self._trees.scores, self._batch).replaced(column, places, donors)
            return
        values = self._bins if donors is None else self._made({column: donors})
        at_once = max(1, 8 * _MOST_SCORES // (max(1, places.shape[1]) * self._trees.masks.targets))
        for start in range(0, len(places), at_once):
            some = places[start : start + at_once]
            scores = self._trees.masks.replaced(self._bins, self._scores, free, values, some)
            for time in np.moveaxis(scores, 1, 0):
                yield self._answers(time)

    @cached_property
    def _bins(self) -> NDArray[np.int32]:
        return self._binned(self._batch)

    @cached_property
    def _scores(self) -> NDArray[np.float64]:
        return self._trees.masks.scores(self._bins)

    def _binned(self, batch: pa.RecordBatch) -> NDArray[np.int32]:
        """Return the bins of a batch's features, made for a few rows at a time."""
        slices = (batch.slice(i, _ROWS_AT_ONCE) for i in range(0, batch.num_rows, _ROWS_AT_ONCE))
        made = [self._trees.masks.bins(self._trees.features(some)) for some in slices]
        return made[0] if len(made) == 1 else np.concatenate(made, axis=1)

    def _free(self, columns: list[str]) -> frozenset[int] | None:
        """Return the features that columns change; None where other columns are in one of them, too."""
        own = self._trees.own_features(self._batch)
        if not own.keys() >= set(columns):
            return None
        return frozenset[int]().union(*(own[column] for column in columns))

    def _made(self, values: Mapping[str, pa.Array]) -> NDArray[np.int32]:
        """Return the bins of the features of other values; all that they do not change is that of the first row."""
        import pyarrow as pa

        length = len(next(iter(values.values())))
        batch = self._batch.take(pa.array(np.zeros(length, np.int64)))
        for name, column in values.items():
            batch = with_column(batch, name, column)
        return self._binned(batch)

    def _answers(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the answers [..., outputs] of scores [targets, ...]."""
        flat = np.ascontiguousarray(scores.reshape(len(scores), -1).T, dtype=np.float32)
        slices = (flat[i : i + _ROWS_AT_ONCE] for i in range(0, len(flat), _ROWS_AT_ONCE))
        made = [self._trees.answers(some) for some in slices]
        return finite(np.concatenate(made).reshape(*scores.shape[1:], -1))


def _combined(grids: list[pa.Array]) -> list[pa.Array]:
    """Return the values of each column for every combination, the last one's running first."""
    import pyarrow as pa

    places = np.indices([len(grid) for grid in grids]).reshape(len(grids), -1)
    return [grid.take(pa.array(place)) for grid, place in zip(grids, places, strict=True)]


@lru_cache(maxsize=2)  # of up to 256 MB each
def open_trees(graph: Shipment, output: str) -> Trees | None:
    """Return a pipeline's graph taken apart; None for any that does not end in trees, and for trees whose tables would be too large."""
    from synml_dagster.explain.agnostic.models import opened, rows_of_numbers
    from synml_dagster.explain.effects.tree_masks import tree_masks
    from synml_dagster.onnx import OnnxModel, Scorer
    from synml_dagster.onnx.forest import ahead_of_trees, cut_at_trees, open_after
    from synml_dagster.onnx.outputs import pipeline_results
    from synml_dagster.onnx.worker import task_resources

    model = graph.open()
    cut = None if model.external_files or not model.is_pipeline else cut_at_trees(model.proto)
    if cut is None or cut.features in {info.name for info in model.inputs}:
        return None
    threads, _ = task_resources()
    (result,) = pipeline_results(model, [output])
    after = open_after(model.proto, cut, result.output)
    masks = None if after is None else tree_masks(cut)
    if after is None or masks is None:
        return None
    parts = cut.parts_of_features(model.proto.graph)
    names = list(dict.fromkeys(name for name, _ in parts))
    made, apart = (
        Scorer(
            OnnxModel(ahead_of_trees(model.proto, wanted)), outputs=wanted, threads=threads, provider="cpu"
        )
        for wanted in ([cut.features], names)
    )
    column_of = {binding.info.name: path[0] for binding in made.bindings for path in binding.columns}

    def features(batch: pa.RecordBatch) -> NDArray[np.float32]:
        return rows_of_numbers(made.score(batch).column(0), np.float32)

    def own(row: pa.RecordBatch) -> dict[str, frozenset[int]]:
        widths = {
            name: rows_of_numbers(column).shape[1]
            for name, column in zip(names, apart.score(row).columns, strict=True)
        }
        return _own(column_of, [(widths[name], sources) for name, sources in parts])

    def answers(scores: NDArray[np.float32]) -> NDArray[np.float64]:
        return rows_of_numbers(result.values(after(scores)))

    return Trees(features, masks, answers, own, lambda batch: opened(graph, output)(batch))


def _own(column_of: Mapping[str, str], parts: list[tuple[int, frozenset[str]]]) -> dict[str, frozenset[int]]:
    """Return by raw column its features, of those columns that share none of them with another.

    Parameters
    ----------
    column_of
        The raw column that fills an input of the graph.
    parts
        How many features each part is, and the inputs that it is made of.
    """
    found: dict[str, set[int]] = {column: set() for column in column_of.values()}
    shared: set[str] = set()
    start = 0
    for width, sources in parts:
        columns = {column_of[name] for name in sources}
        if len(columns) > 1:
            shared |= columns
        for column in columns:
            found[column].update(range(start, start + width))
        start += width
    return {column: frozenset(features) for column, features in found.items() if column not in shared}
