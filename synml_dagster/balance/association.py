"""How strongly a group and a class go together: measures of a two-by-two table, in closed form.

x is "the row is of the group", y "the row is of the class". The measures are those that Aka et al. 2021 (Measuring Model
Biases in the Absence of Ground Truth) compare two groups by, each by the formula of its own literature. Where SynapseML's
`FeatureBalanceMeasure` has another, `NOTES` says so.
"""

from __future__ import annotations

from math import log, sqrt

MEASURES: dict[str, str] = {
    "demographic_parity": "P(y|x): share of the group's rows that are of the class",
    "dice": "2 P(x,y) / (P(x) + P(y)), Sørensen and Dice",
    "jaccard": "P(x,y) / (P(x) + P(y) - P(x,y))",
    "pmi": "log P(x,y) / (P(x) P(y)), pointwise mutual information (Church and Hanks 1990)",
    "npmi_y": "pmi / -log P(y)",
    "npmi_xy": "pmi / -log P(x,y), in [-1, 1] (Bouma 2009)",
    "pmi2": "log P(x,y)² / (P(x) P(y)) (Daille 1994)",
    "log_likelihood_ratio": "log P(x|y) / P(x|not y)",
    "kendall": "Kendall's tau-b of two binary columns, which is their phi",
    "t_score": "(P(x,y) - P(x) P(y)) / sqrt(P(x,y) / n) (Manning and Schütze 1999, 5.3.1)",
}
"""Name -> formula."""

NOTES: dict[str, str] = {
    "dice": "SynapseML leaves out the factor 2: its value is half of this one.",
    "pmi": "SynapseML's is log P(y|x), without the division by P(y); the difference of two groups is the same.",
    "npmi_y": "SynapseML's is log P(y|x) / log P(y), which is 1 less this one: the difference of two groups has the other sign.",
    "npmi_xy": "SynapseML's is log P(y|x) / log P(x,y), which is neither 0 for independence nor 1 for identity; and 0 where no row is of both.",
    "log_likelihood_ratio": "SynapseML's is log P(x|y): a likelihood, and no ratio of two.",
    "kendall": "SynapseML's (the formula of Aka et al.) has another numerator, which is not 0 for a group and a class that are independent; this one is tau-b as scipy has it.",
    "t_score": "SynapseML divides by sqrt(P(x) P(y)) and not by the standard error, so that its value does not grow with the rows; the pair's own test is Welch's.",
    "demographic_parity": "As SynapseML has it.",
    "jaccard": "As SynapseML has it.",
    "pmi2": "As SynapseML has it.",
}
"""Name -> how SynapseML's formula differs."""

NO_ROW = "no row of the group is of the class, and the measure divides by that share or takes its logarithm"
_ALL = "all rows are of the class"
_NONE = "no row is of the class"
_WHOLE = "the group is all rows"


def association(n: int, n_x: int, n_y: int, n_xy: int) -> tuple[dict[str, float | None], dict[str, str]]:
    """Return the measures of a group and a class, and for those that are None the reason.

    Parameters
    ----------
    n, n_x, n_y, n_xy
        All rows, those of the group (at least one), those of the class, those of both.

    Examples
    --------
    >>> found, why = association(9, 4, 3, 2)
    >>> found["demographic_parity"], round(found["pmi"], 4), why
    (0.5, 0.4055, {})
    """
    p_x, p_y, p_xy = n_x / n, n_y / n, n_xy / n
    found: dict[str, float | None] = dict.fromkeys(MEASURES)
    why: dict[str, str] = {}
    found["demographic_parity"] = n_xy / n_x
    found["dice"] = 2 * n_xy / (n_x + n_y)
    found["jaccard"] = n_xy / (n_x + n_y - n_xy)
    if n_xy:
        pmi = log(p_xy / (p_x * p_y))
        found["pmi"] = pmi
        found["pmi2"] = log(p_xy**2 / (p_x * p_y))
        found["t_score"] = (p_xy - p_x * p_y) / sqrt(p_xy / n)
        if n_y < n:
            found["npmi_y"] = pmi / -log(p_y)
        if n_xy < n:
            found["npmi_xy"] = pmi / -log(p_xy)
        if n_x > n_xy and n_y < n:
            found["log_likelihood_ratio"] = log((n_xy / n_y) / ((n_x - n_xy) / (n - n_y)))
    elif n_y:
        found["npmi_xy"] = -1.0  # its limit: the two never come together
    spread = p_x * (1 - p_x) * p_y * (1 - p_y)
    if n_x < n and 0 < n_y < n:
        found["kendall"] = (p_xy - p_x * p_y) / sqrt(spread)
    for name, value in found.items():
        if value is None:
            why[name] = (
                _NONE
                if not n_y
                else _ALL
                if n_y == n
                else NO_ROW
                if not n_xy
                else _WHOLE
                if n_x == n
                else "all rows of the group are of the class, and the measure divides by the share of the others"
            )
    return found, why
