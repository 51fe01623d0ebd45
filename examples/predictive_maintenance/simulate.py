"""Lives through a month of the plant: each morning the day before is there, and the pipeline's own automation decides.

What Dagster's daemon does by the clock is done here by a loop: the schedule and the sensors are asked, and the runs
that they ask for are launched. `python simulate.py --days 10` tells the same story in a hurry.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from telemetry import FIRST_DAY, LABELS_COME_AFTER, Plant, key

from definitions import defs as project
from synml_dagster import MLPipeline
from synml_dagster.automation import REASON_TAG

HERE = Path(__file__).parent
RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
A_STUMP = {"rounds": 1, "params": {"num_leaves": 2}}


@dataclass(frozen=True)
class Story:
    """On the morning after which day what happens."""

    days: int
    first_training: int
    busy_from: int
    broken_on: int
    experiment: int
    by_hand: int
    back: int


STORIES = {
    30: Story(30, first_training=7, busy_from=12, broken_on=24, experiment=26, by_hand=27, back=28),
    10: Story(10, first_training=3, busy_from=4, broken_on=8, experiment=8, by_hand=9, back=9),
}


class Simulation:
    """One month."""

    def __init__(self, story: Story, instance: dg.DagsterInstance) -> None:
        self.story, self.instance = story, instance
        self.plant = Plant(HERE / "data" / "telemetry", story.busy_from, story.broken_on)
        self.defs: dg.Definitions = project()
        self.cursors: dict[str, str | None] = {}
        self.champion = "none"

    def run(self) -> None:
        """Live through the days."""
        story = self.story
        for day in range(1, story.first_training + 1):
            self.plant.write(day, known=day <= story.first_training - LABELS_COME_AFTER)
        self.launch(
            story.first_training,
            "train",
            {RANGE[0]: key(1), RANGE[1]: key(story.first_training)},
            why="the first training",
        )
        for day in range(story.first_training + 1, story.days + 1):
            self.plant.write(day)
            self.plant.write(day - LABELS_COME_AFTER, known=True, repaired=True)
            self.morning_after(day)

    def morning_after(self, day: int) -> None:
        """Do what is due at six in the morning."""
        for request in self.asks_schedule("machines_score_schedule", day):
            self.launch(day, "score", request.tags, request.partition_key, request.tags[REASON_TAG])
        if day == self.story.broken_on:
            self.plant.write(day, repaired=True)
            self.launch(day, "score", {}, key(day), "the gateway has sent the day again")
        for request in self.asks_sensor("machines_drift"):
            self.launch(day, "train", request.tags, request.partition_key, request.tags[REASON_TAG])
        if day % 5 == 0:
            for request in self.asks_sensor("machines_new_labels"):
                self.launch(day, "measure", request.tags, None, request.tags[REASON_TAG])
        if day == self.story.experiment:
            self.experiment(day)
        if day == self.story.by_hand:
            self.launch(day, "promote", {}, why="a person prefers the small model")
            self.launch(day, "score", {}, key(day), "with the small model")
        if day == self.story.back:
            self.launch(day, "rollback", {}, why="it was no good idea")
            self.launch(day, "score", {}, key(day), "with the model of before")

    def asks_schedule(self, name: str, day: int) -> list[dg.RunRequest]:
        """Return the runs that a schedule asks for on the morning after a day."""
        six = datetime.combine(FIRST_DAY + timedelta(days=day), datetime.min.time(), UTC) + timedelta(hours=6)
        repository = self.defs.get_repository_def()
        with dg.build_schedule_context(
            instance=self.instance, scheduled_execution_time=six, repository_def=repository
        ) as context:
            return list(self.defs.resolve_schedule_def(name).evaluate_tick(context).run_requests or [])

    def asks_sensor(self, name: str) -> list[dg.RunRequest]:
        """Return the runs that a sensor asks for, and keep its cursor."""
        resources = {"spark": (self.defs.resources or {})["spark"]} if name.endswith("new_labels") else {}
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(name),
            definitions=self.defs,
            resources=resources,
        ) as context:
            told = self.defs.resolve_sensor_def(name).evaluate_tick(context)
        self.cursors[name] = told.cursor
        return list(told.run_requests or [])

    def experiment(self, day: int) -> None:
        """Train what somebody tries: the same description, and a model of one split."""
        described = MLPipeline.from_yaml(HERE / "pipelines" / "machines" / "defs.yaml")
        train = type(described.train).model_validate(A_STUMP)
        tried = described.model_copy(update={"train": train}).definitions()
        # The days of the window are read anew: their labels have come since.
        days = {RANGE[0]: key(day - 6), RANGE[1]: key(day)}
        self.launch(day, "train", days, None, "an experiment with a model of one split", tried)

    def launch(
        self,
        day: int,
        job: str,
        tags: dict[str, str],
        partition: str | None = None,
        why: str = "",
        defs: dg.Definitions | None = None,
    ) -> None:
        """Run a job, and say what came of it."""
        resolved = (defs or self.defs).resolve_job_def(f"machines_{job}")
        done = resolved.execute_in_process(
            instance=self.instance,
            partition_key=partition,
            tags=tags,
            run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
            raise_on_error=False,
        )
        self.say(day, job, f"{'done' if done.success else 'stopped'}: {why}")
        for check in done.get_asset_check_evaluations():
            if not check.passed and check.check_name in ("drift", "ranges", "nulls", "decay", "promotion"):
                self.say(day, check.check_name, str(check.description))
        for event in done.all_events:
            if event.is_step_failure and event.step_failure_data.error is not None:
                self.say(day, "failure", f"{event.step_key}: {event.step_failure_data.error.message[:300]}")
        for made in materialized(done):
            if made.asset_key.path[-1] == "champion":
                self.say(day, "champion", str(made.metadata["decision"].value))
            elif made.asset_key.path[-1] == "predictions":
                version = made.metadata["model_version"].value
                self.say(day, "predictions", f"{made.partition} by version {version}")
            elif made.asset_key.path[-1] == "live_evaluation":
                rows = made.metadata["rows labelled since"].value
                self.say(day, "live", f"auc {made.metadata['live/auc'].value} on {rows} rows")

    @staticmethod
    def say(day: int, what: str, text: str) -> None:
        """Print a line."""
        print(f"{key(day)} {what}: {text}", flush=True)


def materialized(done: Any) -> list[dg.AssetMaterialization]:
    """Return what a run has made."""
    return [
        event.step_materialization_data.materialization for event in done.get_asset_materialization_events()
    ]


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--days", type=int, choices=sorted(STORIES), default=30)
    sys.path.insert(0, str(HERE))
    with dg.DagsterInstance.get() as instance:
        Simulation(STORIES[asked.parse_args().days], instance).run()
