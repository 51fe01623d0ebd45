"""Trees of pyspark.ml: rows as they take them, and their nodes as arrays.

pyspark.ml knows no missing values. A missing number counts as the smallest there is, so that a split can part it from all
others, and a missing category is one more category. Either goes the same way in the neutral trees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import SetupError, TrainingError
from synml_dagster.files.parquet_files import spark_path
from synml_dagster.learners.onnx.tree_nodes import floor32
from synml_dagster.learners.spark_ml.rows import LARGEST, code_of, place

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

MOST_CODES = 1000
"""A categorical feature of more codes is a number to a tree: pyspark.ml looks at as many bins of every feature."""


def as_categories(codes: Mapping[int, int]) -> dict[int, int]:
    """Return the categorical features that trees split by category."""
    return {i: n for i, n in codes.items() if n <= MOST_CODES}


def bins_for(codes: Mapping[int, int], asked: int) -> int:
    """Return the bins that pyspark.ml has to have: as many as a category has codes, and one for the missing."""
    return max([asked, *(n + 1 for n in as_categories(codes).values())])


def vectors(frame: DataFrame, features: int, codes: Mapping[int, int], classes: int) -> DataFrame:
    """Return the columns `features`, `label` and `weight` of a frame of columns by place.

    Parameters
    ----------
    codes
        By the place of a categorical feature, how many codes it has.
    classes
        How many classes the label has, 0 for a regression.
    """
    from pyspark.ml.feature import VectorAssembler
    from pyspark.sql import functions as sf

    own = as_categories(codes)
    columns = []
    for i in range(features):
        number = sf.col(place(i))
        bounded = sf.greatest(sf.least(number, sf.lit(LARGEST)), sf.lit(-LARGEST))
        value = code_of(i, own[i]) if i in own else sf.when(sf.isnan(number), -LARGEST).otherwise(bounded)
        columns.append(value.alias(place(i)))
    kept = [name for name in ("label", "weight") if name in frame.columns]
    names = [place(i) for i in range(features)]
    made = VectorAssembler(inputCols=names, outputCol="features").transform(
        frame.select(*columns, *(sf.col(name) for name in kept))
    )
    attributes = {
        "numeric": [{"idx": i, "name": place(i)} for i in range(features) if i not in own],
        "nominal": [{"idx": i, "name": place(i), "num_vals": n + 1} for i, n in own.items()],
    }
    about = {"ml_attr": {"attrs": {k: v for k, v in attributes.items() if v}, "num_attrs": features}}
    made = made.select("features", *kept).withMetadata("features", about)
    if classes and "label" in kept:
        made = made.withMetadata(
            "label", {"ml_attr": {"type": "nominal", "name": "label", "num_vals": classes}}
        )
    return made


@dataclass(frozen=True)
class SavedTrees:
    """The trees of a model, each as the arrays of its nodes that `write_forest` takes, but for what a leaf answers."""

    nodes: list[dict[str, NDArray]]
    """`left`, `right`, `feature`, `threshold`, `missing_left`, `cover`, `gain`."""
    prediction: list[NDArray[np.float64]]
    statistics: list[NDArray[np.float64]]
    """By tree, [nodes, n]: of a classifier the weight of each class."""
    categories: list[dict[int, list[int]]]
    weight: list[float]


def saved_trees(
    spark: SparkSession, model: Any, path: str, codes: Mapping[int, int], classifies: bool
) -> SavedTrees:
    """Save a trained ensemble under `path`, and read its trees from there: the one way that Connect has, too.

    Raises
    ------
    SetupError
        What was saved is not there: the executors wrote to disks of their own.
    """
    from pyspark.sql import functions as sf

    model.write().overwrite().save(path)
    weight = [float(one) for one in model.treeWeights]
    node = sf.col("nodeData")
    columns = {
        "tree": sf.col("treeID"),
        "id": node["id"],
        "left": node["leftChild"],
        "right": node["rightChild"],
        "feature": node["split"]["featureIndex"],
        "values": node["split"]["leftCategoriesOrThreshold"],
        "categories": node["split"]["numCategories"],
        "prediction": node["prediction"],
        "gain": node["gain"],
        "statistics": node["impurityStats"],
    }
    try:
        frame = spark.read.parquet(spark_path(f"{path}/data"))
        table = frame.select(*(c.alias(name) for name, c in columns.items())).orderBy("tree", "id").toArrow()
    except Exception as problem:
        raise SetupError(_unseen(path)) from problem
    tree = table.column("tree").to_numpy()
    starts = np.searchsorted(tree, np.arange(len(weight) + 1))
    found = SavedTrees([], [], [], [], weight)
    for start, end in pairwise(starts):
        part = table.slice(int(start), int(end - start))
        if not np.array_equal(part.column("id").to_numpy(), np.arange(len(part))) or len(part) == 0:
            raise SetupError(_unseen(path))
        _add_tree(found, part.to_pydict(), as_categories(codes), classifies)
    return found


def _unseen(path: str) -> str:
    return f"learners of pyspark.ml save a trained model for a moment, and read its trees from there. What was saved under {path!r} is not there, or not all of it: executors and this process have to reach one place. Set SYNML_DATA_DIR, or without Dagster the session's spark.synml.scratch, to a folder that all of them share."


def _add_tree(
    found: SavedTrees, raw: dict[str, list[Any]], codes: Mapping[int, int], classifies: bool
) -> None:
    left, right = np.array(raw["left"], np.int32), np.array(raw["right"], np.int32)
    statistics = np.array(raw["statistics"], np.float64)
    size = len(left)
    threshold, missing_left = np.zeros(size), np.ones(size, bool)
    categories: dict[int, list[int]] = {}
    for node in np.flatnonzero(left >= 0):
        values = raw["values"][node]
        if raw["categories"][node] < 0:
            threshold[node] = values[0]
            continue
        gone = codes[raw["feature"][node]]
        chosen = sorted(int(value) for value in values if value != gone)
        missing_left[node] = gone in values
        if not chosen:  # missing values alone go left; the neutral tree says that by what goes the other way
            left[node], right[node] = right[node], left[node]
            chosen, missing_left[node] = list(range(gone)), False
        categories[int(node)] = chosen
    cover = statistics.sum(1) if classifies else statistics[:, 0]
    inner = left >= 0
    found.nodes.append(
        {
            "left": left,
            "right": right,
            "feature": np.maximum(np.array(raw["feature"], np.int32), 0),
            "threshold": np.where(inner, floor32(threshold), np.float32(0)),
            "missing_left": missing_left,
            "cover": cover,
            "gain": np.where(inner, np.maximum(np.array(raw["gain"]), 0) * cover, 0.0),
        }
    )
    found.prediction.append(np.array(raw["prediction"], np.float64))
    found.statistics.append(statistics)
    found.categories.append(categories)


def shares_of(statistics: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return what a tree of a classifier answers at its nodes `[nodes, outputs]`: of two classes the second one's share alone.

    Raises
    ------
    TrainingError
        There are more classes than labels.
    """
    if statistics.shape[1] > count:
        raise TrainingError(
            f"the model tells {statistics.shape[1]} classes apart, and the label has {count}."
        )
    total = statistics.sum(1, keepdims=True)
    share = np.zeros((len(statistics), count))
    share[:, : statistics.shape[1]] = statistics / np.where(total > 0, total, 1)
    return share[:, 1:] if count == 2 else share
