"""Finished answers: kept as they come, found again by the next run."""
