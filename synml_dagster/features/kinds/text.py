"""Sentences as counts of words and runs of words: a vocabulary weighed by rarity (TF-IDF), or hashed into buckets."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from string import ascii_lowercase, ascii_uppercase
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from synml_dagster.features.kinds.base import FittedColumn
from synml_dagster.features.spec import MOST_WORDS

if TYPE_CHECKING:
    from pyspark.sql import Column

    from synml_dagster.onnx.graph import Graph

# Java, RE2 and Python read it alike; what is not ASCII is never cut, so no two Unicode tables have to agree.
_TOKEN = "[0-9a-z_\u0080-\U0010ffff]+"
_BETWEEN = "[^0-9a-z_\\x{80}-\\x{10FFFF}]+"
_LONGEST = 40
_COMMON = 0.9
_MANY = 2**30
_PAD = "zzpad"  # a batch of empty texts would give the vectorizer no column at all


class TextColumn(FittedColumn):
    """How often each of some words, or runs of up to `ngrams` words, is in a text, lower-cased for A to Z only.

    `tfidf`: one feature per word or run of the vocabulary, its count times `ln((1 + rows) / (1 + rows with it)) + 1`.
    `hashed`: one feature per bucket, the count of words and runs whose CRC-32 falls into it; no vocabulary to keep, and
    no ONNX operator that could do it, so an exported graph takes these features ready made.
    """

    kind: Literal["text"] = "text"
    encoding: Literal["tfidf", "hashed"] = "tfidf"
    ngrams: int = Field(default=1, ge=1, le=MOST_WORDS)
    words: list[str] = Field(default_factory=list)
    """The vocabulary; the words of a run stand with one blank between them."""
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
        runs, longest = [words], words
        for more in range(1, self.ngrams):
            # zip_with goes on to the end of the longer array; the rest of it has no run.
            joined = sf.zip_with(
                longest, sf.slice(words, more + 1, _MANY), lambda a, b: sf.concat(a, sf.lit(" "), b)
            )
            longest = sf.filter(joined, lambda run: run.isNotNull())
            runs.append(longest)
        codes = sf.transform(
            sf.concat(*runs), lambda run: (sf.crc32(run.cast("binary")) % width).cast("string")
        )
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
        # The operator wants its pool sorted by length, and where in it each length begins.
        places = sorted(range(len(self.words)), key=lambda i: _length(self.words[i]))
        pool = [self.words[i] for i in places]
        longest = _length(pool[-1])
        starts = [sum(_length(run) for run in pool if _length(run) < n) for n in range(1, longest + 1)]
        counts = graph.node(
            "TfIdfVectorizer",
            tokens,
            mode="TF",
            min_gram_length=1,
            max_gram_length=longest,
            max_skip_count=0,
            ngram_counts=starts,
            ngram_indexes=places,
            pool_strings=[part for run in pool for part in run.split(" ")],
        )
        weights = graph.constant(np.array([self.weights], dtype=np.float64))
        return graph.cast(graph.node("Mul", graph.cast(counts, "double"), weights), "float")


def choose_words(texts: Iterable[str], width: int, ngrams: int = 1) -> tuple[list[str], list[float]]:
    """Return the `width` words and runs of up to `ngrams` words that are in most texts, and how much each weighs.

    Words of a single text, of nearly all texts, or of more than 40 letters tell nothing that lasts. Neither does a run
    that can overlap itself, as `very very` does: what it would count depends on who counts.
    """
    matcher = re.compile(_TOKEN)
    lower = str.maketrans(ascii_uppercase, ascii_lowercase)
    found: Counter[str] = Counter()
    rows = 0
    for text in texts:
        rows += 1
        words = matcher.findall(text.translate(lower))
        runs = (words[i : i + n] for n in range(1, ngrams + 1) for i in range(len(words) - n + 1))
        found.update({" ".join(run) for run in runs if not _overlaps_itself(run) and _telling(run)})
    telling = [w for w, n in found.items() if 2 <= n <= _COMMON * rows]
    words = sorted(telling, key=lambda w: (-found[w], w))[:width]
    return words, [float(f"{math.log((1 + rows) / (1 + found[w])) + 1:.10g}") for w in words]


def _telling(run: list[str]) -> bool:
    return all(len(word) <= _LONGEST and word != _PAD for word in run)


def _overlaps_itself(run: list[str]) -> bool:
    return any(run[:n] == run[-n:] for n in range(1, len(run)))


def _length(run: str) -> int:
    return run.count(" ") + 1


def _count(spread: Column, word: str) -> Column:
    from pyspark.sql import functions as sf

    mark = f" {word.replace(' ', '  ')} "
    without = sf.replace(spread, sf.lit(mark), sf.lit(""))
    return (sf.char_length(spread) - sf.char_length(without)) / float(len(mark))
