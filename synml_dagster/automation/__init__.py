"""Schedules and sensors that score and retrain, off until a description turns them on."""

from synml_dagster.automation.conditions import follow_sensor, followed
from synml_dagster.automation.jobs import measure_job, schedules, score_job, train_job
from synml_dagster.automation.new_data import new_data_sensor
from synml_dagster.automation.promotion_jobs import promotion_jobs
from synml_dagster.automation.retrain_on import Retraining, age_sensor, failed_check_sensor
from synml_dagster.automation.retrain_spec import RetrainOnSpec
from synml_dagster.automation.spec import AutomationSpec, FollowSpec
from synml_dagster.resources.reason import REASON_TAG

__all__ = [
    "REASON_TAG",
    "AutomationSpec",
    "FollowSpec",
    "RetrainOnSpec",
    "Retraining",
    "age_sensor",
    "failed_check_sensor",
    "follow_sensor",
    "followed",
    "measure_job",
    "new_data_sensor",
    "promotion_jobs",
    "schedules",
    "score_job",
    "train_job",
]
