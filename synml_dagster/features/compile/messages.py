"""What a row of training data is refused for, in the words that Spark's projection and tasks that read files share."""

from __future__ import annotations


def unseen_class(label: str) -> tuple[str, str]:
    """Return what is said before and after the class, where a label has one that the plan has not seen."""
    return (
        f"label {label!r} has a class that the feature plan has not seen: ",
        ". Fit the plan again on data that holds it.",
    )


def bad_weight(weight: str) -> str:
    """Return what is said where a row has no weight, or one below 0."""
    return f"weight {weight!r} is missing or negative in a row; give every row a weight of 0 or more"
