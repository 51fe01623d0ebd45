"""Optuna's samplers by name, each rebuilt before every question so that a resumed search asks what an unbroken one would."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from synml_dagster.errors import ConfigError, SetupError, did_you_mean

if TYPE_CHECKING:
    import optuna

SAMPLERS = ("tpe", "random", "qmc", "cmaes", "gp", "nsgaii")
SEVERAL = ("tpe", "random", "qmc", "gp", "nsgaii")
"""Those that search for several objectives."""
_POPULATION = 10
"""Trials of a generation: with Optuna's 50 most sweeps would end before the second."""
_NEEDS = {"cmaes": "cmaes", "gp": "torch"}


def check_sampler(name: str) -> str:
    """Return `name` where a sweep can use it.

    Raises
    ------
    ConfigError
        There is no such sampler.
    SetupError
        A package that it stands on is not installed.
    """
    if name not in SAMPLERS:
        raise ConfigError(
            f"sweep.sampler: there is no {name!r}; choose one of {', '.join(SAMPLERS)}.{did_you_mean(name, SAMPLERS)}"
        )
    needed = _NEEDS.get(name)
    if needed and find_spec(needed) is None:
        raise SetupError(
            f"sweep.sampler {name!r} stands on the package {needed!r}, which is not installed: pip install 'synml-dagster[{name}]'."
        )
    return name


def sampler(name: str, seed: int, asked: int) -> optuna.samplers.BaseSampler:
    """Return a sampler whose draws depend on the seed and on how many questions came before, and on nothing else."""
    import optuna

    draws = seed * 1_000_003 + asked
    if name == "random":
        return optuna.samplers.RandomSampler(seed=draws)
    if name == "qmc":  # one sequence, whose place is the trial's number
        return optuna.samplers.QMCSampler(seed=seed, scramble=True, warn_independent_sampling=False)
    if name == "cmaes":
        return optuna.samplers.CmaEsSampler(seed=draws, warn_independent_sampling=False)
    if name == "gp":
        return optuna.samplers.GPSampler(seed=draws, warn_independent_sampling=False)
    if name == "nsgaii":
        return optuna.samplers.NSGAIISampler(seed=draws, population_size=_POPULATION)
    return optuna.samplers.TPESampler(seed=draws, n_startup_trials=5, multivariate=True)
