"""The small table of the features' tests."""

from tests.features.conftest import people

__all__ = ["people"]
