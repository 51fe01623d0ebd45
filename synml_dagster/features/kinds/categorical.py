"""Names: a code each for the frequent ones, one code for the rare and unseen, NaN for the missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from synml_dagster.columns import col
from synml_dagster.columns.arrow_values import LARGEST_WORD, TOO_LARGE
from synml_dagster.features.compile.lookup import look_up
from synml_dagster.features.kinds.base import FittedColumn

if TYPE_CHECKING:
    from pyspark.sql import Column

    from synml_dagster.columns import RawInput
    from synml_dagster.onnx.graph import Graph

NAN = float("nan")


class CategoricalColumn(FittedColumn):
    """The words of a column, the most frequent first, and what stands for each.

    `index`: 0, 1, 2 ... in that order, `len(words)` for every other word, NaN for missing. `onehot`: one feature
    per word and one for all others; a missing value is 0 in each. `frequency`: the word's share of the training
    rows. `target`: the training rows' mean of the label, mixed with the overall mean as
    `(sum + smoothing * mean) / (rows + smoothing)` (Micci-Barreca, 2001); a training row gets the figure of the
    other folds.

    Numbers that are declared categorical are compared as int64, or as float32 where their type has fractions, and as
    text where the training rows have one beyond 2^53.
    """

    kind: Literal["categorical"] = "categorical"
    encoding: Literal["index", "onehot", "target", "frequency"] = "index"
    words: list[str]
    native: bool = False
    spellings: dict[str, str] = Field(
        default_factory=dict, description="Other spellings of words: of true and of false."
    )
    numbers: list[float] = Field(
        default_factory=list, description="target, frequency: what stands for each word."
    )
    rare: float = Field(default=0.0, description="target, frequency: what stands for every other word.")
    missing: float | None = Field(
        default=None, description="target, frequency: what stands for missing; null is NaN."
    )
    fold_numbers: list[list[float]] = Field(
        default_factory=list,
        description="target: `numbers`, then `rare` and `missing`, without the rows of each fold.",
    )

    @property
    def native_categorical(self) -> list[str]:
        """The index, where the words are few enough."""
        return list(self.features) if self.native else []

    def word(self, value: Column) -> Column:
        """Return a raw value as a word, "" where it is missing or a mark for that."""
        return self._as_learnt(as_word(value, self.input.storage))

    def trained_word(self) -> Column:
        """Return the raw column as `word` does, of whole numbers to their last digit."""
        return self._as_learnt(word_of(self.input))

    def _as_learnt(self, word: Column) -> Column:
        from pyspark.sql import functions as sf

        for same in sorted(set(self.spellings.values())):
            others = [form for form, meant in self.spellings.items() if meant == same]
            word = sf.when(word.isin(*others), sf.lit(same)).otherwise(word)
        marks = self.input.missing
        return sf.when(word.isin(*marks), sf.lit("")).otherwise(word) if marks else word

    def prepare(self, value: Column) -> Column:
        """Return the word, or for a `onehot` column the word's index: its length for others, -1 for missing."""
        word = self.word(value)
        if self.encoding != "onehot":
            return word
        return self._choose(word, [float(i) for i in range(len(self.words))], float(len(self.words)), -1.0)

    def to_spark(self, value: Column, fold: Column | None = None) -> list[Column]:
        """Return the code, the share or the mean, or one 0/1 column per word."""
        from pyspark.sql import functions as sf

        if self.encoding == "onehot":
            return [(value == i).cast("double") for i in range(len(self.words) + 1)]
        numbers, rare, missing = self._numbers()
        out = self._choose(value, numbers, rare, missing)
        if self.encoding == "target" and fold is not None:
            for i, row in enumerate(self.fold_numbers):
                out = sf.when(fold == i, self._choose(value, row[:-2], row[-2], row[-1])).otherwise(out)
        return [out]

    def to_onnx(self, graph: Graph, value: str) -> str:
        """Return the code, the share or the mean, or one 0/1 column per word."""
        import numpy as np

        if self.encoding == "onehot":
            codes = self._encode(
                graph, value, [float(i) for i in range(len(self.words))], len(self.words), -1.0
            )
            places = graph.constant(np.arange(len(self.words) + 1, dtype=np.float32)[None, :])
            return graph.cast(graph.node("Equal", codes, places), "float")
        return self._encode(graph, value, *self._numbers())

    def _numbers(self) -> tuple[list[float], float, float]:
        if self.encoding == "index":
            return [float(i) for i in range(len(self.words))], float(len(self.words)), NAN
        return self.numbers, self.rare, NAN if self.missing is None else self.missing

    def _choose(self, word: Column, numbers: list[float], rare: float, missing: float) -> Column:
        from pyspark.sql import functions as sf

        return sf.when(word == "", sf.lit(missing)).otherwise(look_up(word, self.words, numbers, rare))

    def _encode(self, graph: Graph, value: str, numbers: list[float], rare: float, missing: float) -> str:
        import numpy as np

        def encode(keys: str, **attributes: Any) -> str:
            return graph.node(
                "LabelEncoder", keys, domain="ai.onnx.ml", default_float=float(rare), **attributes
            )

        if self.input.storage == "string":
            marks = ["", *self.input.missing]
            known = dict(zip(self.words, numbers, strict=True))
            known |= {form: known.get(same, rare) for form, same in self.spellings.items()}
            return encode(
                value,
                keys_strings=[*marks, *known],
                values_floats=[*[missing] * len(marks), *known.values()],
            )
        gone, other = (graph.constant(v, np.float32) for v in (missing, rare))
        value = graph.cast(value, "double")
        absent = graph.node("IsNaN", value)
        large = graph.constant(LARGEST_WORD, np.float64)
        if self.input.storage == "number":
            # float32 on both sides; -0.0 is 0.0.
            zero = graph.constant(0.0, np.float32)
            keys = graph.cast(graph.where(absent, graph.constant(0.0, np.float64), value), "float")
            keys = graph.where(graph.node("Equal", keys, zero), zero, keys)
            floats = [float(np.float32(w)) for w in self.words]
            found = encode(keys, keys_floats=floats, values_floats=numbers) if self.words else other
        else:
            fits = graph.node("Less", graph.node("Abs", value), large)
            keys = graph.cast(graph.where(fits, value, graph.constant(0.0, np.float64)), "int64")
            found = (
                encode(keys, keys_int64s=[int(w) for w in self.words], values_floats=numbers)
                if self.words
                else other
            )
            found = graph.where(fits, found, other)
        return graph.where(absent, gone, found)


def word_of(raw: RawInput) -> Column:
    """Return a raw column as the word that vocabularies hold, "" where it is missing; whole numbers to their last digit."""
    from pyspark.sql import functions as sf

    if raw.storage == "integer":
        return sf.coalesce(col(*raw.path).cast("string"), sf.lit(""))
    return as_word(raw.value(), raw.storage)


def as_word(value: Column, storage: str) -> Column:
    """Return a raw value as the word that vocabularies hold, "" where it is missing."""
    from pyspark.sql import functions as sf

    if storage == "string":
        return value
    if storage == "number":
        word = (value.cast("float") + sf.lit(0.0).cast("float")).cast("string")
    else:
        fits = sf.abs(value) < LARGEST_WORD
        word = sf.when(fits, value.try_cast("bigint").cast("string")).otherwise(sf.lit(TOO_LARGE))
    return sf.when(sf.isnan(value), sf.lit("")).otherwise(word)
