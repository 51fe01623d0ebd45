"""One scan of a table: what is seen of its columns and its label."""
