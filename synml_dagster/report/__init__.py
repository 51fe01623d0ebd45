"""The report: one page about a model, its data and its reasons."""
