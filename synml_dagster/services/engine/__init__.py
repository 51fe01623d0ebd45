"""Sends requests: one window of many in flight, under a policy, limits and a budget."""
