"""Ensembles against their best single trial, on rows that nothing chose by: small tables, several seeds.

python -m bench.tuning.ensembles --seeds 0 1 2 --trials 9 --out ensembles.jsonl

For each table and seed: candidates of all families are measured by folds, as a sweep's trials are; weights are found; and all are
trained on the training rows and measured on the test rows. A line says what the ensemble gains over the best trial on the rows that its
weights were found on (`seen`), on others (`apart`, which decides) and on the test rows, each with its standard error, by row.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from synml_dagster.features import SPLIT, SplitSpec, assemble, fit_plan
from synml_dagster.learners import TrainSpec, learner_of
from synml_dagster.learners.one_process.rows import Rows, read_rows
from synml_dagster.spark import SparkSettings, open_session
from synml_dagster.tables import publish_table
from synml_dagster.tuning import SweepSpec
from synml_dagster.tuning.choice import families_of, family_names, train_spec
from synml_dagster.tuning.ensemble import greedy, mixed_apart
from synml_dagster.tuning.families import first_questions
from synml_dagster.tuning.folds import FoldPlan
from synml_dagster.tuning.losses import Measure, paired_gain
from synml_dagster.tuning.trial import Loaded, TrialData, run


def table(X, y, classes: bool = True) -> pd.DataFrame:
    found = pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])
    return found.assign(label=[f"c{v}" for v in y] if classes else y)


def tables() -> dict[str, Callable[[int], pd.DataFrame]]:
    from sklearn import datasets

    def easy(seed):
        return datasets.make_classification(
            800, 8, n_informative=4, n_redundant=0, n_clusters_per_class=1, class_sep=0.6, random_state=seed
        )

    return {
        "diabetes": lambda _: table(*datasets.load_diabetes(return_X_y=True), classes=False),
        "cancer": lambda _: table(*datasets.load_breast_cancer(return_X_y=True)),
        "friedman": lambda seed: table(*datasets.make_friedman1(1500, 10, noise=2.0, random_state=seed), classes=False),
        "classes": lambda seed: table(
            *datasets.make_classification(2000, 15, n_informative=6, flip_y=0.1, random_state=seed)
        ),
        "easy": lambda seed: table(*easy(seed)),
    }  # fmt: skip


def answers_of(spark, rows: pd.DataFrame, seed: int, trials: int):
    """Return the measure, the labels held out and of test rows, and by trial its value and its answers for both."""
    with tempfile.TemporaryDirectory() as folder:
        raw = spark.createDataFrame(rows)
        plan = fit_plan(raw, name="bench", label="label", split=SplitSpec(seed=seed))
        made = publish_table(assemble(raw, plan), str(Path(folder) / "features"), partition_by=[SPLIT])
        train, held, test = (
            read_rows(spark, made.files(**{SPLIT: s}), plan.feature_names)
            for s in ("train", "validation", "test")
        )
    X, y = np.concatenate([train.X, held.X]), np.r_[train.y, held.y]
    pool = Rows(np.asfortranarray(X), y, np.ones(len(y)), len(y))
    measure, folds = Measure.of(plan.task), FoldPlan(5, 1, "")
    cuts = folds.cut(pool, plan.task != "regression")
    loaded = Loaded(plan, [(pool.take(a), pool.take(b), b) for a, b in cuts], pool)
    data = TrialData("bench", (), (), (), folds, "", measure)
    spec, train_as = SweepSpec(learners="all"), TrainSpec(seed=seed, rounds=200, early_stopping=20)
    names, found = family_names(spec, train_as, plan.task), []
    for family, candidate in first_questions(families_of(names, spec, train_as, plan.task))[:trials]:
        own = train_spec(family, train_as)
        told, out_of_fold = run(data, loaded, own, candidate.params, 1)
        model = learner_of(family).fit_rows(plan, own, candidate.params, train, held)
        found.append((told["value"], out_of_fold, model.predict(test.X)))
    return measure, pool, test, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--trials", type=int, default=9)
    parser.add_argument("--out", type=Path, default=Path("ensembles.jsonl"))
    given = parser.parse_args()
    spark = open_session(SparkSettings(master="local[2]"))
    for seed in given.seeds:
        for name, make in tables().items():
            measure, pool, test, found = answers_of(spark, make(seed), seed, given.trials)
            best = int(np.argmin([value for value, _, _ in found]))
            seen, unseen = [a for _, a, _ in found], [a for _, _, a in found]
            weights = greedy(seen, pool, measure, 8)
            pairs = {
                "seen": (seen[best], sum(w * a for w, a in zip(weights, seen, strict=True)), pool),
                "apart": (seen[best], mixed_apart(seen, pool, measure, 8), pool),
                "test": (unseen[best], sum(w * a for w, a in zip(weights, unseen, strict=True)), test),
            }
            told = {"table": name, "seed": seed, "members": int((weights > 0).sum())}
            for what, (one, many, rows) in pairs.items():
                (before, weight), (after, _) = measure.losses(one, rows), measure.losses(many, rows)
                gain, error = paired_gain(before, after, weight)
                told |= {what: gain, f"{what}_error": error}
                if what == "test":
                    told["test_share"] = gain / float(np.average(before, weights=weight))
            line = json.dumps(told | {"taken": bool(told["apart"] > told["apart_error"])})
            print(line, flush=True)
            with given.out.open("a") as out:
                out.write(line + "\n")


if __name__ == "__main__":
    main()
