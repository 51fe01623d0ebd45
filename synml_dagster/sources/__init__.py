"""What a pipeline reads: files, tables and queries, and which version of them."""
