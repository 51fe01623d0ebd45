"""Schedules and sensors that score and retrain, off until a description turns them on."""

from synml_dagster.automation.jobs import REASON_TAG, schedules, score_job, train_job
from synml_dagster.automation.new_data import new_data_sensor
from synml_dagster.automation.promotion_jobs import promotion_jobs
from synml_dagster.automation.spec import AutomationSpec

__all__ = [
    "REASON_TAG",
    "AutomationSpec",
    "new_data_sensor",
    "promotion_jobs",
    "schedules",
    "score_job",
    "train_job",
]
