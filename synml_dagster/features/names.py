"""The reserved columns of a features table, and the names of its splits."""

LABEL, SPLIT, WEIGHT, GROUP, ROW = "__label", "__split", "__weight", "__group", "__row"
BALANCE = "__balance"
"""The part of `__weight` that balances groups, where the description asks for it."""
PLACE = "__place"
"""Where a row stands by time, or its group as a number, where the split is by one of these: folds part rows by it."""
RESERVED = (LABEL, SPLIT, WEIGHT, GROUP, ROW, BALANCE, PLACE)
SPLITS = ("train", "validation", "test")
