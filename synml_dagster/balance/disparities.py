"""Differences and ratios between groups: the fairness measures, as fairlearn defines them."""

from __future__ import annotations

from collections.abc import Sequence

from synml_dagster.balance.intervals import newcombe
from synml_dagster.balance.result import Disparity, GroupRates, Rate

MEASURES: dict[str, str] = {
    "demographic_parity": "selection_rate",
    "equal_opportunity": "true_positive_rate",
    "false_positive_rate": "false_positive_rate",
    "predictive_parity": "precision",
    "accuracy": "accuracy",
}
"""Name -> the rate whose largest and smallest group are compared. `equalized_odds` is the worse of two of them."""

ERRORS = ("mean_prediction", "bias", "mae", "rmse")
"""What groups are compared by where the answer is a number."""

_RATIOS = ("mae", "rmse")  # above 0, so that a ratio says something


def disparities_of(groups: Sequence[GroupRates]) -> list[Disparity]:
    """Return the disparities by columns and class, in the order of the groups."""
    kinds: dict[tuple[tuple[str, ...], str | None], list[GroupRates]] = {}
    for group in groups:
        kinds.setdefault((tuple(group.columns), group.label), []).append(group)
    found: list[Disparity] = []
    for (columns, label), members in kinds.items():
        judged = [g for g in members if not g.small]
        if members[0].rates:
            by_name = {
                name: _of_rates(list(columns), label, name, rate, judged, len(members))
                for name, rate in MEASURES.items()
            }
            odds = _odds(by_name["equal_opportunity"], by_name["false_positive_rate"])
            found += [by_name["demographic_parity"], odds]
            found += [d for name, d in by_name.items() if name != "demographic_parity"]
        else:
            found += [_of_errors(list(columns), name, judged, len(members)) for name in ERRORS]
    return found


def _of_rates(
    columns: list[str], label: str | None, name: str, rate: str, judged: list[GroupRates], of: int
) -> Disparity:
    known = [(g, g.rates[rate]) for g in judged if g.rates[rate].value is not None]
    made = Disparity(columns=columns, label=label, measure=name, left_out=of - len(known))
    if len(known) < 2:
        made.reason = _too_few(judged, f"a {rate.replace('_', ' ')}")
        return made
    top, most = max(known, key=lambda k: _value(k[1]))
    bottom, least = min(known, key=lambda k: _value(k[1]))
    made.difference = _value(most) - _value(least)
    made.low, made.high = newcombe(_value(most) * most.of, most.of, _value(least) * least.of, least.of)
    if _value(most) > 0:
        made.ratio = _value(least) / _value(most)
    else:
        made.reason = "the rate is 0 in all groups, so there is no ratio"
    made.largest, made.smallest = top.group, bottom.group
    return made


def _odds(first: Disparity, second: Disparity) -> Disparity:
    """Equalised odds (Hardt et al. 2016): the larger of the differences of true and false positive rates, the smaller ratio."""
    made = Disparity(columns=first.columns, label=first.label, measure="equalized_odds")
    made.left_out = max(first.left_out, second.left_out)
    if first.difference is None or second.difference is None:
        made.reason = first.reason if first.difference is None else second.reason
        return made
    worse = first if first.difference >= second.difference else second
    made.difference, made.low, made.high = worse.difference, worse.low, worse.high
    made.largest, made.smallest = worse.largest, worse.smallest
    ratios = [d.ratio for d in (first, second) if d.ratio is not None]
    made.ratio = min(ratios) if len(ratios) == 2 else None
    if made.ratio is None:
        made.reason = first.reason or second.reason
    return made


def _of_errors(columns: list[str], name: str, judged: list[GroupRates], of: int) -> Disparity:
    known = [(g, v) for g in judged if (v := g.errors[name]) is not None]
    made = Disparity(columns=columns, measure=name, left_out=of - len(known))
    if len(known) < 2:
        made.reason = _too_few(judged, "a value")
        return made
    top, most = max(known, key=lambda k: k[1])
    bottom, least = min(known, key=lambda k: k[1])
    made.difference = most - least
    made.ratio = least / most if name in _RATIOS and most > 0 else None
    made.largest, made.smallest = top.group, bottom.group
    return made


def _too_few(judged: Sequence[GroupRates], what: str) -> str:
    if len(judged) < 2:
        return "fewer than two groups have enough rows to compare"
    return f"fewer than two groups have {what}"


def _value(rate: Rate) -> float:
    return rate.value or 0.0
