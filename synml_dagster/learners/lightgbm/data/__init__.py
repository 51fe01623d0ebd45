"""Rows for LightGBM: where they come from, their bins and what they add up to."""
