"""Which side of the split a row is on."""
