"""The pipelines of this code location, one folder each."""
