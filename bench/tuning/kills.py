"""Sweeps that are killed at random: is a finished trial trained twice, is one left running, is the list that of an unbroken sweep?

python -m bench.tuning.kills --kills 10 --trials 12 --seed 0

The parent starts the sweep in a process of its own, kills that process or a Python worker of its Spark at a random moment, and starts it
again; the last one is let finish. Each worker's task has three more tries, as on a cluster. Then the same sweep runs unbroken.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TABLE, LOG, RESULT = "table.json", "log.jsonl", "result.json"


def prepared(spark, folder: Path):
    """Return the plan and the training and validation rows, made where they are not there."""
    import numpy as np
    import pyarrow as pa

    from synml_dagster.features import SPLIT, FeaturePlan, assemble, fit_plan
    from synml_dagster.files import ParquetFiles
    from synml_dagster.tables import publish_table

    if not (folder / TABLE).exists():
        rng = np.random.default_rng(0)
        x = rng.normal(size=(30_000, 8))
        label = np.where(x[:, 0] + x[:, 1] * x[:, 2] + rng.normal(0, 1, len(x)) > 0, "yes", "no")
        raw = spark.createDataFrame(pa.table({**{f"x{i}": x[:, i] for i in range(8)}, "y": label}))
        plan = fit_plan(raw, name="kills", label="y")
        table = publish_table(assemble(raw, plan), str(folder / "features"), partition_by=[SPLIT])
        files = [table.files(**{SPLIT: s}) for s in ("train", "validation")]
        told = {"plan": plan.model_dump_json(), "files": [[f.paths, f.rows, f.schema_json] for f in files]}
        (folder / TABLE).write_text(json.dumps(told))
    told = json.loads((folder / TABLE).read_text())
    files = [ParquetFiles(tuple(paths), rows, schema) for paths, rows, schema in told["files"]]
    return FeaturePlan.from_json(told["plan"]), *files


def child(folder: Path, name: str, trials: int) -> None:
    """Sweep, one trial at a time, and say of each when it began, when it was trained, and when its answer was on disk."""
    from synml_dagster.learners import TrainSpec
    from synml_dagster.spark import SparkSettings, open_session
    from synml_dagster.tuning import SweepSpec, run_sweep
    from synml_dagster.tuning.choice import families_of
    from synml_dagster.tuning.folds import FoldPlan
    from synml_dagster.tuning.losses import Measure
    from synml_dagster.tuning.runner import TrialJobs, trial_data

    spark = open_session(SparkSettings(master="local[2,4]"))
    plan, train, held = prepared(spark, folder)
    (folder / name).mkdir(exist_ok=True)
    measure, spec = Measure.of(plan.task), TrainSpec(rounds=150, early_stopping=0)
    data, frame = trial_data(spark, plan, train, held, FoldPlan(0, 1, ""), measure, None)
    jobs = TrialJobs(spark, data, frame, {"lightgbm": spec}, folder / name / "answers", pruner=None)

    def say(what: str, order: int) -> None:
        with (folder / name / LOG).open("a") as out:
            out.write(json.dumps({"what": what, "order": order, "process": os.getpid()}) + "\n")

    def trained(question):
        say("began", question.order)
        found = jobs(question)
        say("trained", question.order)
        return found

    result = run_sweep(
        trained,
        families=families_of(["lightgbm"], SweepSpec(), spec, plan.task),
        storage=folder / name / "study.db",
        key={"for": "kills"},
        metric=measure.metric,
        maximize=measure.maximize,
        trials=trials,
        minutes=60,
        parallel=1,
        cancel=jobs.cancel,
        on_trial=lambda record, _: say("noted", record.number),
    )
    told = [[t.number, t.state, t.origin, t.params, t.value, t.reason] for t in result.trials]
    (folder / name / RESULT).write_text(json.dumps(told))


def started(folder: Path, name: str, trials: int) -> subprocess.Popen:
    command = [
        sys.executable,
        "-m",
        "bench.tuning.kills",
        "--child",
        str(folder),
        name,
        "--trials",
        str(trials),
    ]
    with (folder / f"{name}.out").open("a") as out:
        return subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)


def workers_of(process: int) -> list[int]:
    """Return the Python workers of a process's Spark: children of its daemon."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError, ValueError):
                continue
    daemons = []
    for pid in parents:
        above, found = pid, False
        while above in parents and not found:
            above = parents[above]
            found = above == process
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if found and b"pyspark.daemon" in line:
            daemons.append(pid)
    return [pid for pid in daemons if parents[pid] in daemons]


def said(folder: Path, name: str) -> list[dict]:
    path = folder / name / LOG
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def kill_at_random(folder: Path, name: str, trials: int, left: int, draw: random.Random) -> list[str]:
    """Run the sweep once, kill it or its workers, up to `left` times, at random; return who was killed."""
    process, before, killed = started(folder, name, trials), len(said(folder, name)), []
    while left and process.poll() is None:
        wait = draw.randint(1, 3)
        while process.poll() is None and len(said(folder, name)) < before + wait:
            time.sleep(0.02)
        time.sleep(draw.uniform(0, 0.6))
        before = len(said(folder, name))
        if process.poll() is not None:
            break
        who = draw.choice(["driver", "worker"])
        if who == "driver":
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return [*killed, who]
        if workers := workers_of(process.pid):
            os.kill(draw.choice(workers), signal.SIGKILL)
            killed.append(who)
            left -= 1
    process.wait()
    return killed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", nargs=2, metavar=("FOLDER", "NAME"))
    given = parser.parse_args()
    if given.child:
        child(Path(given.child[0]), given.child[1], given.trials)
        return
    draw = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as place:
        folder, killed = Path(place), list[str]()
        while not (folder / "killed" / RESULT).exists():
            killed += kill_at_random(folder, "killed", given.trials, given.kills - len(killed), draw)
        started(folder, "whole", given.trials).wait()
        resumed, whole = (json.loads((folder / n / RESULT).read_text()) for n in ("killed", "whole"))
        events = [(s["what"], s["order"]) for s in said(folder, "killed")]
        times = {
            what: collections.Counter(n for w, n in events if w == what) for what in ("trained", "noted")
        }
        again = {what: sum(n - 1 for n in found.values()) for what, found in times.items()}
        asked = [t for t in resumed if t[5] != "killed"]
        told = {
            "killed": dict(collections.Counter(killed)),
            "finished ones repeated": again["noted"],
            "killed between training and disk": again["trained"] - again["noted"],
            "left running": sum(t[1] not in ("complete", "fail", "pruned") for t in resumed),
            "failed": sum(t[1] == "fail" for t in asked),
            "same list": [t[:4] for t in asked] == [t[:4] for t in whole],
            "same values": [t[4] for t in asked] == [t[4] for t in whole],
        }
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
