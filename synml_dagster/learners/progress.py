"""What a training says while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Progress:
    """One sign of life of a training.

    Attributes
    ----------
    round, rounds : int
        Rounds boosted so far, of how many at most.
    metrics : dict
        The latest value of each metric: {"validation": {"auc": 0.93}}.
    seconds : float
        Since the first round began.
    eta : float
        Seconds until the last round at this pace; early stopping may end it sooner.
    """

    round: int
    rounds: int
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    seconds: float = 0.0
    eta: float = 0.0

    def __str__(self) -> str:
        told = ", ".join(
            f"{data} {name} {value:.6g}" for data, ms in self.metrics.items() for name, value in ms.items()
        )
        return f"round {self.round}/{self.rounds}{', ' + told if told else ''}, {self.seconds:.0f} s, about {self.eta:.0f} s to go"
