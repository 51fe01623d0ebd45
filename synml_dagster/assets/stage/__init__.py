"""What every stage shares: its definition, its checks, its page, its words when it fails, and the parts of a description that are its own."""

from synml_dagster.assets.stage.beside import get_ready_beside
from synml_dagster.assets.stage.catalog import ON_REQUEST, STAGES
from synml_dagster.assets.stage.definition import SPARK_POOL, inputs, stage, stage_key
from synml_dagster.assets.stage.effects_spec import AttributionsSpec, ChosenSpec, EffectsSpec
from synml_dagster.assets.stage.failures import clearly
from synml_dagster.assets.stage.outcomes import gate, outcome
from synml_dagster.assets.stage.own_places import check_apart
from synml_dagster.assets.stage.page import figure, markdown_table, picture, pictures, stored_once
from synml_dagster.assets.stage.rarely import Rarely
from synml_dagster.assets.stage.source_read import reads_from, says_version, version_read
from synml_dagster.assets.stage.specs import ContributionsSpec, ExplainSpec, MLflowSpec, ScoreSpec

__all__ = [
    "ON_REQUEST",
    "SPARK_POOL",
    "STAGES",
    "AttributionsSpec",
    "ChosenSpec",
    "ContributionsSpec",
    "EffectsSpec",
    "ExplainSpec",
    "MLflowSpec",
    "Rarely",
    "ScoreSpec",
    "check_apart",
    "clearly",
    "figure",
    "gate",
    "get_ready_beside",
    "inputs",
    "markdown_table",
    "outcome",
    "picture",
    "pictures",
    "reads_from",
    "says_version",
    "stage",
    "stage_key",
    "stored_once",
    "version_read",
]
