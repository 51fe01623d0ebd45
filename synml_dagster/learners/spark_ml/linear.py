"""Linear models of pyspark.ml: rows as standardised columns, and coefficients as terms of features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synml_dagster.learners.additive import AdditiveForm
from synml_dagster.learners.link import Link
from synml_dagster.learners.one_process.design import Design
from synml_dagster.learners.spark_ml.rows import LARGEST, TrainingRows, code_of, place

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_NEVER = -30.0
"""The score of a class that no training row has: a probability of 1e-13."""


@dataclass(frozen=True)
class Shares:
    """What part of the rows' weight a column of the design has where it is 1."""

    gone: NDArray[np.float64]
    """[features] missing."""
    code: NDArray[np.float64]
    """[entries of the design's categories]"""


def design_of(data: TrainingRows) -> tuple[Design, Shares]:
    """Return how features become columns, as `Design.of` does of rows in memory, and how often each is set."""
    from pyspark.sql import functions as sf

    numbers = [i for i in range(data.features) if i not in data.codes]
    weight = sf.col("weight")
    asked = [sf.sum(weight).alias("all")]
    for i in numbers:
        there = _is_there(i)
        asked += [
            sf.sum(sf.when(there, weight)).alias(f"w{i}"),
            sf.sum(sf.when(there, weight * sf.col(place(i)))).alias(f"s{i}"),
            sf.min(sf.when(there & (weight > 0), sf.col(place(i)))).alias(f"l{i}"),
            sf.max(sf.when(there & (weight > 0), sf.col(place(i)))).alias(f"h{i}"),
        ]
    told = data.frame.agg(*asked).collect()[0].asDict()
    whole = float(told["all"])
    known = {i: float(told[f"w{i}"] or 0.0) for i in numbers}
    mean = {i: float(told[f"s{i}"]) / known[i] for i in numbers if known[i] > 0}
    spread = _spreads(data, mean, known)
    # By itself and not by its spread: that of one value is seldom 0 where rows weigh fractions.
    several = [i for i in mean if told[f"l{i}"] != told[f"h{i}"]]
    kept = [i for i in several if spread[i] > 0 and np.isfinite(spread[i])]
    by_code = _weights_by_code(data)
    gone = np.zeros(data.features)
    for i in numbers:
        gone[i] = 1 - known[i] / whole
    for i, codes in data.codes.items():
        gone[i] = by_code.get((i, codes), 0.0) / whole
    gone[gone < 1e-12] = 0.0  # what a sum of floats leaves of nothing
    feature = np.repeat(list(data.codes), list(data.codes.values())).astype(np.int64)
    code = np.concatenate([np.zeros(0), *(np.arange(n) for n in data.codes.values())])
    design = Design(
        numeric=np.array(kept, np.int64),
        mean=np.array([mean[i] for i in kept], np.float64),
        spread=np.array([spread[i] for i in kept], np.float64),
        flagged=np.flatnonzero((gone > 0) & (gone < 1)).astype(np.int64),
        category_feature=feature,
        category_code=code.astype(np.float32),
        features=data.features,
    )
    share = np.array(
        [by_code.get((int(i), int(c)), 0.0) / whole for i, c in zip(feature, code, strict=True)], np.float64
    )
    return design, Shares(gone, share)


def _is_there(i: int) -> Column:
    from pyspark.sql import functions as sf

    return sf.abs(sf.col(place(i))) <= LARGEST  # to Spark, NaN is larger than any number


def _spreads(data: TrainingRows, mean: Mapping[int, float], known: Mapping[int, float]) -> dict[int, float]:
    """Return the standard deviations, by squares about the mean: those about 0 would lose it far from 0."""
    from pyspark.sql import functions as sf

    if not mean:
        return {}
    squares = [
        sf.sum(sf.when(_is_there(i), sf.col("weight") * sf.pow(sf.col(place(i)) - middle, 2.0))).alias(
            f"q{i}"
        )
        for i, middle in mean.items()
    ]
    told = data.frame.agg(*squares).collect()[0]
    return {i: float(np.sqrt(told[f"q{i}"] / known[i])) for i in mean}


def _weights_by_code(data: TrainingRows) -> dict[tuple[int, int], float]:
    from pyspark.sql import functions as sf

    if not data.codes:
        return {}
    pairs = [
        sf.struct(sf.lit(i).alias("feature"), code_of(i, n).alias("code")) for i, n in data.codes.items()
    ]
    each = data.frame.select("weight", sf.explode(sf.array(*pairs)).alias("pair"))
    told = each.groupBy("pair.feature", "pair.code").agg(sf.sum("weight").alias("weight")).collect()
    return {(int(row["feature"]), int(row["code"])): float(row["weight"]) for row in told}


def vectors(data: TrainingRows, design: Design) -> DataFrame:
    """Return the columns `features`, `label` and `weight`; see `ordered` for what is at which place of a vector."""
    from pyspark.ml.feature import OneHotEncoder, VectorAssembler
    from pyspark.sql import functions as sf

    columns = {}
    for i, mean, spread in zip(design.numeric, design.mean, design.spread, strict=True):
        scaled = (sf.col(place(i)) - float(mean)) / float(spread)
        columns[f"z{i}"] = sf.when(_is_there(int(i)), scaled).otherwise(0.0)
    for i in design.flagged:
        if int(i) not in data.codes:
            columns[f"m{i}"] = sf.when(_is_there(int(i)), 0.0).otherwise(1.0)
    coded = {f"k{i}": code_of(i, n) for i, n in data.codes.items()}
    names = [*columns, *(f"h{i}" for i in data.codes)]
    if not names:
        columns["nothing"], names = sf.lit(0.0), ["nothing"]
    frame = data.frame.select("label", "weight", *(c.alias(name) for name, c in {**columns, **coded}.items()))
    for i, n in data.codes.items():
        about = {"type": "nominal", "name": f"k{i}", "num_vals": n + 1}
        frame = frame.withMetadata(f"k{i}", {"ml_attr": about})
    if coded:
        encoder = OneHotEncoder(
            inputCols=list(coded), outputCols=[f"h{i}" for i in data.codes], dropLast=False
        )
        frame = encoder.fit(frame).transform(frame)
    made = VectorAssembler(inputCols=names, outputCol="features").transform(frame)
    return made.select("features", "label", "weight")


def ordered(coefficients: NDArray[np.float64], data: TrainingRows, design: Design) -> NDArray[np.float64]:
    """Return coefficients `[outputs, places of a vector]` in the order of the design's columns.

    A vector has the numbers, the flags of missing numbers, and by categorical feature its codes and then the missing one.
    """
    numbers = len(design.numeric)
    flags = [int(i) for i in design.flagged if int(i) not in data.codes]
    at = {i: numbers + k for k, i in enumerate(flags)}
    places, start = [], numbers + len(flags)
    for i, n in data.codes.items():
        places += list(range(start, start + n))
        at[i] = start + n
        start += n + 1
    order = [*range(numbers), *(at[int(i)] for i in design.flagged), *places]
    return np.asarray(coefficients[:, order], np.float64)


def form_of(
    design: Design,
    shares: Shares,
    intercept: NDArray[np.float64],
    coefficients: NDArray[np.float64],
    link: Link,
    classifies: bool,
) -> tuple[AdditiveForm, list[float]]:
    """Return the terms with their means over the training rows, and how far each feature's spreads there.

    Parameters
    ----------
    coefficients
        `[outputs, columns of the design]`.
    """
    bare = design.terms(intercept, coefficients, link, classifies)
    a, b = len(design.numeric), len(design.numeric) + len(design.flagged)
    mean, square = np.zeros_like(bare.slope), np.zeros_like(bare.slope)
    # A standardised number has mean 0 and variance 1 where it is there, and is 0 where it is not.
    mean[design.numeric] = bare.slope[design.numeric] * design.mean[:, None]
    square[design.numeric] = coefficients[:, :a].T ** 2 * (1 - shares.gone[design.numeric])[:, None]
    gone = shares.gone[design.flagged][:, None]
    mean[design.flagged] += coefficients[:, a:b].T * gone
    square[design.flagged] += coefficients[:, a:b].T ** 2 * gone
    np.add.at(mean, design.category_feature, coefficients[:, b:].T * shares.code[:, None])
    np.add.at(square, design.category_feature, coefficients[:, b:].T ** 2 * shares.code[:, None])
    flat = mean.copy()
    flat[design.numeric] -= bare.slope[design.numeric] * design.mean[:, None]
    spread = np.sqrt(np.maximum(square - flat**2, 0)).sum(1)
    return AdditiveForm(**{**bare.__dict__, "mean_term": mean}), spread.tolist()


def of_all_classes(
    intercept: NDArray[np.float64], coefficients: NDArray[np.float64], seen: tuple[int, ...], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return scores of `count` classes, of which pyspark.ml was shown those in `seen` as 0, 1 ..."""
    if count == 2:
        return intercept, coefficients
    if len(seen) == 2:  # one score for two classes; softmax wants one each
        intercept, coefficients = np.r_[0.0, intercept], np.vstack([0 * coefficients, coefficients])
    bases, weights = np.full(count, _NEVER), np.zeros((count, coefficients.shape[1]))
    bases[list(seen)], weights[list(seen)] = intercept, coefficients
    return bases, weights


def arrays_of(model: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a trained model's intercepts `[outputs]` and coefficients `[outputs, places]`."""
    if hasattr(model, "interceptVector"):
        return np.asarray(model.interceptVector.toArray(), np.float64), np.asarray(
            model.coefficientMatrix.toArray(), np.float64
        )
    return np.array([float(model.intercept)]), np.asarray(model.coefficients.toArray(), np.float64)[None, :]
