"""What sweeps find, on rows that nothing chose by: ours, the defaults, plain TPE, LightGBMTuner, FLAML and H2O.

python bench/tuning/quality.py --table adult --csv adult.csv --label income --seeds 0 1 2 --peers /path/to/python --out quality.jsonl

`--peers` is the Python of an environment with optuna-integration[lightgbm], flaml[automl] and h2o; without it these are left out.
All see the same features of the same rows. A seed stands for a split, a sweep and a training of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.tuning.measures import measured
from synml_dagster.features import SPLIT, FeatureSpec, SplitSpec, assemble, fit_plan
from synml_dagster.learners import TrainSpec, learner_of
from synml_dagster.learners.ensemble import Member, combined
from synml_dagster.learners.one_process.rows import background, read_rows
from synml_dagster.spark import SparkSettings, open_session
from synml_dagster.tables import publish_table
from synml_dagster.tuning import SweepSpec, run_sweep
from synml_dagster.tuning.choice import families_of, family_names, train_spec
from synml_dagster.tuning.ensemble import with_ensemble
from synml_dagster.tuning.feature_choice import split_choice, wanted_choices
from synml_dagster.tuning.folds import FoldPlan
from synml_dagster.tuning.guard import keep_default_within_noise
from synml_dagster.tuning.losses import Measure
from synml_dagster.tuning.runner import TrialJobs, trial_data


class Bench:
    """One table, split by one seed."""

    def __init__(self, spark, given: argparse.Namespace, seed: int, folder: Path) -> None:
        self.spark, self.given, self.seed, self.folder = spark, given, seed, folder
        # The example sets of LightGBM have no names, and their label first: `_c0`.
        raw = spark.read.csv(
            given.csv, header=not given.bare, inferSchema=True, sep="\t" if given.bare else ","
        )
        features = FeatureSpec(exclude=given.exclude)
        auto = wanted_choices(SweepSpec(learners="all", features="auto"), TrainSpec())
        self.whole = fit_plan(
            raw, name="bench", label=given.label, features=features, split=SplitSpec(seed=seed), choices=auto
        )
        self.plan = self.whole.chosen({})
        parts = assemble(raw, self.whole.with_all_parts())
        table = publish_table(parts, str(folder / "features"), partition_by=[SPLIT])
        self.files = [table.files(**{SPLIT: s}) for s in ("train", "validation", "test")]
        self.rows = [read_rows(spark, f, self.plan.feature_names) for f in self.files]
        self.measure = Measure.of(self.plan.task)

    def score(self, name: str, model: Any, seconds: float, **more: Any) -> None:
        test = read_rows(self.spark, self.files[2], model.features)
        self.tell(
            name,
            measured(self.plan.task, model.predict(test.X), test.y),
            seconds,
            learner=model.learner,
            **more,
        )

    def tell(self, name: str, found: dict[str, float], seconds: float, **more: Any) -> None:
        told = {"table": self.given.table, "seed": self.seed, "who": name, "seconds": round(seconds, 1)}
        line = json.dumps(told | found | more)
        print(line, flush=True)
        with self.given.out.open("a") as out:
            out.write(line + "\n")

    def fit(self, name: str, params: dict[str, Any]) -> Any:
        spec, (choice, own) = train_spec(name, TrainSpec(seed=self.seed)), split_choice(params)
        return learner_of(name).fit(self.spark, self.whole.chosen(choice), spec, own, *self.files[:2])

    def default(self) -> None:
        began = time.monotonic()
        self.score(
            "default", self.fit("lightgbm", dict(learner_of("lightgbm").start())), time.monotonic() - began
        )

    def ours(self, name: str, spec: SweepSpec) -> float:
        began = time.monotonic()
        train = TrainSpec(seed=self.seed)
        names = family_names(spec, train, self.plan.task)
        specs = {n: train_spec(n, train) for n in names}
        rows, held = self.files[:2]
        plan = self.whole if spec.features else self.plan
        folds = FoldPlan.of(self.plan, spec.folds, rows.count(), held.count())
        data, frame = trial_data(self.spark, plan, rows, held, folds, self.measure, None)
        answers = self.folder / name
        jobs = TrialJobs(self.spark, data, frame, specs, answers, 1, spec.pruner if spec.prunes else None)
        result = run_sweep(
            jobs,
            families=families_of(names, spec, train, plan.task, plan=plan),
            storage=self.folder / f"{name}.db",
            key={"for": name},
            metric=self.measure.metric,
            maximize=self.measure.maximize,
            trials=spec.trials,
            minutes=spec.minutes,
            seed=self.seed,
            parallel=2,
            cancel=jobs.cancel,
        )
        result = keep_default_within_noise(result, names[0], self.measure, answers, folds.ratio)
        if spec.ensemble:
            result = with_ensemble(result, self.measure, answers, spec.ensemble)
        if result.ensemble:
            chosen = self.whole.chosen(split_choice(result.best_params)[0])
            held_rows = read_rows(self.spark, self.files[1], chosen.feature_names)
            members = [Member(self.fit(m.learner, m.params), m.weight) for m in result.ensemble]
            model = combined(members, {}, background(held_rows.X))
        else:
            model = self.fit(result.learner, result.best_params)
        seconds = time.monotonic() - began
        self.score(
            name,
            model,
            seconds,
            held=result.best_value,
            origin=next(t.origin for t in result.trials if t.number == result.best_trial),
            trials=len(result.trials),
            notes=result.notes,
        )
        return seconds

    def plain_tpe(self, trials: int) -> None:
        """Optuna's default sampler over the same ranges, each trial by the validation rows, the best trial's model."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        family, spec = learner_of("lightgbm"), TrainSpec(seed=self.seed)
        began, models = time.monotonic(), {}

        def objective(trial):
            params = {k: r.suggest(trial, k) for k, r in family.space().items()}
            model = family.fit_rows(self.plan, spec, params, *self.rows[:2], threads=self.given.threads)
            held = self.rows[1]
            value = self.measure.value(*self.measure.losses(model.predict(held.X), held))
            if not models or value < min(models):
                models.clear()
                models[value] = model
            return value

        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=self.seed))
        study.optimize(objective, n_trials=trials)
        self.score("plain TPE", models[min(models)], time.monotonic() - began, held=study.best_value)

    def peer(self, name: str, seconds: float) -> None:
        arrays = {
            f"{part}_{n}": v
            for part, r in zip("tvs", self.rows, strict=True)
            for n, v in (("X", r.X), ("y", r.y))
        }
        categorical = [self.plan.feature_names.index(c) for c in self.plan.categorical_features]
        file = self.folder / "rows.npz"
        np.savez(file, categorical=np.array(categorical, np.int64), **arrays)
        command = [
            self.given.peers,
            Path(__file__).with_name("peers.py"),
            name,
            file,
            self.plan.task,
            seconds,
            self.seed,
            self.given.threads,
        ]
        done = subprocess.run(
            [str(c) for c in command], capture_output=True, text=True, timeout=3600, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stderr[-3000:])
        told = json.loads(done.stdout.splitlines()[-1])
        self.tell(name, told.pop("found"), told.pop("seconds"), **told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", required=True)
    parser.add_argument("--csv", required=True)
    parser.add_argument("--label", default="_c0")
    parser.add_argument("--bare", action="store_true", help="tabs, and no names in the first line")
    parser.add_argument("--exclude", nargs="*", default=[])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument(
        "--minutes",
        type=float,
        default=60.0,
        help="of our sweeps, for equal times; with --trials beyond reach",
    )
    parser.add_argument("--peers")
    parser.add_argument("--threads", type=int, default=2, help="of a model; ours has half as many, twice")
    parser.add_argument(
        "--who",
        nargs="*",
        default=["default", "ours", "together", "choices", "tpe", "LightGBMTuner", "FLAML", "H2O"],
    )
    parser.add_argument("--out", type=Path, default=Path("quality.jsonl"))
    given = parser.parse_args()
    spark = open_session(SparkSettings(master="local[2]"))
    for seed in given.seeds:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(spark, given, seed, Path(folder))
            seconds = 60.0
            if "default" in given.who:
                bench.default()
            if "ours" in given.who:
                seconds = bench.ours("ours", SweepSpec(trials=given.trials, minutes=given.minutes))
            if "together" in given.who:
                spec = SweepSpec(trials=given.trials, minutes=given.minutes, learners="all", ensemble=8)
                seconds = bench.ours("ours, all learners, ensemble", spec)
            if "choices" in given.who:
                spec = SweepSpec(
                    trials=given.trials, minutes=given.minutes, learners="all", ensemble=8, features="auto"
                )
                seconds = bench.ours("ours, all learners, features, ensemble", spec)
            if "tpe" in given.who:
                bench.plain_tpe(given.trials)
            for name in ("LightGBMTuner", "FLAML", "H2O"):
                if name in given.who and given.peers:
                    bench.peer(name, seconds)


if __name__ == "__main__":
    main()
