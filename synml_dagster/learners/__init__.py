"""Learner families."""
