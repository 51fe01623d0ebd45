"""Runs a whole pipeline of `assets/` in this process and says in plain words what came of it (`make demo`)."""

from __future__ import annotations

import argparse
import csv
import importlib
import logging
import os
import re
import sys
import threading
import time
from pathlib import Path

import dagster as dg
import yaml

from synml_dagster.errors import SourceError
from synml_dagster.sources.source import Source, check_path

HERE = Path(__file__).parent
HOME = Path(os.environ.setdefault("DAGSTER_HOME", str(HERE / ".dagster")))


def main() -> int:
    """Prepare, run, and print where everything is."""
    arguments = parse()
    prepare()
    if arguments.prepare:
        return 0
    name = "demo"
    if arguments.source:
        name = write_pipeline(arguments.source, arguments.label)
    elif arguments.label:
        raise SystemExit("LABEL goes with SOURCE: make demo SOURCE=table.csv LABEL=column")
    return run(name)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", help="a table of your own: csv, parquet, json ...")
    parser.add_argument("--label", help="the column of it to predict")
    parser.add_argument(
        "--prepare", action="store_true", help="only write what the pipelines of assets/ read"
    )
    arguments = parser.parse_args()
    if arguments.source and not arguments.label:
        parser.error("say which column to predict: make demo SOURCE=table.csv LABEL=column")
    return arguments


def prepare() -> None:
    """Write the demo's table and, once, Dagster's own settings."""
    HOME.mkdir(parents=True, exist_ok=True)
    settings = HOME / "dagster.yaml"
    if not settings.exists():
        settings.write_text("telemetry:\n  enabled: false\nnux:\n  enabled: false\n", encoding="utf-8")
    table = HERE / "data" / "tables" / "breast_cancer.csv"
    if table.exists():
        return
    from sklearn.datasets import load_breast_cancer

    loaded = load_breast_cancer()
    table.parent.mkdir(parents=True, exist_ok=True)
    part = table.with_suffix(".part")
    with part.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow([*loaded.feature_names, "diagnosis"])
        for row, target in zip(loaded.data, loaded.target, strict=True):
            writer.writerow([*row, loaded.target_names[target]])
    part.replace(table)


def write_pipeline(source: str, label: str) -> str:
    """Write `assets/<table>/defs.yaml`, so that the UI knows the pipeline too, and return its name."""
    path = source if "://" in source else str(Path(source).resolve())
    try:
        check_path(Source(path=path))
    except SourceError as problem:
        raise SystemExit(str(problem)) from None
    name = (
        re.sub(r"\W+", "_", Path(path.rstrip("/")).name.split(".")[0], flags=re.ASCII).strip("_").lower()
        or "table"
    )
    name = name if name[0].isalpha() else f"table_{name}"
    file = HERE / "assets" / name / "defs.yaml"
    wanted = {"name": name, "source": path, "label": label}
    if file.exists():
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
        if {k: document["attributes"].get(k) for k in wanted} == wanted:
            return name
        document["attributes"] |= wanted
    else:
        document = {"type": "synml_dagster.MLPipelineComponent", "attributes": wanted}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")
    print(f"wrote   {file.relative_to(HERE)}")
    return name


class Plain(logging.Handler):
    """Prints a line per finished step and what the steps themselves say; of steps that never start there is no word."""

    def __init__(self) -> None:
        super().__init__()
        self.started: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record, or nothing."""
        told = getattr(record, "dagster_meta", {})
        event = told.get("dagster_event")
        if event is None:
            if record.levelno >= logging.INFO and told.get("step_key") in self.started:
                print(f"        {told.get('orig_message', record.getMessage())}", flush=True)
        elif event.event_type_value == "STEP_START":
            self.started.add(event.step_key)
        elif event.event_type_value == "STEP_SUCCESS":
            seconds = event.event_specific_data.duration_ms / 1000
            print(f"{seconds:6.1f}s {event.step_key.replace('__', '/')}", flush=True)


@dg.logger
def plain(_: dg.InitLoggerContext) -> logging.Logger:
    """Log in plain words."""
    logger = logging.Logger("demo", level=logging.DEBUG)
    logger.addHandler(Plain())
    return logger


def run(name: str) -> int:
    """Run the pipeline and print its metrics and where its results lie."""
    from definitions import defs

    began = time.monotonic()
    print(f"pipeline {name}", flush=True)
    threading.Thread(target=load_libraries, daemon=True).start()
    with dg.DagsterInstance.get() as instance:
        job = defs().resolve_job_def(f"{name}_train").with_logger_defs({"console": plain})
        quiet = {"loggers": {"console": {}}}
        result = job.execute_in_process(instance=instance, run_config=quiet, raise_on_error=False)
        if not result.success:
            report_failure(result)
            return 1
        print(f"{time.monotonic() - began:6.1f}s in all")
        report_success(instance, name)
    return 0


def load_libraries() -> None:
    """Import, while Spark's JVM starts, what later steps import: some ten seconds of Python that nothing waits for."""
    while "pyspark.java_gateway" not in sys.modules and "pyspark.sql.connect" not in sys.modules:
        time.sleep(0.05)  # sooner, it would only keep the JVM from being started
    time.sleep(0.5)
    for library in ("mlflow.tracking", "lightgbm", "optuna", "matplotlib.figure", "onnxruntime", "numba"):
        importlib.import_module(library)


def report_failure(result: dg.ExecuteInProcessResult) -> None:
    """Say which step failed and why, without a traceback."""
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error.cause:
                error = error.cause
            print(f"\nFAILED  {event.step_key.replace('__', '/')}: {error.message.strip()}", file=sys.stderr)
    for check in result.get_asset_check_evaluations():
        if not check.passed:
            print(
                f"\nFAILED  check {check.check_name} of {check.asset_key.to_user_string()}", file=sys.stderr
            )


def report_success(instance: dg.DagsterInstance, name: str) -> None:
    """Print the metrics, and where the report, the model and the scores are."""

    def metadata(stage: str) -> dict[str, object]:
        event = instance.get_latest_materialization_event(dg.AssetKey([name, stage]))
        assert event is not None
        assert event.asset_materialization is not None
        return {k: v.value for k, v in event.asset_materialization.metadata.items()}

    found = metadata("evaluation")
    metrics = {
        k.removeprefix("test/"): v for k, v in found.items() if k.startswith("test/") and isinstance(v, float)
    }
    for number, (metric, value) in enumerate(
        (k, v) for k, v in metrics.items() if not k.endswith(("_low", "_high"))
    ):
        low, high = (metrics.get(f"{metric}_{end}") for end in ("low", "high"))
        sure = "" if low is None or high is None else f"   (95% interval {low:.4g} to {high:.4g})"
        print(f"{'test rows' if number == 0 else '':11} {metric} {value:.4g}{sure}")
    print(f"champion    {metadata('champion')['decision']}")
    for word, stage, key in (
        ("report", "report", "path"),
        ("ONNX model", "champion", "onnx"),
        ("scores", "predictions", "dagster/uri"),
    ):
        print(f"{word:11} {metadata(stage)[key]}{'/report.html' if stage == 'report' else ''}")
    print(f"{'UI':11} make ui, then http://127.0.0.1:3000/asset-groups (group {name})")


if __name__ == "__main__":
    sys.exit(main())
