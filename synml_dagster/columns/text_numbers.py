"""Numbers that are written as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column

# A cast that fails costs Spark an exception a row, ten times the cast itself; these are all that a number, an infinity
# or a NaN is written with, and the blanks and control characters that the cast takes off.
_LETTERS_OF_NUMBERS = r"^[\x00-\x20]*[-+.0-9a-fA-FxXpPiItTyYnN]+[\x00-\x20]*$"


def written_number(text: Column) -> Column:
    """Return the double that `text` is, blanks around it aside; null where it is none."""
    from pyspark.sql import functions as sf

    return sf.when(text.rlike(_LETTERS_OF_NUMBERS), text.try_cast("double"))
