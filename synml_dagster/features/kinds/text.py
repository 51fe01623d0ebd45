"""Sentences as counts of words: a chosen vocabulary weighed by rarity (TF-IDF), or words hashed into buckets."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from string import ascii_lowercase, ascii_uppercase
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from synml_dagster.features.kinds.base import FittedColumn

if TYPE_CHECKING:
    from pyspark.sql import Column

    from synml_dagster.features.graph import Graph

# Java, RE2 and Python read it alike; what is not ASCII is never cut, so no two Unicode tables have to agree.
_TOKEN = "[0-9a-z_\u0080-\U0010ffff]+"
_BETWEEN = "[^0-9a-z_\\x{80}-\\x{10FFFF}]+"
_LONGEST = 40
_COMMON = 0.9
_PAD = "zzpad"  # a batch of empty texts would give the vectorizer no column at all


class TextColumn(FittedColumn):
    """How often each of some words is in a text, lower-cased for A to Z only.

    `tfidf`: one feature per word of the vocabulary, its count times `ln((1 + rows) / (1 + rows with it)) + 1`.
    `hashed`: one feature per bucket, the count of words whose CRC-32 falls into it; no vocabulary to keep, and no
    ONNX operator that could do it, so an exported graph takes these features ready made.
    """

    kind: Literal["text"] = "text"
    encoding: Literal["tfidf", "hashed"] = "tfidf"
    words: list[str] = Field(default_factory=list)
    weights: list[float] = Field(default_factory=list)

    @property
    def outside_onnx(self) -> str | None:
        """Hashing has no ONNX operator."""
        return "no ONNX operator hashes words; use encoding 'tfidf'" if self.encoding == "hashed" else None

    def prepare(self, value: Column) -> Column:
        """Return the words, or the numbers of their buckets, each between two blanks of its own.

        Counting one is then a matter of lengths, in compiled code without a lambda.
        """
        from pyspark.sql import functions as sf

        lowered = sf.translate(value, ascii_uppercase, ascii_lowercase)
        spread = sf.concat(sf.lit(" "), sf.regexp_replace(lowered, _BETWEEN, "  "), sf.lit(" "))
        if self.encoding == "tfidf":
            return spread
        width = len(self.features)
        words = sf.filter(sf.split(spread, " +"), lambda w: w != "")
        codes = sf.transform(words, lambda w: (sf.crc32(w.cast("binary")) % width).cast("string"))
        return sf.concat(sf.lit(" "), sf.array_join(codes, "  "), sf.lit(" "))

    def to_spark(self, value: Column, fold: Column | None = None) -> list[Column]:
        """Return the weighed count of each word, or the count in each bucket."""
        if self.encoding == "tfidf":
            return [_count(value, w) * k for w, k in zip(self.words, self.weights, strict=True)]
        return [_count(value, str(i)) for i in range(len(self.features))]

    def to_onnx(self, graph: Graph, value: str) -> str:
        """Return the weighed count of each word."""
        import numpy as np

        graph.opsets["com.microsoft"] = 1
        padded = graph.node("StringConcat", value, graph.constant(f" {_PAD}"))
        rows = graph.node("Reshape", padded, graph.constant([-1], np.int64))
        # Any other locale has to be installed on the host, and lower-cases more letters than Spark is asked to.
        lowered = graph.node(
            "StringNormalizer", rows, case_change_action="LOWER", is_case_sensitive=1, locale="C"
        )
        tokens = graph.node(
            "Tokenizer", lowered, domain="com.microsoft", mark=0, pad_value="#", mincharnum=1, tokenexp=_TOKEN
        )
        counts = graph.node(
            "TfIdfVectorizer",
            tokens,
            mode="TF",
            min_gram_length=1,
            max_gram_length=1,
            max_skip_count=0,
            ngram_counts=[0],
            ngram_indexes=list(range(len(self.words))),
            pool_strings=self.words,
        )
        weights = graph.constant(np.array([self.weights], dtype=np.float64))
        return graph.cast(graph.node("Mul", graph.cast(counts, "double"), weights), "float")


def choose_words(texts: Iterable[str], width: int) -> tuple[list[str], list[float]]:
    """Return the `width` words that are in most texts, and how much each weighs.

    Words of a single text, of nearly all texts, or of more than 40 letters tell nothing that lasts.
    """
    matcher = re.compile(_TOKEN)
    lower = str.maketrans(ascii_uppercase, ascii_lowercase)
    found: Counter[str] = Counter()
    rows = 0
    for text in texts:
        rows += 1
        found.update({w for w in matcher.findall(text.translate(lower)) if len(w) <= _LONGEST})
    telling = [w for w, n in found.items() if 2 <= n <= _COMMON * rows and w != _PAD]
    words = sorted(telling, key=lambda w: (-found[w], w))[:width]
    return words, [float(f"{math.log((1 + rows) / (1 + found[w])) + 1:.10g}") for w in words]


def _count(spread: Column, word: str) -> Column:
    from pyspark.sql import functions as sf

    mark = f" {word} "
    without = sf.replace(spread, sf.lit(mark), sf.lit(""))
    return (sf.char_length(spread) - sf.char_length(without)) / float(len(mark))
