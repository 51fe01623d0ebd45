"""Plots, drawn by matplotlib in one style."""
