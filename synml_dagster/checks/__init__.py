"""Gates between the stages: what must hold before a model goes on."""

from synml_dagster.checks.promotion import Decision, PromoteSpec, decide

__all__ = ["Decision", "PromoteSpec", "decide"]
