"""The reserved columns of a features table, and the names of its splits."""

LABEL, SPLIT, WEIGHT, GROUP, ROW = "__label", "__split", "__weight", "__group", "__row"
RESERVED = (LABEL, SPLIT, WEIGHT, GROUP, ROW)
SPLITS = ("train", "validation", "test")
