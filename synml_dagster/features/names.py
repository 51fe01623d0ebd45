"""The reserved columns of a features table, and the names of its splits."""

LABEL, SPLIT, WEIGHT, GROUP, ROW = "__label", "__split", "__weight", "__group", "__row"
BALANCE = "__balance"
"""The part of `__weight` that balances groups, where the description asks for it."""
RESERVED = (LABEL, SPLIT, WEIGHT, GROUP, ROW, BALANCE)
SPLITS = ("train", "validation", "test")
